//! Accepted writes against every way out of a process, through libaio.so.1 alone and through the preload library.

mod common;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{not_applicable, output, run, stderr, uaio};

const BYTES: usize = 64 * 4096;
const KINDS: [&str; 4] = ["buffered", "extending", "fallocated", "overwriting"];
const WAYS: [&str; 6] = ["exit", "_exit", "quick_exit", "exec", "SIGTERM", "SIGKILL"];

struct Place {
    dir: tempfile::TempDir,
    libraries: PathBuf,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir_in(std::env::var_os("TMPDIR").unwrap_or_else(|| "/var/tmp".into())).unwrap();
        let prefix = dir.path().join("prefix");
        let installed = run(["install".as_ref(), prefix.as_os_str()]);
        assert!(installed.status.success(), "{}", stderr(&installed));
        Place { libraries: prefix.join("lib/uaio"), dir }
    }

    fn compile(&self, name: &str, options: &[&str]) -> PathBuf {
        let program = self.dir.path().join(name);
        let mut compiler = Command::new("cc");
        compiler.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/leave.c")).arg("-o").arg(&program);
        compiler.arg(format!("-I{}", self.libraries.join("../../include/uaio").display()));
        compiler.arg("-L").arg(&self.libraries).args(options);
        let out = output(&mut compiler);
        assert!(out.status.success(), "{}", stderr(&out));
        program
    }

    /// How many bytes of accepted writes are not on file; None where there is no such file or engine.
    fn lost(&self, command: &mut Command, engine: &str, kind: &str, way: &str) -> Option<usize> {
        let path = self.dir.path().join("data");
        std::fs::write(&path, vec![b'o'; BYTES]).unwrap();
        std::fs::File::open(&path).unwrap().sync_all().unwrap();
        let out = output(command.arg(&path).args([kind, way]).env("UAIO_ENGINE", engine));
        if out.status.code() == Some(2) {
            return None;
        }
        let died = match way {
            "SIGTERM" => out.status.signal() == Some(libc::SIGTERM),
            "SIGKILL" => out.status.signal() == Some(libc::SIGKILL),
            _ => out.status.success(),
        };
        assert!(died, "{engine} {kind} {way}: {out:?}");
        // What is in flight when the process is killed arrives a moment later.
        let until = Instant::now() + Duration::from_secs(if engine == "threads" { 0 } else { 10 });
        loop {
            let there = std::fs::read(&path).unwrap().iter().filter(|byte| **byte == b'n').count();
            if there == BYTES || Instant::now() > until {
                return Some(BYTES - there);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Worker threads die with their queue: what only the preload library sees coming, and what nobody does.
fn may_be_lost(engine: &str, preload: bool, kind: &str, way: &str) -> bool {
    let queued = engine == "threads" && ["fallocated", "overwriting"].contains(&kind);
    let foreseen = way == "exit" || (preload && !way.starts_with("SIG"));
    queued && !foreseen
}

fn nothing_is_lost(preload: bool, command: impl Fn(&Place) -> Command) {
    let place = Place::new();
    let mut lost_by_threads = vec![];
    for engine in ["auto", "inline", "uring", "threads"] {
        for kind in KINDS {
            for way in WAYS {
                let Some(lost) = place.lost(&mut command(&place), engine, kind, way) else {
                    not_applicable(&format!("{engine}, {kind}"));
                    continue;
                };
                if may_be_lost(engine, preload, kind, way) {
                    lost_by_threads.push(format!("{kind} {way}: {lost}"));
                } else {
                    assert_eq!(lost, 0, "{engine} {kind} {way}");
                }
            }
        }
    }
    eprintln!("bytes of {BYTES} lost by threads: {}", lost_by_threads.join(", "));
}

#[test]
fn through_libaio_alone() {
    nothing_is_lost(false, |place| {
        let program = place.dir.path().join("by-libaio");
        let program = if program.exists() { program } else { place.compile("by-libaio", &["-laio"]) };
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", &place.libraries);
        command
    });
}

#[test]
fn through_the_preload() {
    nothing_is_lost(true, |place| {
        let program = place.dir.path().join("by-syscall");
        let program = if program.exists() { program } else { place.compile("by-syscall", &["-DBY_SYSCALL"]) };
        let mut command = Command::new(program);
        command.env("LD_PRELOAD", uaio().with_file_name("libuaio_preload.so"));
        command
    });
}
