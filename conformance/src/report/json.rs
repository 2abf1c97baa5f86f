//! One object, at the end.

use serde::Serialize;

use super::{Score, why};
use crate::case::{Case, Level};
use crate::failure::Failure;
use crate::runner::Outcome;

#[derive(Serialize)]
pub struct Json {
    target: String,
    cases: Vec<Result>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<Score>,
}

#[derive(Serialize)]
struct Result {
    name: &'static str,
    level: Level,
    rows: Vec<&'static str>,
    source: &'static str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_applicable: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

impl Json {
    pub fn new(title: &str) -> Json {
        Json { target: title.into(), cases: vec![], score: None }
    }

    pub fn case(&mut self, case: &Case, outcome: &Outcome) {
        let (word, not_applicable, failure) = match outcome.clone() {
            Outcome::Passed => ("passed", None, None),
            Outcome::NotApplicable(why) => ("not applicable", Some(why), None),
            Outcome::Failed(failure) => ("failed", None, Some(failure)),
        };
        self.cases.push(Result {
            name: case.name,
            level: case.level,
            rows: case.rows().collect(),
            source: case.source,
            outcome: word,
            not_applicable,
            why: failure.is_some().then(|| why(case)),
            failure,
        });
    }

    pub fn end(&mut self, score: &Score) -> String {
        self.score = Some(*score);
        serde_json::to_string_pretty(self).expect("texts and numbers") + "\n"
    }
}
