//! docs/semantics.md: the rows, with the cases that state them.

use std::fmt::Write;

use crate::case::{Case, Level};
use crate::cases;
use crate::list::stating;
use crate::rows::{self, Known, Row};

const SECTIONS: [(&str, &str); 9] = [
    ("0", "Numbers and layouts"),
    ("1", "io_setup, and the ring"),
    ("2", "io_submit"),
    ("3", "io_getevents and io_pgetevents"),
    ("4", "io_cancel"),
    ("5", "io_destroy"),
    ("6", "Processes and eventfds"),
    ("7", "libaio"),
    ("11", "Manual pages and Linux"),
];

/// Groups within sections: `SECTION.GROUP.NUMBER`.
const GROUPS: [(&str, &str); 20] = [
    ("size", "Size and quota"),
    ("context", "The context"),
    ("ring", "The ring"),
    ("reap", "Reaping in user space"),
    ("lookup", "Finding the context"),
    ("copy", "Copying"),
    ("partial", "Short counts"),
    ("rw", "Checks of reads and writes"),
    ("fsync", "Checks of fsync"),
    ("poll", "POLL"),
    ("event", "Errors in events"),
    ("data", "Results"),
    ("done", "When it is done"),
    ("wait", "Waiting"),
    ("signal", "Signals"),
    ("life", "Life of a process"),
    ("resfd", "RESFD"),
    ("rule", "Rules of the functions"),
    ("sym", "Symbols"),
    ("header", "Headers"),
];

const HEAD: &str = "\
# What Linux AIO does

Every row is a statement about Linux 6.18 on x86-64, and names the conformance cases that state it. *Tried* means that it
was seen there, on the kernel itself; *read* that it was only read, in a manual page or elsewhere. Where uaio differs,
[decisions.md](decisions.md) says why. The cases run with `uaio conformance`; what they found is in
[conformance/results](../conformance/results).

This page is generated from `conformance/src/rows` and the cases: `cargo run -p uaio-conformance -- --semantics >
docs/semantics.md` writes it, and a test fails when it is out of date.

";

/// The whole page.
pub fn page() -> String {
    let (rows, cases) = (rows::all(), cases::all());
    let mut page = HEAD.to_owned() + &counts(&rows, &cases);
    for (number, title) in SECTIONS {
        let own: Vec<&Row> = rows.iter().filter(|row| section(row) == number).collect();
        if !own.is_empty() {
            let _ = write!(page, "\n## {number}. {title}\n");
            page += &if number == "11" { manual(&own, &cases) } else { groups(&own, &cases) };
        }
    }
    page
}

/// How many there are.
fn counts(rows: &[Row], cases: &[Case]) -> String {
    let tried = rows.iter().filter(|row| row.known == Known::Tried).count();
    let [contract, linux, quirk] = [Level::Contract, Level::Linux, Level::Quirk]
        .map(|level| cases.iter().filter(|case| case.level == level).count());
    format!(
        "{} rows, {tried} of them tried; {} cases: {contract} of what the manual promises (contract), {linux} of what\n\
        Linux does and programs may depend on (linux), {quirk} of what it happens to do (quirk).\n",
        rows.len(),
        cases.len(),
    )
}

fn section(row: &Row) -> &'static str {
    row.id.split('.').next().unwrap_or_default()
}

fn group(row: &Row) -> &'static str {
    let mut parts = row.id.split('.').skip(1);
    parts.next().filter(|_| parts.next().is_some()).unwrap_or_default()
}

/// A table for each run of rows of the same group.
fn groups(rows: &[&Row], cases: &[Case]) -> String {
    let mut text = String::new();
    for table in rows.chunk_by(|a, b| group(a) == group(b)) {
        let name = group(table[0]);
        if !name.is_empty() {
            let title = GROUPS.iter().find(|(short, _)| *short == name).map_or(name, |(_, title)| title);
            let _ = write!(text, "\n### {title}\n");
        }
        text += "\n| row | Linux | known | cases |\n|---|---|---|---|\n";
        table.iter().for_each(|row| text += &line(row, cases));
    }
    text
}

fn line(row: &Row, cases: &[Case]) -> String {
    let known = if row.known == Known::Tried { "tried" } else { "read" };
    format!("| {} | {} | {known} | {} |\n", row.id, cell(row.says), names(row, cases))
}

/// Section 11, whose rows say `CALL. Manual: … Linux: … Ours: …`.
fn manual(rows: &[&Row], cases: &[Case]) -> String {
    let mut text = "\n| row | call | manual | Linux | uaio | cases |\n|---|---|---|---|---|---|\n".to_owned();
    for row in rows {
        let [call, manual, linux, ours] = sides(row.says).map(cell);
        let _ = writeln!(text, "| {} | {call} | {manual} | {linux} | {ours} | {} |", row.id, names(row, cases));
    }
    text
}

/// What does not follow the form stands in the first.
fn sides(says: &str) -> [&str; 4] {
    let whole = [says, "", "", ""];
    let Some((call, rest)) = says.split_once(" Manual: ") else { return whole };
    let Some((manual, rest)) = rest.split_once(" Linux: ") else { return whole };
    let (linux, ours) = rest.split_once(" Ours: ").unwrap_or((rest, ""));
    [call.trim_end_matches('.'), manual, linux, ours]
}

fn names(row: &Row, cases: &[Case]) -> String {
    let names: Vec<String> = stating(cases, row.id).iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { row.without_case.map_or_else(String::new, cell) } else { names.join("<br>") }
}

/// As a cell of a table holds it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('*', "\\*").replace('<', "\\<")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_and_groups() {
        let row = |id| Row { id, says: "", known: Known::Read, without_case: None };
        assert_eq!((section(&row("11.3")), group(&row("11.3"))), ("11", ""));
        assert_eq!((section(&row("2.rw.3")), group(&row("2.rw.3"))), ("2", "rw"));
    }

    #[test]
    fn manual_rows_are_split() {
        let says = "io_cancel. Manual: 0. Linux: EINPROGRESS. Ours: as Linux.";
        assert_eq!(sides(says), ["io_cancel", "0.", "EINPROGRESS.", "as Linux."]);
        assert_eq!(sides("a | b")[0], "a | b");
        assert_eq!(cell("a | *b_c <"), "a \\| \\*b_c \\<");
    }

    #[test]
    fn every_row_has_its_section() {
        let lost: Vec<&str> =
            rows::all().iter().filter(|r| SECTIONS.iter().all(|s| s.0 != section(r))).map(|r| r.id).collect();
        assert!(lost.is_empty(), "{lost:?}");
    }
}
