//! With `--no-fork` each case passes or does not apply: what needs a process of its own is in `needs_process.rs`.

use std::path::PathBuf;
use std::process::{Command, Output};

fn no_fork(target: &str) -> Output {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_uaio-conformance"));
    let mut command = Command::new(program);
    command.args(["--no-fork", "--limit", "60", "--target", target]).output().unwrap()
}

fn all_pass(target: &str) {
    let output = no_fork(target);
    if output.status.code() == Some(77) {
        eprintln!("{target}: not applicable: {}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let (text, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{text}\n{complaints}", output.status);
}

#[test]
fn on_the_kernel() {
    all_pass("kernel");
}

#[test]
fn on_uaio() {
    all_pass("core");
}
