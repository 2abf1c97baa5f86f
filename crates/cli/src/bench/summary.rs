//! All goals in one table: what was to be reached, and how far each engine came.

use super::goal::figure;
use super::outcome::{Outcome, RowOutcome, SideOutcome};
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

/// One line for each goal of the row: the goal, and each side's part.
fn lines(row: &RowOutcome, ours: &[Side]) -> Vec<Vec<String>> {
    let of = |side: &Side| row.sides.iter().find(|outcome| outcome.side == side.key());
    let Some(most) = ours.iter().filter_map(of).max_by_key(|side| side.goals.len()) else { return vec![] };
    let line = |nth: usize| {
        let cells = ours.iter().map(|side| of(side).map_or(String::new(), |outcome| cell(row, outcome, nth)));
        [most.goals[nth].goal.clone()].into_iter().chain(cells).collect()
    };
    (0..most.goals.len()).map(line).collect()
}

/// "1.52x reached".
fn cell(row: &RowOutcome, side: &SideOutcome, nth: usize) -> String {
    let Some(goal) = side.goals.get(nth) else { return "-".into() };
    let figure = goal.figure.map_or(String::new(), |m| match (goal.is_ratio, m.median < 10.0) {
        (true, true) => format!("{:.2}x ", m.median),
        (true, false) => format!("{:.0}x ", m.median),
        (false, _) => figure(m.median, row.unit) + " ",
    });
    figure + goal.verdict.words()
}

#[cfg(test)]
mod tests {
    use super::super::goal::Goal;
    use super::super::job::{Row, Unit};
    use super::super::outcome::JobOutcome;
    use super::super::outcome::tests::series;
    use super::*;

    #[test]
    fn a_line_for_each_goal() {
        let sides = [Side::Kernel, Side::Ours("uring"), Side::Ours("threads")];
        let measured = [series(sides[0], 100.0, 10.0), series(sides[1], 150.0, 20.0), series(sides[2], 50.0, 9.0)];
        let row = Row::new("qd1", Unit::PerSecond).goal(Goal::Times(1.2)).goal(Goal::NotDearer);
        let rows =
            vec![RowOutcome::of(&row, &measured), RowOutcome::of(&Row::new("qd2", Unit::PerSecond), &measured)];
        let mut outcome = Outcome::empty();
        outcome.jobs = vec![JobOutcome { job: "j", what: "w", rows }];
        let text = goals(&outcome, &sides);
        let lines: Vec<&str> = text.lines().collect();
        let has = |line: usize, words: &[&str]| words.iter().all(|word| lines[line].contains(word));
        assert!(
            has(1, &["uaio uring", "uaio threads"]) && has(2, &["j: qd1", "1.50x reached", "0.50x MISSED"]),
            "{text}"
        );
        assert!(has(3, &["not shown dearer", "2.00x MISSED", "0.90x reached"]) && lines.len() == 5, "{text}");
        outcome.jobs.clear();
        assert_eq!(goals(&outcome, &sides), "");
    }
}
