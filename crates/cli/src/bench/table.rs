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

/// Where it was measured.
pub fn heading(outcome: &Outcome) -> String {
    let Outcome { kernel, processors, file, pairs, load_before, load_after, .. } = outcome;
    let load = format!("load {load_before:.1} before, {load_after:.1} after");
    let busy = if load_before.max(*load_after) > *processors as f64 { " (busy: intervals are wide)" } else { "" };
    format!("Linux {kernel}, {processors} processors, {file}; {load}{busy}\nup to {pairs} samples each, all sides in turn\n")
}

/// One job.
pub fn job(outcome: &JobOutcome) -> String {
    let mut table = plain_table();
    table.set_header(["", "", "median", "95 % interval", "", "times kernel", "CPU each", "goal", ""]);
    for row in &outcome.rows {
        for (i, side) in row.sides.iter().enumerate() {
            let name = if i == 0 { row.row.as_str() } else { "" };
            for line in lines(name, row, side) {
                table.add_row(line);
            }
        }
    }
    for column in table.column_iter_mut().skip(2).take(2).chain([]) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let remarks: String = outcome.rows.iter().flat_map(remarks).collect();
    format!("{}: {}\n{}\n{remarks}", outcome.job, outcome.what, table.trim_fmt())
}

/// One line, or one for each goal.
fn lines(name: &str, row: &RowOutcome, side: &SideOutcome) -> Vec<[String; 9]> {
    let Some(m) = side.median else {
        let [empty, also] = [String::new(), String::new()];
        let why = ["-".into(), empty, also, String::new(), String::new(), String::new(), String::new()];
        let [a, b, c, d, e, f, g] = why;
        return vec![[name.into(), side.label.clone(), a, b, c, d, e, f, g]];
    };
    let interval = format!("{} .. {}", figure(m.low, row.unit), figure(m.high, row.unit));
    let cpu = side.notes.get(CPU).map_or(String::new(), |m| duration(m.median));
    let times = side.times.map_or(String::new(), times);
    let mut goals = side.goals.iter().map(|goal| (goal.goal.clone(), goal.words.to_string()));
    let (goal, verdict) = goals.next().unwrap_or_default();
    let value = figure(m.median, row.unit);
    let first = [name.into(), side.label.clone(), value, interval, bar(row, m), times, cpu, goal, verdict];
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
    let notes = row.sides.iter().filter_map(|side| noted(row, side));
    missing.chain(complaints).chain(notes).collect()
}

/// The other figures of a side: names end in their unit.
fn noted(row: &RowOutcome, side: &SideOutcome) -> Option<String> {
    let notes = side.notes.iter().filter_map(|(name, m)| {
        let name = name.strip_suffix("_ns").filter(|_| name != CPU)?;
        Some(format!("{} {}", name.replace('_', " "), figure(m.median, Unit::Nanoseconds)))
    });
    let notes: Vec<String> = notes.collect();
    (!notes.is_empty()).then(|| format!("  {}, {}: {}\n", row.row, side.label, notes.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::goal::Goal;
    use super::super::interleave::Series;
    use super::super::job::Row;
    use super::super::outcome::tests::series;
    use super::super::side::Side;
    use super::*;

    fn table(series: &[Series]) -> String {
        let row = Row::new("qd1", Unit::PerSecond).goal(Goal::Times(1.3)).goal(Goal::NotDearer);
        job(&JobOutcome { job: "direct-read", what: "reads", rows: vec![RowOutcome::of(&row, series)] })
    }

    #[test]
    fn both_sides_the_ratio_and_the_verdicts() {
        let text = table(&[series(Side::Kernel, 20_000.0, 9e3), series(Side::Ours("uring"), 30_000.0, 18e3)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "direct-read: reads");
        let has = |line: usize, words: &[&str]| words.iter().all(|word| lines[line].contains(word));
        assert!(has(2, &["qd1", "kernel AIO", "20.0 k/s", "████████ ", "9.00 us"]), "{text}");
        assert!(has(3, &["uaio uring", "1.50x (1.50 .. 1.50)", "≥ 1.30x", "reached"]), "{text}");
        assert!(has(4, &["no more CPU", "MISSED"]), "{text}");
    }

    #[test]
    fn what_could_not_be_measured_is_said() {
        let missing = Series { side: Side::Kernel, readings: vec![], failed: Some("io_setup: ENOSYS".into()) };
        let text = table(&[missing, series(Side::Ours("uring"), 30_000.0, 1.0)]);
        assert!(text.contains("qd1, kernel AIO: io_setup: ENOSYS") && text.contains("no kernel AIO"), "{text}");
    }
}
