//! The Test Anything Protocol, version 14: <https://testanything.org>.

use super::{failure_text, indented};
use crate::case::Case;
use crate::runner::Outcome;

pub struct Tap {
    title: String,
    cases: usize,
    number: usize,
}

impl Tap {
    pub fn new(title: &str, cases: usize) -> Tap {
        Tap { title: title.into(), cases, number: 0 }
    }

    pub fn start(&self) -> String {
        format!("TAP version 14\n1..{} # {}\n", self.cases, self.title)
    }

    pub fn case(&mut self, case: &Case, outcome: &Outcome) -> String {
        self.number += 1;
        let line = format!("{} - {}", self.number, case.name);
        match outcome {
            Outcome::Passed => format!("ok {line}\n"),
            Outcome::NotApplicable(why) => format!("ok {line} # SKIP {}\n", why.replace('\n', " ")),
            Outcome::Failed(failure) => {
                let text = indented(&failure_text(case, failure), 4);
                format!("not ok {line}\n  ---\n  level: {}\n  failure: |\n{text}  ...\n", case.level.name())
            }
        }
    }
}
