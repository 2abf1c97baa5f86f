//! Tables that a person understands at a glance.

use comfy_table::CellAlignment;

use super::goal::figure;
use super::job::{CPU, Unit};
use super::median::Median;
use super::outcome::{JobOutcome, Outcome, RowOutcome, SideOutcome};
use crate::report::plain_table;
use crate::units::duration;

/// Characters of the longest bar.
const BAR: usize = 12;

/// Where it is measured.
pub fn heading(file: &str, pairs: usize) -> String {
    let (kernel, processors) = (kernel(), processors());
    format!("Linux {kernel}, {processors} processors, {file}; up to {pairs} samples each, all sides in turn")
}

/// The kernel's release.
pub fn kernel() -> String {
    nix::sys::utsname::uname().map_or_else(|_| "?".into(), |names| names.release().to_string_lossy().into())
}

/// Processors that we may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How busy the machine was with other things.
pub fn load(outcome: &Outcome) -> String {
    let Outcome { load_before: before, load_after: after, processors, .. } = outcome;
    let busy = if *before > *processors as f64 { ": busy, so intervals are wide" } else { "" };
    format!("load {before:.1} before, {after:.1} after{busy}\n")
}

/// One job.
pub fn job(outcome: &JobOutcome) -> String {
    let mut table = plain_table();
    table.set_header(["", "", "median", "95 % interval", "", "times kernel", "CPU each", "goal", "verdict"]);
    for row in &outcome.rows {
        for (i, side) in row.sides.iter().enumerate() {
            let name = if i == 0 { row.row.as_str() } else { "" };
            for line in lines(name, row, side) {
                table.add_row(line);
            }
        }
    }
    for column in table.column_iter_mut().skip(2).take(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let remarks: String = outcome.rows.iter().flat_map(remarks).collect();
    format!("{}: {}\n{}\n{remarks}", outcome.job, outcome.what, table.trim_fmt())
}

/// One line, or one for each goal.
fn lines(name: &str, row: &RowOutcome, side: &SideOutcome) -> Vec<[String; 9]> {
    let mut first = [const { String::new() }; 9];
    (first[0], first[1], first[2]) = (name.into(), side.label.clone(), "-".into());
    let Some(m) = side.median else { return vec![first] };
    first[2] = figure(m.median, row.unit);
    first[3] = format!("{} .. {}", figure(m.low, row.unit), figure(m.high, row.unit));
    first[4] = bar(row, m);
    first[5] = side.times.map_or(String::new(), times);
    first[6] = side.notes.get(CPU).map_or(String::new(), |m| duration(m.median));
    let mut goals =
        side.goals.iter().filter_map(|goal| Some((goal.goal.clone(), goal.verdict?.words().to_string())));
    (first[7], first[8]) = goals.next().unwrap_or_default();
    let more = goals.map(|(goal, verdict)| {
        let mut line = [const { String::new() }; 9];
        (line[7], line[8]) = (goal, verdict);
        line
    });
    [first].into_iter().chain(more).collect()
}

/// "1.30x (1.20 .. 1.41)".
fn times(m: Median) -> String {
    let digits = if m.median < 10.0 { 2 } else { 0 };
    format!("{:.digits$}x ({:.digits$} .. {:.digits$})", m.median, m.low, m.high)
}

/// A bar, as long as the figure in relation to the row's largest.
fn bar(row: &RowOutcome, m: Median) -> String {
    let largest = row.sides.iter().filter_map(|side| side.median).map(|m| m.median).fold(0.0, f64::max);
    let eighths = (m.median.max(0.0) / largest * (BAR * 8) as f64).round() as usize;
    let partial = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + partial
}

/// What the figures do not say.
fn remarks(row: &RowOutcome) -> Vec<String> {
    let missing = row.sides.iter().filter_map(|side| {
        let why = side.not_measured.as_ref()?;
        Some(format!("  {}, {}: {why}\n", row.row, side.label))
    });
    let complaints = row.sides.iter().flat_map(|side| {
        side.complaints.iter().map(|complaint| format!("  WRONG {}, {}: {complaint}\n", row.row, side.label))
    });
    missing.chain(complaints).chain(noted(row)).collect()
}

/// The other figures of a row: names end in their unit.
fn noted(row: &RowOutcome) -> Vec<String> {
    let mut names: Vec<&String> = row.sides.iter().flat_map(|side| side.notes.keys()).collect();
    names.sort();
    names.dedup();
    let lines = names.into_iter().filter(|name| *name != CPU).map(|name| {
        let sides = row.sides.iter().filter_map(|side| {
            let median = side.notes.get(name)?.median;
            Some(format!("{} {}", side.label, figure(median, Unit::Nanoseconds)))
        });
        let sides: Vec<String> = sides.collect();
        format!("  {}, {}: {}\n", row.row, name.trim_end_matches("_ns").replace('_', " "), sides.join(", "))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::super::goal::Goal;
    use super::super::goals::Aim;
    use super::super::interleave::Series;
    use super::super::job::Row;
    use super::super::outcome::tests::series;
    use super::super::side::Side;
    use super::*;

    fn table(series: &[Series]) -> String {
        let aim = |engine, times| Aim { engine: Some(engine), goal: Goal::Times(times) };
        let goals = [aim("auto", 4.5), aim("uring", 1.3), Aim { engine: None, goal: Goal::NotDearer }];
        let row = RowOutcome::of(&Row::new("qd1", Unit::PerSecond), &goals, series);
        job(&JobOutcome { job: "direct-read", what: "reads", rows: vec![row] })
    }

    #[test]
    fn both_sides_the_ratio_and_the_verdicts() {
        let text = table(&[series(Side::Kernel, 20_000.0, 9e3), series(Side::Ours("uring"), 30_000.0, 18e3)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "direct-read: reads");
        let has = |line: usize, words: &[&str]| words.iter().all(|word| lines[line].contains(word));
        assert!(has(2, &["qd1", "kernel AIO", "20.0 k/s", "████████ ", "9.00 us"]), "{text}");
        assert!(has(3, &["uaio uring", "1.50x (1.50 .. 1.50)", "≥ 1.30x", "reached"]), "{text}");
        assert!(has(4, &["not shown dearer", "MISSED"]), "{text}");
    }

    #[test]
    fn what_could_not_be_measured_is_said() {
        let missing = Series {
            side: Side::Kernel,
            readings: vec![],
            rounds: vec![],
            failed: Some("io_setup: ENOSYS".into()),
        };
        let text = table(&[missing, series(Side::Ours("uring"), 30_000.0, 1.0)]);
        assert!(text.contains("qd1, kernel AIO: io_setup: ENOSYS") && text.contains("not compared"), "{text}");
    }
}
