//! `uaio conformance`: the tool around the cases. What the cases find is tried in `conformance/tests`.

mod common;

use std::path::Path;
use std::process::Output;

use common::{assert_refused, run, stderr, stdout};
use serde_json::Value;

fn conformance(args: &[&str]) -> Output {
    run([&["conformance"], args].concat())
}

/// As [`conformance`]; what is printed may be longer than a pipe holds.
fn long(args: &[&str]) -> Output {
    common::command([&["conformance"], args].concat()).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// Skips what the place forbids.
fn is_unavailable(output: &Output) -> bool {
    if code(output) == 77 {
        common::not_applicable(stderr(output));
    }
    code(output) == 77
}

fn json(output: &Output) -> Value {
    serde_json::from_str(stdout(output)).unwrap_or_else(|e| panic!("{e}: {}", stdout(output)))
}

#[test]
fn the_list_has_names_levels_rows_and_sources() {
    let all = long(&["--list", "--format", "json"]);
    let list = json(&all);
    let list = list.as_array().unwrap();
    assert!(list.len() > 100, "{}", list.len());
    let case = list.iter().find(|case| case["name"] == "cancel/key_not_0_is_einval").unwrap();
    assert_eq!((&case["level"], &case["rows"][0]), (&"linux".into(), &"4.2".into()));
    let lines = stdout(&long(&["--list"])).lines().count();
    assert_eq!(lines, list.len());
    let contract = json(&long(&["--list", "--level", "contract", "--format", "json"]));
    assert!(contract.as_array().unwrap().iter().all(|case| case["level"] == "contract"));
}

#[test]
fn rows_name_their_cases() {
    let rows = json(&long(&["--rows", "--format", "json"]));
    let row = rows.as_array().unwrap().iter().find(|row| row["id"] == "4.2").unwrap();
    assert!(row["cases"].as_array().unwrap().contains(&"cancel/key_not_0_is_einval".into()), "{row}");
    let table = long(&["--rows", "--case", "cancel/key*"]);
    assert!(stdout(&table).lines().any(|line| line.starts_with("4.2 ") && line.contains("cancel/key_not_0")));
}

#[test]
fn cases_are_chosen_by_glob_or_by_a_part_of_their_name() {
    for case in ["io_setup/zero_*", "zero_events"] {
        for target in ["kernel", "core", "libaio", "preload"] {
            let output = conformance(&["--target", target, "--case", case]);
            if is_unavailable(&output) {
                continue;
            }
            assert_eq!(code(&output), 0, "{target}: {}{}", stdout(&output), stderr(&output));
            assert!(stdout(&output).starts_with(target), "{}", stdout(&output));
            assert!(stdout(&output).contains("\nio_setup\n  passed  contract  zero_events_is_einval\n"));
            assert!(stdout(&output).ends_with("all             1       0               0\n"));
        }
    }
}

#[test]
fn every_engine_can_be_asked_for() {
    for (target, engine) in [("core", "inline"), ("core", "threads"), ("preload", "inline"), ("libaio", "threads")]
    {
        let output = conformance(&["--target", target, "--engine", engine, "--case", "zero_events"]);
        let title = format!("{target}, engine {engine}\n");
        assert!(code(&output) == 0 && stdout(&output).starts_with(&title), "{}", stdout(&output));
    }
}

#[test]
fn wrong_usage_is_2_and_tells_what_to_do() {
    let unknown = conformance(&["--target", "solaris"]);
    assert_refused(&unknown, 2, "solaris is no target: kernel, core, syscall, libaio=PATH, preload, libaio");
    assert_refused(&conformance(&["--case", "no/such_case"]), 2, "--list shows all");
    assert_refused(&conformance(&["--target", "kernel", "--engine", "uring"]), 2, "--engine");
    assert_refused(&conformance(&["--case", "a[b"]), 2, "--case a[b");
    assert_eq!(code(&conformance(&["--level", "high"])), 2);
}

#[test]
fn a_target_that_is_not_there_is_77() {
    let output = conformance(&["--target", "libaio=/nowhere/libaio.so.1"]);
    assert_eq!((code(&output), stdout(&output)), (77, ""));
    assert!(stderr(&output).contains("/nowhere/libaio.so.1"), "{}", stderr(&output));
}

/// The tool's own cases, one for each way to end.
fn self_test(more: &[&str]) -> Output {
    conformance(&[&["--self-test", "--limit", "2"], more].concat())
}

#[test]
fn a_crash_and_a_hang_are_one_failed_case_each() {
    for (how, last) in [("--jobs=1", "failed"), ("--jobs=4", "failed"), ("--no-fork", "not applicable")] {
        let output = self_test(&["--format", "json", how]);
        assert_eq!(code(&output), 1);
        let results = json(&output);
        let cases = results["cases"].as_array().unwrap();
        let outcomes: Vec<_> = cases.iter().map(|case| case["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, ["passed", "failed", "not applicable", "failed", "failed", "failed", last], "{how}");
        let got = |index: usize| cases[index]["failure"]["got"].as_str().unwrap();
        assert_eq!((got(3), got(4)), ("it did not end in 2 s", "it died of signal 11 SIGSEGV"));
        assert_eq!(cases[5]["failure"]["note"], "on purpose, in a thread");
        assert_eq!(results["score"]["linux"]["failed"], 2);
    }
}

#[test]
fn a_failure_shows_the_call_what_was_expected_and_why() {
    let output = self_test(&["--case", "self_test/fails"]);
    let text = stdout(&output);
    assert_eq!(code(&output), 1);
    for line in [
        "  FAILED  contract  fails\n",
        "calls     io_cancel(0x0, ",
        ", NULL) = -22 (EINVAL)\n",
        "iocb: PWRITE fd 5, buf 0x0, nbytes 512, offset 0\n",
        "expected  -14 (EFAULT)\n",
        "got       -22 (EINVAL)\n",
        "note      on purpose\n",
        "at        conformance/src/self_test.rs:",
        "why       ",
        "source    spec 4.3, io_cancel(2)\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    let hang = self_test(&["--case", "self_test/hangs"]);
    assert!(stdout(&hang).contains(", NULL) has not returned\n"), "{}", stdout(&hang));
}

#[test]
fn tap_has_its_shape() {
    let output = self_test(&["--format", "tap"]);
    let lines: Vec<&str> = stdout(&output).lines().collect();
    assert_eq!(lines[0], "TAP version 14");
    assert!(lines[1].starts_with("1..7 # "), "{}", lines[1]);
    let points: Vec<&str> =
        lines.iter().copied().filter(|l| l.starts_with("ok ") || l.starts_with("not ok ")).collect();
    assert_eq!(
        points[..3],
        [
            "ok 1 - self_test/passes",
            "not ok 2 - self_test/fails",
            "ok 3 - self_test/does_not_apply # SKIP on purpose",
        ]
    );
    assert_eq!(points.len(), 7);
    let opened = lines.iter().filter(|line| **line == "  ---").count();
    assert_eq!((opened, lines.iter().filter(|line| **line == "  ...").count()), (5, 5));
}

#[test]
fn what_a_case_leaves_running_is_ended() {
    let results = json(&self_test(&["--format", "json", "--case", "self_test/leaves_a_child"]));
    let child: u32 = results["cases"][0]["failure"]["note"].as_str().unwrap().parse().unwrap();
    let gone = || (!Path::new(&format!("/proc/{child}")).exists()).then_some(());
    common::until("the child of a case is gone", gone).unwrap();
}
