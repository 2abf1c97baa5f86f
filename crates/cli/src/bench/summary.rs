//! All goals in one table: what was to be reached, and how far each engine came.

use super::goal::figure;
use super::outcome::{GoalOutcome, Outcome, RowOutcome};
use super::side::Side;
use crate::report::plain_table;

/// The table; empty where no row has a goal.
pub fn goals(outcome: &Outcome, sides: &[Side]) -> String {
    let ours: Vec<Side> = sides.iter().copied().filter(|side| side.is_ours()).collect();
    let mut table = plain_table();
    table.set_header(["", "goal"].map(String::from).into_iter().chain(ours.iter().map(|side| side.label())));
    for job in &outcome.jobs {
        for row in &job.rows {
            let name = format!("{}: {}", job.job, row.row);
            for line in lines(row, &ours) {
                table.add_row([name.clone()].into_iter().chain(line));
            }
        }
    }
    if table.is_empty() {
        String::new()
    } else {
        format!("goals, beside the kernel's AIO\n{}\n\n", table.trim_fmt())
    }
}

/// One line for each goal of the row that is for one of them: the goal, and each side's part.
fn lines(row: &RowOutcome, ours: &[Side]) -> Vec<Vec<String>> {
    let of = |side: &Side| row.sides.iter().find(|outcome| outcome.side == side.key());
    let count = ours.iter().filter_map(of).map(|side| side.goals.len()).max().unwrap_or(0);
    let line = |nth: usize| {
        let all: Vec<_> = ours.iter().map(|side| of(side).and_then(|side| side.goals.get(nth))).collect();
        let goal = all.iter().flatten().find(|goal| goal.verdict.is_some())?;
        let cells = all.iter().map(|goal| goal.map_or("-".into(), |goal| cell(row, goal)));
        Some([goal.goal.clone()].into_iter().chain(cells).collect())
    };
    (0..count).filter_map(line).collect()
}

/// "1.52x reached"; where the goal is for another engine, "1.52x".
fn cell(row: &RowOutcome, goal: &GoalOutcome) -> String {
    let figure = goal.figure.map(|m| match (goal.is_ratio, m.median < 10.0) {
        (true, true) => format!("{:.2}x", m.median),
        (true, false) => format!("{:.0}x", m.median),
        (false, _) => figure(m.median, row.unit),
    });
    let words = goal.verdict.map(|verdict| verdict.words().to_string());
    let all: Vec<String> = figure.into_iter().chain(words).collect();
    if all.is_empty() { "-".into() } else { all.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::super::goal::Goal;
    use super::super::goals::Aim;
    use super::super::job::{Row, Unit};
    use super::super::outcome::JobOutcome;
    use super::super::outcome::tests::series;
    use super::*;

    #[test]
    fn a_line_for_each_goal() {
        let sides = [Side::Kernel, Side::Ours("uring"), Side::Ours("threads")];
        let measured = [series(sides[0], 100.0, 10.0), series(sides[1], 150.0, 20.0), series(sides[2], 50.0, 9.0)];
        let [dearer, both] = [Goal::NotDearer, Goal::Times(1.2)].map(|goal| Aim { engine: None, goal });
        let aim = |engine, times| Aim { engine: Some(engine), goal: Goal::Times(times) };
        let aims = [both, dearer, aim("threads", 0.4), aim("auto", 3.0)];
        let row = |name, goals| RowOutcome::of(&Row::new(name, Unit::PerSecond), goals, &measured);
        let rows = vec![row("qd1", &aims[..]), row("qd2", &[])];
        let mut outcome = Outcome::empty();
        outcome.jobs = vec![JobOutcome { job: "j", what: "w", rows }];
        let text = goals(&outcome, &sides);
        let lines: Vec<&str> = text.lines().collect();
        let has = |line: usize, words: &[&str]| words.iter().all(|word| lines[line].contains(word));
        assert!(
            has(1, &["uaio uring", "uaio threads"]) && has(2, &["j: qd1", "1.50x reached", "0.50x MISSED"]),
            "{text}"
        );
        assert!(has(3, &["not shown dearer", "2.00x MISSED", "0.90x reached"]), "{text}");
        // What an engine reached that has no such goal stands without a verdict; a goal that is for none of them does not stand.
        assert!(has(4, &["≥ 0.40x", "1.50x  ", "0.50x reached"]) && lines.len() == 6, "{text}");
        outcome.jobs.clear();
        assert_eq!(goals(&outcome, &sides), "");
    }
}
