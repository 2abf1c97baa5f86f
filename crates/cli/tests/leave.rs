//! Writes against every way out of a process, through libaio.so.1 alone and through the preload library: accepted ones,
//! such whose event was taken, and refused ones. README's "Is my data safe?" names these tests.

mod common;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{not_applicable, output, run, stderr, uaio};

const WRITE: usize = 4096;
const BYTES: usize = 64 * WRITE;
const ENGINES: [&str; 5] = ["auto", "inline", "uring", "threads", "kernel"];
const KINDS: [&str; 4] = ["buffered", "extending", "fallocated", "overwriting"];
/// Those that wait in a queue of the process's with the engine `threads`.
const QUEUED: [&str; 2] = ["fallocated", "overwriting"];
const WAYS: [&str; 6] = ["exit", "_exit", "quick_exit", "exec", "SIGTERM", "SIGKILL"];

/// Which front end the program meets.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Libaio,
    Preload,
}

/// One process: what it writes, how far it comes, and how it ends.
#[derive(Clone, Copy)]
struct Case {
    engine: &'static str,
    kind: &'static str,
    way: &'static str,
    /// leave.c's WHAT.
    what: &'static str,
}

impl std::fmt::Display for Case {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Case { engine, kind, way, what } = self;
        write!(out, "{engine} {kind} {way} {what}")
    }
}

struct Place {
    dir: tempfile::TempDir,
    libraries: PathBuf,
    program: PathBuf,
    by: By,
    /// UAIO_WRITES.
    writes: &'static str,
}

impl Place {
    fn new(by: By, writes: &'static str) -> Place {
        let dir = tempfile::tempdir_in(std::env::var_os("TMPDIR").unwrap_or_else(|| "/var/tmp".into())).unwrap();
        let prefix = dir.path().join("prefix");
        let installed = run(["install".as_ref(), prefix.as_os_str()]);
        assert!(installed.status.success(), "{}", stderr(&installed));
        let (libraries, program) = (prefix.join("lib/uaio"), dir.path().join("leave"));
        let place = Place { dir, libraries, program, by, writes };
        place.compile(if by == By::Libaio { "-laio" } else { "-DBY_SYSCALL" });
        place
    }

    fn compile(&self, option: &str) {
        let mut compiler = Command::new("cc");
        compiler.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/leave.c")).arg("-o").arg(&self.program);
        compiler.arg(format!("-I{}", self.libraries.join("../../include/uaio").display()));
        compiler.arg("-L").arg(&self.libraries).arg(option);
        let out = output(&mut compiler);
        assert!(out.status.success(), "{}", stderr(&out));
    }

