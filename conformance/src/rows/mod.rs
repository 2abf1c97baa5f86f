//! What Linux AIO does, row by row, in the words of docs/semantics.md. A case names the rows that it states.

mod calls;
mod life;

/// How a row is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Tried on Linux 6.18: it has a case.
    Tried,
    /// Read in a manual page or a description; a case is welcome.
    Read,
}

/// One row.
pub struct Row {
    /// `SECTION.NUMBER`, or `SECTION.GROUP.NUMBER`: what a case's source calls `spec ID`.
    pub id: &'static str,
    /// What the calls do.
    pub says: &'static str,
    pub known: Known,
    /// Why a row that was tried has no case, if so.
    pub without_case: Option<&'static str>,
}

/// All of them, in order.
pub fn all() -> Vec<Row> {
    [calls::rows(), life::rows()].into_iter().flatten().collect()
}
