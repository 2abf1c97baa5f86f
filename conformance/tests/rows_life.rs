//! Every row of the semantics about rings, reaping, cancelling, destroying, processes and libaio that was tried on Linux
//! has a case, or says why it has none; and every case names rows that exist.

use std::collections::HashSet;

use uaio_conformance::cases;
use uaio_conformance::rows::{self, Known, Row};

const SECTIONS: [&str; 8] = ["1.reap.", "1.lookup.", "3.", "4.", "5.", "6.", "7.", "11."];

fn is_here(id: &str) -> bool {
    SECTIONS.iter().any(|section| id.starts_with(section))
}

fn rows_here() -> Vec<Row> {
    rows::all().into_iter().filter(|row| is_here(row.id)).collect()
}

#[test]
fn each_row_that_was_tried_has_a_case_or_a_reason() {
    let cases = cases::all();
    let stated: HashSet<&str> = cases.iter().flat_map(uaio_conformance::case::Case::rows).collect();
    let bare: Vec<&str> = rows_here()
        .iter()
        .filter(|row| row.known == Known::Tried && row.without_case.is_none() && !stated.contains(row.id))
        .map(|row| row.id)
        .collect();
    assert!(bare.is_empty(), "no case for {bare:?}");
}

#[test]
fn each_row_that_a_case_names_exists() {
    let ids: HashSet<&str> = rows_here().iter().map(|row| row.id).collect();
    let unknown: Vec<String> = cases::all()
        .iter()
        .flat_map(|case| case.rows().map(|row| format!("{}: {row}", case.name)).collect::<Vec<_>>())
        .filter(|text| text.split_once(": ").is_some_and(|(_, row)| is_here(row) && !ids.contains(row)))
        .collect();
    assert!(unknown.is_empty(), "no such rows: {unknown:?}");
}

#[test]
fn ids_and_names_are_unique() {
    let rows = rows_here();
    let ids: HashSet<&str> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), rows.len());
    let cases = cases::all();
    let names: HashSet<&str> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len());
}
