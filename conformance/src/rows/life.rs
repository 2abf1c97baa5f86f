//! Sections 1 (ring and lookup), 3 to 7, and 11: io_getevents, io_cancel, io_destroy, the life of a process, libaio,
//! manual against kernel.

mod cancel_destroy;
mod getevents;
mod libaio;
mod manual;
mod process;
mod ring;

use super::{Known, Row};

pub fn rows() -> Vec<Row> {
    let sections =
        [ring::rows(), getevents::rows(), cancel_destroy::rows(), process::rows(), libaio::rows(), manual::rows()];
    sections.into_iter().flatten().collect()
}

fn tried(id: &'static str, says: &'static str) -> Row {
    Row { id, says, known: Known::Tried, without_case: None }
}

fn read(id: &'static str, says: &'static str) -> Row {
    Row { id, says, known: Known::Read, without_case: None }
}

fn without_case(why: &'static str, row: Row) -> Row {
    Row { without_case: Some(why), ..row }
}
