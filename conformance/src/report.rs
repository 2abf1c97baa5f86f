//! How results are shown. Nothing in it changes from run to run when the outcomes do not.

mod json;
mod table;
mod tap;

use serde::Serialize;

use crate::case::{Case, Level};
use crate::options::Format;
use crate::rows;
use crate::runner::Outcome;

/// How many cases ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    pub passed: usize,
    pub failed: usize,
    pub not_applicable: usize,
}

/// By level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Score {
    pub contract: Count,
    pub linux: Count,
    pub quirk: Count,
}

impl Score {
    pub fn count(&mut self, level: Level, outcome: &Outcome) {
        let count = match level {
            Level::Contract => &mut self.contract,
            Level::Linux => &mut self.linux,
            Level::Quirk => &mut self.quirk,
        };
        match outcome {
            Outcome::Passed => count.passed += 1,
            Outcome::Failed(_) => count.failed += 1,
            Outcome::NotApplicable(_) => count.not_applicable += 1,
        }
    }

    pub fn failed(&self) -> usize {
        self.all().failed
    }

    fn all(&self) -> Count {
        let levels = [self.contract, self.linux, self.quirk];
        Count {
            passed: levels.iter().map(|c| c.passed).sum(),
            failed: levels.iter().map(|c| c.failed).sum(),
            not_applicable: levels.iter().map(|c| c.not_applicable).sum(),
        }
    }
}

/// Makes the texts of a run, piece by piece.
pub enum Report {
    Table(table::Table),
    Tap(tap::Tap),
    Json(json::Json),
}

impl Report {
    /// Of `cases` cases on what is called `title`.
    pub fn new(format: Format, title: &str, cases: usize) -> Report {
        match format {
            Format::Table => Report::Table(table::Table::new(title)),
            Format::Tap => Report::Tap(tap::Tap::new(title, cases)),
            Format::Json => Report::Json(json::Json::new(title)),
        }
    }

    pub fn start(&mut self) -> String {
        match self {
            Report::Table(table) => table.start(),
            Report::Tap(tap) => tap.start(),
            Report::Json(_) => String::new(),
        }
    }

    pub fn case(&mut self, case: &Case, outcome: &Outcome) -> String {
        match self {
            Report::Table(table) => table.case(case, outcome),
            Report::Tap(tap) => tap.case(case, outcome),
            Report::Json(json) => {
                json.case(case, outcome);
                String::new()
            }
        }
    }

    pub fn end(&mut self, score: &Score) -> String {
        match self {
            Report::Table(_) => table::Table::end(score),
            Report::Tap(_) => String::new(),
            Report::Json(json) => json.end(score),
        }
    }
}

/// Why a case expects what it expects: the rows that it states, else its name in words.
fn why(case: &Case) -> String {
    let all = rows::all();
    let says: Vec<&str> =
        case.rows().filter_map(|id| all.iter().find(|row| row.id == id)).map(|row| row.says).collect();
    if says.is_empty() { case.name.replace(['/', '_'], " ") } else { says.join("\n") }
}

/// The lines of a failure, from the calls to the source.
fn failure_text(case: &Case, failure: &crate::failure::Failure) -> String {
    let why = why(case).replace('\n', "\n          ");
    format!("{failure}why       {why}\nsource    {}", case.source)
}

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{:by$}{line}\n", "")).collect()
}
