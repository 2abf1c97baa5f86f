//! aiocp as a user runs it, on whatever AIO there is.

use std::path::Path;
use std::process::{Command, Output};

fn aiocp(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aiocp"));
    command.args(["--size", "3M", "--dir"]).arg(dir).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Where the kernel has no AIO, the message must say so, and there is nothing more to see.
fn refused(output: &Output) -> bool {
    let refused = text(&output.stderr).starts_with("aiocp: io_setup: E");
    if refused {
        assert_eq!(output.status.code(), Some(1));
        eprintln!("not applicable: {}", text(&output.stderr));
    }
    refused
}

#[test]
fn copies_verifies_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&[][..], &["--buffered"], &["--depth", "1"], &["--depth", "3", "--block", "20K"]] {
        let output = aiocp(dir.path(), args);
        if refused(&output) {
            return;
        }
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        let line = text(&output.stdout);
        assert!(line.starts_with("copied 3.00 MiB, ") && line.ends_with("MiB/s, verified\n"), "{line}");
        assert_eq!(line.lines().count(), 1);
        assert_eq!(text(&output.stderr), "", "no progress line without a terminal");
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }
}

#[test]
fn a_missing_directory_is_a_clear_error() {
    let output = aiocp(Path::new("/nonexistent/dir"), &[]);
    if !refused(&output) {
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).starts_with("aiocp: /nonexistent/dir: "));
    }
}
