//! The summary as a table for people, or as JSON.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::failure::Failure;
use crate::percentiles::Percentiles;
use crate::summary::{Calls, Latencies, Process, Requests};
use crate::units::{bytes, count, duration};

/// The JSON document.
#[derive(Debug, Serialize)]
struct Document<'p> {
    uaio: &'static str,
    processes: &'p [Process],
    /// AIO calls in the program's code that nobody counts.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    past_uaio: &'p [String],
}

/// On stderr, or into `file`: JSON when its name ends in .json. `past_uaio` are the AIO calls that the program makes
/// by instructions of its own, where no request was counted.
pub fn write_summary(processes: &[Process], past_uaio: &[String], file: Option<&Path>) -> Result<(), Failure> {
    let text = || tables(processes) + &unseen(past_uaio);
    let Some(file) = file else {
        let _ = io::stderr().write_all(text().as_bytes());
        return Ok(());
    };
    let is_json = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let text = if is_json { document(processes, past_uaio) } else { text() };
    fs::write(file, text).map_err(|e| Failure::plain(format!("{}: {e}", file.display())))
}

/// All processes as one JSON document.
pub fn json(processes: &[Process]) -> String {
    document(processes, &[])
}

fn document(processes: &[Process], past_uaio: &[String]) -> String {
    let document = Document { uaio: env!("CARGO_PKG_VERSION"), processes, past_uaio };
    let text = serde_json::to_string_pretty(&document).expect("only strings and numbers");
    text + "\n"
}

/// All processes, one table each.
pub fn tables(processes: &[Process]) -> String {
    if processes.is_empty() {
        return "uaio: no AIO call was seen\n".into();
    }
    processes.iter().map(table).collect::<Vec<_>>().join("\n")
}

fn unseen(past_uaio: &[String]) -> String {
    if past_uaio.is_empty() {
        return String::new();
    }
    let lines: String = past_uaio.iter().map(|line| format!("  {line}\n")).collect();
    format!("uaio: the program makes AIO calls that go past uaio:\n{lines}")
}

/// One process: what it did, and how long that took.
pub fn table(process: &Process) -> String {
    let heading = format!("uaio: {} (pid {}), engine {}\n", process.program, process.pid, process.engine);
    let mut facts = plain_table();
    for (name, value) in facts_of(process) {
        facts.add_row([name.to_string(), value]);
    }
    let times = process.latency.as_ref().map(|latency| format!("\n{}\n", latencies(latency)));
    format!("{heading}{}\n{}", facts.trim_fmt(), times.unwrap_or_default())
}

fn facts_of(process: &Process) -> Vec<(&'static str, String)> {
    let Process { contexts, calls, requests, events, errors, short_submissions: short, .. } = process;
    let mut made = tally(contexts.created, contexts.never_destroyed, "destroyed");
    if contexts.failed > 0 {
        made += &format!("; {} not created", count(contexts.failed));
    }
    vec![
        ("contexts", made),
        ("requests", requests_made(requests)),
        ("executed by", listed(&requests.by_engine)),
        ("data", format!("{} read, {} written", bytes(process.bytes_read), bytes(process.bytes_written))),
        ("events", tally(events.total, events.never_reaped, "reaped")),
        ("calls", calls_made(calls)),
        ("failed calls", listed(&errors.calls)),
        ("failed requests", listed(&errors.events)),
        ("short submits", tally(short.total, short.never_resubmitted, "resubmitted")),
    ]
}

fn requests_made(requests: &Requests) -> String {
    let opcodes = listed(&requests.by_opcode);
    if requests.total == 0 { opcodes } else { format!("{}: {opcodes}", count(requests.total)) }
}

/// "none", "12, all reaped", or "12, 3 not reaped".
fn tally(total: u64, missing: u64, done: &str) -> String {
    match (total, missing) {
        (0, 0) => "none".into(),
        (_, 0) => format!("{}, all {done}", count(total)),
        _ => format!("{}, {} not {done}", count(total), count(missing)),
    }
}

fn calls_made(calls: &Calls) -> String {
    let both = format!("{} io_submit, {} io_getevents", count(calls.io_submit), count(calls.io_getevents));
    if calls.io_cancel > 0 { format!("{both}, {} io_cancel", count(calls.io_cancel)) } else { both }
}

/// "10 PREAD, 2 PWRITE", the largest first; or "none".
fn listed<K: AsRef<str>>(counts: &BTreeMap<K, u64>) -> String {
    let mut all: Vec<_> = counts.iter().collect();
    all.sort_by_key(|(_, number)| Reverse(**number));
    let words: Vec<_> =
        all.iter().map(|(name, number)| format!("{} {}", count(**number), name.as_ref())).collect();
    if words.is_empty() { "none".into() } else { words.join(", ") }
}

fn latencies(latency: &Latencies) -> String {
    let mut table = plain_table();
    table.set_header(["", "p50", "p90", "p99", "p99.9", "max"]);
    for (name, p) in [("io_submit", &latency.io_submit), ("completion", &latency.completion)] {
        table.add_row(row(name, p));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

fn row(name: &str, p: &Percentiles) -> Vec<String> {
    let times = [p.p50_ns, p.p90_ns, p.p99_ns, p.p99_9_ns, p.max_ns]
        .map(|ns| if p.count == 0 { "-".into() } else { duration(ns as f64) });
    [name.to_string()].into_iter().chain(times).collect()
}

/// Columns and nothing else.
pub fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn what_is_left_behind_is_said() {
        let stats = crate::summary::tests::counters();
        let quiet = table(&Process::from(&*stats));
        assert!(
            quiet.starts_with("uaio: fio (pid 77), engine auto\n") && quiet.contains("requests         none"),
            "{quiet}"
        );
        stats.setups.store(2, Relaxed);
        stats.destroys.store(2, Relaxed);
        stats.events.store(12_345, Relaxed);
        stats.reaped.store(12_342, Relaxed);
        stats.short_submits.store(4, Relaxed);
        stats.short_pending.store(1, Relaxed);
        stats.call_error(libc::EAGAIN);
        stats.timed.store(1, Relaxed);
        stats.submit_ns.record(1000);
        let text = table(&Process::from(&*stats));
        let expected = ["2, all destroyed", "12,345, 3 not reaped", "4, 1 not resubmitted", "1 EAGAIN", "1.02 us"];
        assert!(expected.iter().all(|words| text.contains(words)), "{text}");
        let completion = text.lines().find(|line| line.contains("completion")).unwrap();
        assert!(completion.trim_end().ends_with('-'), "{text}");
    }

    #[test]
    fn nothing_at_all() {
        assert_eq!(tables(&[]), "uaio: no AIO call was seen\n");
    }
}
