//! What was found: facts, and troubles with their cause and what removes them.

use std::fmt::Write;

use serde::Serialize;

use crate::report::plain_table;

/// How a fact stands to running programs over uaio. The order is that of the exit statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing in the way.
    Ok,
    /// Something is missing here; uaio works all the same.
    Trouble,
    /// uaio cannot reach this program.
    Unreachable,
}

/// What removes a trouble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// For a shell.
    pub command: String,
    /// When it is the right one; may be empty.
    pub note: String,
}

/// Why something is as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// For scripts: a word that stays the same between versions.
    pub id: &'static str,
    pub text: String,
}

/// One fact.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub topic: String,
    pub state: State,
    pub says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<Fix>,
    /// Further facts about the same, for people one line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The same for scripts.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub details: serde_json::Value,
}

impl Finding {
    pub fn ok(topic: impl Into<String>, says: impl Into<String>) -> Finding {
        Finding {
            topic: topic.into(),
            state: State::Ok,
            says: says.into(),
            cause: None,
            fixes: Vec::new(),
            notes: Vec::new(),
            details: serde_json::Value::Null,
        }
    }

    pub fn trouble(topic: impl Into<String>, says: impl Into<String>, cause: Cause) -> Finding {
        Finding { state: State::Trouble, cause: Some(cause), ..Finding::ok(topic, says) }
    }

    pub fn unreachable(topic: impl Into<String>, says: impl Into<String>, cause: Cause) -> Finding {
        Finding { state: State::Unreachable, cause: Some(cause), ..Finding::ok(topic, says) }
    }

    pub fn fix(self, command: impl Into<String>) -> Finding {
        self.fix_if(command, "")
    }

    pub fn fix_if(mut self, command: impl Into<String>, note: impl Into<String>) -> Finding {
        self.fixes.push(Fix { command: command.into(), note: note.into() });
        self
    }

    pub fn note(mut self, text: impl Into<String>) -> Finding {
        self.notes.push(text.into());
        self
    }

    pub fn details(mut self, details: serde_json::Value) -> Finding {
        self.details = details;
        self
    }
}

impl Cause {
    pub fn new(id: &'static str, text: impl Into<String>) -> Cause {
        Cause { id, text: text.into() }
    }
}

/// All that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    pub uaio: &'static str,
    pub kernel: String,
    /// The exit status.
    pub status: i32,
    pub findings: Vec<Finding>,
}

impl Report {
    pub fn new(findings: Vec<Finding>) -> Report {
        let worst = findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok);
        let kernel = nix::sys::utsname::uname();
        let kernel = kernel.map(|name| format!("Linux {}", name.release().display())).unwrap_or_default();
        Report { uaio: env!("CARGO_PKG_VERSION"), kernel, status: worst as i32, findings }
    }

    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("only strings and numbers") + "\n"
    }

    pub fn text(&self) -> String {
        let mut table = plain_table();
        for finding in &self.findings {
            for [topic, word, text] in rows(finding) {
                table.add_row([topic, word, text]);
            }
        }
        let mut text = format!("uaio {} on {}\n{}\n", self.uaio, self.kernel, table.trim_fmt());
        let _ = writeln!(text, "\n{}", self.summary());
        text
    }

    fn summary(&self) -> String {
        let troubles = self.findings.iter().filter(|f| f.state == State::Trouble).count();
        match self.status {
            0 => "Nothing is in the way.".into(),
            1 => format!("{troubles} trouble{}; uaio works all the same.", if troubles == 1 { "" } else { "s" }),
            _ => "uaio cannot help this program.".into(),
        }
    }
}

fn rows(finding: &Finding) -> Vec<[String; 3]> {
    let word = match finding.state {
        State::Ok => "ok",
        State::Trouble => "TROUBLE",
        State::Unreachable => "NO",
    };
    let more = |word: &str, text: String| [String::new(), word.to_string(), text];
    let mut rows = vec![[finding.topic.clone(), word.into(), finding.says.clone()]];
    rows.extend(finding.cause.iter().map(|cause| more("cause", cause.text.clone())));
    rows.extend(finding.notes.iter().map(|note| more("", note.clone())));
    rows.extend(finding.fixes.iter().map(|fix| {
        let note = if fix.note.is_empty() { String::new() } else { format!("   # {}", fix.note) };
        more("fix", format!("{}{note}", fix.command))
    }));
    rows
}

/// A word of a command line, quoted where a shell needs it.
pub fn quoted(word: &std::ffi::OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The command line that runs PROGRAM over uaio.
pub fn over_uaio(program: &[std::ffi::OsString]) -> String {
    let words: Vec<String> = program.iter().map(|word| quoted(word)).collect();
    let words = if words.is_empty() { "PROGRAM".into() } else { words.join(" ") };
    format!("uaio run -- {words}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_decides() {
        let cause = || Cause::new("x", "because");
        let fine = Finding::ok("a", "good");
        let bad = Finding::trouble("b", "bad", cause()).fix("mend").fix_if("move", "on Mondays").note("seen");
        assert_eq!(Report::new(vec![fine.clone()]).status, 0);
        let report = Report::new(vec![fine.clone(), bad.clone()]);
        let text = report.text();
        assert_eq!(report.status, 1);
        for line in [" a  ok       good", " b  TROUBLE  bad", "    cause    because", "    fix      mend"] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
        assert!(text.contains("move   # on Mondays") && text.ends_with("1 trouble; uaio works all the same.\n"));
        assert_eq!(Report::new(vec![bad, Finding::unreachable("c", "no", cause()), fine]).status, 2);
    }

    #[test]
    fn words_for_a_shell() {
        assert_eq!(quoted("a/b-c_1".as_ref()), "a/b-c_1");
        assert_eq!(quoted("it's".as_ref()), r"'it'\''s'");
        assert_eq!(quoted("".as_ref()), "''");
        assert_eq!(over_uaio(&[]), "uaio run -- PROGRAM");
    }
}
