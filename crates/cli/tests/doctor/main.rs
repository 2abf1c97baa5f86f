//! `uaio doctor`: each diagnosis where its cause was made, and once more where the printed fix has removed it.

#[path = "../common/mod.rs"]
mod common;
mod container;
mod limits;
mod place;
mod process;
mod program;
mod sysctl;
mod traced;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use common::{command, output, stderr, stdout, uaio};

/// One answer of `uaio doctor --json`.
struct Answer(Value);

/// Runs it with these arguments, after `before` (a program that executes it), in this environment.
fn ask(before: &[&OsStr], args: &[&OsStr], environment: &[(&str, &str)]) -> Answer {
    let words = [uaio().into_os_string(), "doctor".into(), "--json".into()];
    let words = before.iter().map(|word| (*word).to_owned()).chain(words);
    let words: Vec<_> = words.chain(args.iter().map(|word| (*word).to_owned())).collect();
    let mut command = clean(&words[0]);
    Answer::of(command.args(&words[1..]).envs(environment.iter().copied()))
}

/// `program`, with nothing of uaio in the environment, nor the library path that cargo gives to tests.
fn clean(program: &OsStr) -> Command {
    let base = command([""; 0]);
    let mut command = Command::new(program);
    for (name, _) in base.get_envs() {
        command.env_remove(name);
    }
    command.env_remove("LD_LIBRARY_PATH");
    command
}

/// With these arguments, here.
fn here(args: &[&str]) -> Answer {
    ask(&[], &args.iter().map(OsStr::new).collect::<Vec<_>>(), &[])
}

/// About this program.
fn about(program: &Path) -> Answer {
    ask(&[], &["--".as_ref(), program.as_os_str()], &[])
}

impl Answer {
    fn of(command: &mut Command) -> Answer {
        let result = output(command);
        let answer: Value =
            serde_json::from_str(stdout(&result)).unwrap_or_else(|_| panic!("{}", stderr(&result)));
        assert_eq!(answer["status"].as_i64(), result.status.code().map(i64::from), "{answer:#}");
        Answer(answer)
    }

    fn status(&self) -> i64 {
        self.0["status"].as_i64().unwrap()
    }

    fn finding(&self, topic: &str) -> &Value {
        let all = self.0["findings"].as_array().unwrap();
        all.iter().find(|finding| finding["topic"] == topic).unwrap_or_else(|| panic!("no {topic}: {:#}", self.0))
    }

    /// The cause's name, or "".
    fn cause(&self, topic: &str) -> &str {
        self.finding(topic)["cause"]["id"].as_str().unwrap_or_default()
    }

    fn fix(&self, topic: &str) -> &str {
        self.finding(topic)["fixes"][0]["command"].as_str().unwrap_or_else(|| panic!("no fix: {:#}", self.0))
    }

    fn notes(&self, topic: &str) -> String {
        let notes = self.finding(topic)["notes"].as_array().cloned().unwrap_or_default();
        notes.iter().map(|note| format!("{}\n", note.as_str().unwrap())).collect()
    }
}

/// A shell that does what a fix says, with `uaio` where a user has it.
fn shell(script: &str) -> Command {
    let mut command = clean("bash".as_ref());
    let path = std::env::join_paths(
        [uaio().parent().unwrap().to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var("PATH").unwrap())),
    );
    command.args(["-c", script]).env("PATH", path.unwrap());
    command
}

/// The program that takes calls away from what it executes.
fn deny(dir: &Path) -> Option<PathBuf> {
    build(dir, "deny", "../../tests/clients/deny.c", &[])
}

/// Compiles a source file of ours; None where there is no compiler, or not for that.
fn build(dir: &Path, name: &str, source: &str, options: &[&str]) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    common::compile_file(dir, name, &source, options)
}

/// A program of `ways.c`.
fn ways(dir: &Path, name: &str, options: &[&str]) -> Option<PathBuf> {
    build(dir, name, "tests/doctor/ways.c", options)
}

fn os<'a>(words: &[&'a str]) -> Vec<&'a OsStr> {
    words.iter().map(|word| OsStr::new(*word)).collect()
}

#[test]
fn wrong_usage() {
    for args in
        [&["--pid", "0"][..], &["--path", "/nowhere"], &["--", "/nowhere"], &["--pid", "2147483647"], &["x"]]
    {
        let result = output(command([&["doctor"], args].concat()).stdin(std::process::Stdio::null()));
        assert_eq!(result.status.code(), Some(125), "{args:?}: {}", stderr(&result));
        assert_eq!(stdout(&result), "");
    }
}

#[test]
fn for_people() {
    let result = output(&mut command(["doctor", "--", "true"]));
    let text = stdout(&result);
    assert!(text.starts_with("uaio ") && text.contains("\n kernel AIO ") && text.contains("\n engine "), "{text}");
    assert!(!text.contains('\x1b') && fs::exists("/proc").unwrap());
}
