//! For people.

use super::{Count, Score, failure_text, indented};
use crate::case::Case;
use crate::runner::Outcome;

pub struct Table {
    title: String,
    group: String,
}

impl Table {
    pub fn new(title: &str) -> Table {
        Table { title: title.into(), group: String::new() }
    }

    pub fn start(&self) -> String {
        format!("{}\n", self.title)
    }

    pub fn case(&mut self, case: &Case, outcome: &Outcome) -> String {
        let (group, statement) = case.name.split_once('/').unwrap_or(("", case.name));
        let head = if group == self.group { String::new() } else { format!("\n{group}\n") };
        self.group = group.into();
        let line = |word: &str| format!("{head}  {word:7} {:9} {statement}", case.level.name());
        match outcome {
            Outcome::Passed => format!("{}\n", line("passed")),
            Outcome::NotApplicable(why) => format!("{}: {}\n", line("n/a"), why.replace('\n', " ")),
            Outcome::Failed(failure) => {
                format!("{}\n{}", line("FAILED"), indented(&failure_text(case, failure), 10))
            }
        }
    }

    pub fn end(score: &Score) -> String {
        let row =
            |name: &str, c: Count| format!("{name:9} {:7} {:7} {:15}\n", c.passed, c.failed, c.not_applicable);
        let levels = [("contract", score.contract), ("linux", score.linux), ("quirk", score.quirk)];
        let rows: String = levels.into_iter().chain([("all", score.all())]).map(|(n, c)| row(n, c)).collect();
        format!("\n{:9} {:>7} {:>7} {:>15}\n{rows}", "level", "passed", "failed", "not applicable")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn a_group_has_one_head_and_a_failure_its_reasons() {
        let case = crate::case!(Linux, "cancel/key_is_einval", "io_cancel(2)", |_| ());
        let mut table = Table::new("kernel");
        assert_eq!(table.case(&case, &Outcome::Passed), "\ncancel\n  passed  linux     key_is_einval\n");
        let failure = Failure { expected: "1".into(), got: "2".into(), ..Failure::default() };
        let text = table.case(&case, &Outcome::Failed(failure));
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines[0], "  FAILED  linux     key_is_einval");
        assert_eq!(lines[1], "          expected  1");
        assert_eq!(lines[2], "          got       2");
        assert_eq!(lines[3], "          why       cancel key is einval");
        assert_eq!(lines[4], "          source    io_cancel(2)");
    }

    #[test]
    fn scores_add_up() {
        let mut score = Score::default();
        score.count(crate::case::Level::Quirk, &Outcome::Passed);
        score.count(crate::case::Level::Linux, &Outcome::NotApplicable(String::new()));
        assert!(Table::end(&score).ends_with("all             1       0               1\n"));
    }
}
