//! Sections 0, 1 and 2: numbers and layouts, io_setup, io_submit.

use super::{Known, Row};

mod fields;
mod results;
mod setup;
mod submit;
mod transfers;

pub fn rows() -> Vec<Row> {
    [fields::rows(), setup::rows(), submit::rows(), transfers::rows(), results::rows()]
        .into_iter()
        .flatten()
        .collect()
}

fn tried(id: &'static str, says: &'static str) -> Row {
    Row { id, says, known: Known::Tried, without_case: None }
}

fn read(id: &'static str, says: &'static str) -> Row {
    Row { id, says, known: Known::Read, without_case: None }
}
