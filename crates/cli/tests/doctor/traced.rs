//! A call that is answered by neither a setting nor a filter: strace does it.

use std::fs;

use crate::common::{aiocp, not_applicable, output, stderr};
use crate::{Answer, ask, clean, here, os, shell};

/// What makes strace answer `calls`; None where it cannot, or where a filter would be the explanation.
fn tracer(calls: &str) -> Option<[String; 6]> {
    let inject = format!("inject={calls}");
    let words = ["strace", "-f", "-o", "/dev/null", "-e", &inject].map(String::from);
    let works = clean("strace".as_ref()).args(["-o", "/dev/null", "true"]).status().is_ok_and(|s| s.success());
    let filtered = fs::read_to_string("/proc/self/status").unwrap().contains("Seccomp:\t2");
    (works && !filtered).then_some(words)
}

/// Whether `topic` is without explanation while `calls` are answered so, and what is said.
fn unknown(topic: &str, calls: &str) -> Option<Answer> {
    let words = tracer(calls)?;
    let answer = ask(&os(&words.each_ref().map(String::as_str)), &[], &[]);
    assert_eq!((answer.cause(topic), answer.status()), ("unknown", 1), "{:#}", answer.0);
    assert!(answer.notes(topic).contains("(strace) traces this one"), "{}", answer.notes(topic));
    let alone = here(&[]);
    assert!(alone.cause(topic) != "unknown" && !alone.notes(topic).contains("traces"), "{:#}", alone.0);
    Some(answer)
}

const NEEDS: &str = "needs strace, and no seccomp filter";

#[test]
fn kernel_aio() {
    let calls = "io_setup:error=EPERM";
    let Some(answer) = unknown("kernel AIO", calls) else { return not_applicable(NEEDS) };
    let program = format!("{} --size 64K", aiocp().display());
    let fix = answer.fix("kernel AIO").replace("PROGRAM", &program);
    let traced =
        |command: &str| output(&mut shell(&format!("strace -f -o /dev/null -e inject={calls} {command}")));
    assert!(!traced(&program).status.success());
    let fixed = traced(&fix);
    assert!(fixed.status.success(), "{}", stderr(&fixed));
}

#[test]
fn io_uring() {
    let Some(answer) = unknown("io_uring", "io_uring_setup:error=EACCES") else { return not_applicable(NEEDS) };
    assert_eq!(answer.finding("engine")["details"]["engine"], "threads");
}

#[test]
fn engine() {
    let Some(answer) = unknown("engine", "?pipe,pipe2:error=ENFILE") else { return not_applicable(NEEDS) };
    let cause = answer.finding("engine")["cause"]["text"].as_str().unwrap();
    assert!(cause.starts_with("pipe of our own failed: "), "{cause}");
}
