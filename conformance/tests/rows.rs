//! The rows of the semantics and the cases name each other.

use std::collections::HashSet;

use uaio_conformance::cases;
use uaio_conformance::rows::{self, Known};

fn section(id: &str) -> &str {
    id.split('.').next().unwrap()
}

/// Fails with what was found to be wrong, one a line.
fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What occurs more than once.
fn twice<'a>(all: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = HashSet::new();
    all.filter(|one| !seen.insert(*one)).map(|one| format!("{one} is there twice")).collect()
}

#[test]
fn names_of_cases_are_unique() {
    none(twice(cases::all().iter().map(|c| c.name)));
}

#[test]
fn ids_of_rows_are_unique() {
    none(twice(rows::all().iter().map(|r| r.id)));
}

#[test]
fn a_row_that_a_case_names_exists() {
    let rows = rows::all();
    let ids: HashSet<&str> = rows.iter().map(|r| r.id).collect();
    let sections: HashSet<&str> = ids.iter().map(|id| section(id)).collect();
    let wrong = |c: &uaio_conformance::case::Case| {
        let lost = c.rows().filter(|id| sections.contains(section(id)) && !ids.contains(id));
        lost.map(|id| format!("{} names row {id}", c.name)).collect::<Vec<_>>()
    };
    none(cases::all().iter().flat_map(wrong).collect());
}

#[test]
fn a_row_that_was_tried_has_a_case_or_a_reason() {
    let cases = cases::all();
    let named: HashSet<&str> = cases.iter().flat_map(|c| c.rows()).collect();
    let lacks = |r: &&rows::Row| r.known == Known::Tried && r.without_case.is_none() && !named.contains(r.id);
    none(rows::all().iter().filter(lacks).map(|r| format!("{} has no case: {}", r.id, r.says)).collect());
}

#[test]
fn a_row_with_a_reason_has_no_case() {
    let cases = cases::all();
    let named: HashSet<&str> = cases.iter().flat_map(|c| c.rows()).collect();
    let both = |r: &&rows::Row| r.without_case.is_some() && named.contains(r.id);
    none(rows::all().iter().filter(both).map(|r| format!("{} has a case and a reason for none", r.id)).collect());
}