    fn command(&self, case: Case) -> Command {
        let mut command = Command::new(&self.program);
        match self.by {
            By::Libaio => command.env("LD_LIBRARY_PATH", &self.libraries),
            By::Preload => command.env("LD_PRELOAD", uaio().with_file_name("libuaio_preload.so")),
        };
        command.arg(self.data()).args([case.kind, case.way, case.what]);
        // The host's quota, which other tests change, is the kernel's alone.
        command.env("UAIO_MAX_NR", "65536");
        command.env("UAIO_ENGINE", case.engine).env("UAIO_WRITES", self.writes);
        command
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Runs it to its end. False: there is no such file or engine.
    fn end(&self, case: Case) -> bool {
        std::fs::write(self.data(), vec![b'o'; BYTES]).unwrap();
        std::fs::File::open(self.data()).unwrap().sync_all().unwrap();
        let out = output(&mut self.command(case));
        if out.status.code() == Some(2) {
            not_applicable(&format!("{case}"));
            return false;
        }
        let died = match case.way {
            "SIGTERM" => out.status.signal() == Some(libc::SIGTERM),
            "SIGKILL" => out.status.signal() == Some(libc::SIGKILL),
            _ => out.status.success(),
        };
        assert!(died, "{case}: {out:?}");
        true
    }

    /// How many of the first `wanted` bytes are not on file after `patience`.
    fn lost(&self, wanted: usize, patience: Duration) -> usize {
        let until = Instant::now() + patience;
        loop {
            let data = std::fs::read(self.data()).unwrap();
            let there = data.iter().take(wanted).filter(|byte| **byte == b'n').count();
            if there == wanted || Instant::now() > until {
                return wanted - there;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What is in flight on a ring when the process is killed arrives a moment later; a worker's write is waited for.
fn patience(engine: &str) -> Duration {
    Duration::from_secs(if engine == "threads" { 0 } else { 10 })
}

fn cases(engines: &[&'static str], kinds: &[&'static str], what: &'static str) -> Vec<Case> {
    let all = engines.iter().flat_map(|engine| kinds.iter().map(move |kind| (engine, kind)));
    all.flat_map(|(engine, kind)| WAYS.map(|way| Case { engine, kind, way, what })).collect()
}

/// Worker threads die with their queue: what only the preload library sees coming, and what nobody does.
fn may_be_lost(by: By, case: Case) -> bool {
    let queued = case.engine == "threads" && QUEUED.contains(&case.kind);
    let foreseen = case.way == "exit" || (by == By::Preload && !case.way.starts_with("SIG"));
    queued && !foreseen
}

fn accepted(by: By) {
    let place = Place::new(by, "");
    let mut lost_by_threads = vec![];
    for case in cases(&ENGINES, &KINDS, "accepted") {
        if !place.end(case) {
            continue;
        }
        let lost = place.lost(BYTES, patience(case.engine));
        if may_be_lost(by, case) {
            lost_by_threads.push(format!("{} {}: {}", case.kind, case.way, lost.div_ceil(WRITE)));
        } else {
            assert_eq!(lost, 0, "{case}");
        }
    }
    eprintln!("of 64 writes lost by threads: {}", lost_by_threads.join(", "));
}

/// At once, and whatever the engine and the way: the event said so.
fn reaped(by: By) {
    let place = Place::new(by, "");
    for case in cases(&ENGINES, &KINDS, "reaped") {
        if place.end(case) {
            assert_eq!(place.lost(BYTES, Duration::ZERO), 0, "{case}");
        }
    }
}

/// Nothing of what was refused is on file, and all that was accepted before it in its batch is.
fn refused(by: By) {
    let place = Place::new(by, "");
    for case in cases(&ENGINES, &KINDS, "refused") {
        if !place.end(case) {
            continue;
        }
        let lost = place.lost(BYTES / 2, patience(case.engine));
        assert!(lost == 0 || may_be_lost(by, case), "{case}: {lost} bytes");
        let data = std::fs::read(place.data()).unwrap();
        let untouched = match case.kind {
            "extending" => vec![],
            "fallocated" => vec![0; BYTES / 2],
            _ => vec![b'o'; BYTES / 2],
        };
        assert!(data.get(BYTES / 2..).unwrap_or_default() == untouched, "{case}");
    }
}

/// UAIO_WRITES=inline: every write is performed inside io_submit, so there is no queue that could be lost.
fn inline_writes(by: By) {
    let place = Place::new(by, "inline");
    for case in cases(&["threads"], &QUEUED, "accepted") {
        if place.end(case) {
            assert_eq!(place.lost(BYTES, Duration::ZERO), 0, "{case}");
        }
    }
}

/// UAIO_WRITES=async: what the process lives to see is on file, and what is seen coming still performs what was accepted.
fn async_writes(by: By) {
    let place = Place::new(by, "async");
    let foreseen = if by == By::Libaio { &WAYS[..1] } else { &WAYS[..4] };
    let all =
        ["reaped", "accepted"].into_iter().flat_map(|what| cases(&["auto", "uring", "threads"], &KINDS, what));
    for case in all.filter(|case| foreseen.contains(&case.way)) {
        if place.end(case) {
            assert_eq!(place.lost(BYTES, Duration::ZERO), 0, "{case}");
        }
    }
}

#[test]
fn accepted_through_libaio_alone() {
    accepted(By::Libaio);
}

#[test]
fn accepted_through_the_preload() {
    accepted(By::Preload);
}

#[test]
fn reaped_through_libaio_alone() {
    reaped(By::Libaio);
}

#[test]
fn reaped_through_the_preload() {
    reaped(By::Preload);
}

#[test]
fn refused_through_libaio_alone() {
    refused(By::Libaio);
}

#[test]
fn refused_through_the_preload() {
    refused(By::Preload);
}

#[test]
fn inline_writes_through_libaio_alone() {
    inline_writes(By::Libaio);
}

#[test]
fn inline_writes_through_the_preload() {
    inline_writes(By::Preload);
}

#[test]
fn async_writes_through_libaio_alone() {
    async_writes(By::Libaio);
}

#[test]
fn async_writes_through_the_preload() {
    async_writes(By::Preload);
}
