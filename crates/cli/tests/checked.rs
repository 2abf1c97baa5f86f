//! A C program over libaio.so.1 under AddressSanitizer and under valgrind: nothing touches its memory after io_destroy, what
//! io_submit was given may be freed at once, and the checkers have nothing to say about the library.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{compile, compile_file, not_applicable, output, run, spawn, stderr};

const ENGINES: [&str; 5] = ["auto", "inline", "uring", "threads", "kernel"];

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

    fn program(&self, options: &[&str]) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checked.c");
        let header = format!("-I{}", self.libraries.join("../../include/uaio").display());
        let libraries = format!("-L{}", self.libraries.display());
        let options = [options, &["-g", "-O1", "-Wall", "-Werror", &header, &libraries, "-laio"]].concat();
        compile_file(self.dir.path(), "checked", &source, &options).expect("it compiles")
    }

    /// On the engine; reads of empty pipes block io_submit on some, as with the kernel.
    fn run(&self, command: &mut Command, engine: &str) -> Output {
        let waiting = if ["inline", "kernel"].contains(&engine) { "0" } else { "1" };
        command.arg(self.dir.path().join("data")).arg(waiting);
        output(
            command.env("LD_LIBRARY_PATH", &self.libraries).env("UAIO_ENGINE", engine).env("UAIO_MAX_NR", "65536"),
        )
    }
}

fn assert_clean(out: &Output, engine: &str) {
    if out.status.code() == Some(2) {
        return not_applicable(engine);
    }
    assert!(out.status.success(), "{engine}: {}: {}", out.status, stderr(out));
}

#[test]
fn under_address_sanitizer() {
    let place = Place::new();
    let sanitizer = "-fsanitize=address";
    let built = compile(place.dir.path(), "probe", &[sanitizer]);
    if !built.is_some_and(|probe| output(&mut Command::new(probe)).status.success()) {
        return not_applicable("the C compiler has no AddressSanitizer that runs here");
    }
    let program = place.program(&[sanitizer]);
    for engine in ENGINES {
        let mut command = Command::new(&program);
        // Locals are on the heap then, so the library meets a stack that is none; freed memory is overwritten.
        command.env("ASAN_OPTIONS", "detect_stack_use_after_return=1:max_free_fill_size=65536:detect_leaks=1");
        assert_clean(&place.run(&mut command, engine), engine);
    }
}

/// With the bad addresses left out that the library itself puts to the kernel, in order to be told so.
fn valgrind(program: &Path) -> Command {
    let mut command = Command::new("valgrind");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    command.arg(format!("--suppressions={}", tests.join("checked.supp").display()));
    command.args(["-q", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite"]);
    command.arg(program);
    command
}

/// Whether this valgrind lets other threads run while one is in io_uring_enter. If not, the ring's thread has it for itself.
fn knows_rings(program: &Path) -> bool {
    let mut probe = valgrind(program);
    let mut child = spawn(probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    false
}

#[test]
fn under_valgrind() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return not_applicable("valgrind is not installed");
    }
    let place = Place::new();
    let program = place.program(&["-pthread"]);
    assert_clean(&place.run(&mut valgrind(&program), "threads"), "threads");
    if !knows_rings(&program) {
        return not_applicable(
            "uring: this valgrind stops all threads while one waits for an io_uring, or there is none",
        );
    }
    assert_clean(&place.run(&mut valgrind(&program), "uring"), "uring");
}
