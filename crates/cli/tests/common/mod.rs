//! Running `uaio` as a user does, with a limit in time.
#![allow(dead_code, reason = "each test program uses a part of this")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything here may take.
pub const LIMIT: Duration = Duration::from_secs(180);

/// The binary under test.
pub fn uaio() -> PathBuf {
    env!("CARGO_BIN_EXE_uaio").into()
}

/// The bundled client, which the build puts beside it.
pub fn aiocp() -> PathBuf {
    uaio().with_file_name("aiocp")
}

/// `uaio ARGS`, with nothing of uaio in the environment.
pub fn command<I: IntoIterator<Item: AsRef<OsStr>>>(args: I) -> Command {
    let mut command = Command::new(uaio());
    command.args(args).stdin(Stdio::null());
    for variable in ["LD_PRELOAD", "UAIO_ENGINE", "UAIO_MAX_NR", "UAIO_STATS"] {
        command.env_remove(variable);
    }
    // A background job starts with SIGINT, SIGQUIT or SIGHUP ignored, and hands that down; a shell cannot trap them then.
    let all_default = || {
        for signal in 1..32 {
            // SAFETY: the default action needs no handler.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: signal is async-signal-safe.
    unsafe { command.pre_exec(all_default) };
    command
}

/// Held while a file is written and while a process starts: a child that is just being made would hold a
/// descriptor of the file for a moment, and executing it gives ETXTBSY.
static STARTING: Mutex<()> = Mutex::new(());

fn starting() -> MutexGuard<'static, ()> {
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts it.
pub fn spawn(command: &mut Command) -> Child {
    let _one = starting();
    command.spawn().unwrap()
}

/// Runs to the end.
pub fn output(command: &mut Command) -> Output {
    let mut child = spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    wait(&mut child);
    child.wait_with_output().unwrap()
}

/// Runs `uaio ARGS` to the end.
pub fn run<I: IntoIterator<Item: AsRef<OsStr>>>(args: I) -> Output {
    output(&mut command(args))
}

/// Waits, but not for ever.
pub fn wait(child: &mut Child) -> ExitStatus {
    let status = until("the process ends", || child.try_wait().unwrap());
    status.unwrap_or_else(|late| {
        child.kill().unwrap();
        panic!("{late}")
    })
}

/// Asks again until there is an answer.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T, String> {
    let started = Instant::now();
    while started.elapsed() < LIMIT {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err(format!("too late: {what}"))
}

pub fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// It failed with `status` and one line that contains `words`.
pub fn assert_refused(output: &Output, status: i32, words: &str) {
    assert_eq!(output.status.code(), Some(status), "{}", stderr(output));
    assert!(stderr(output).starts_with("uaio: ") && stderr(output).contains(words), "{}", stderr(output));
    assert_eq!((stderr(output).lines().count(), stdout(output)), (1, ""));
}

/// A file with this text and mode.
pub fn file(dir: &Path, name: &str, text: impl AsRef<[u8]>, mode: u32) -> PathBuf {
    let _one = starting();
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// Copies a program.
pub fn copy(from: &Path, to: &Path) {
    let _one = starting();
    fs::copy(from, to).unwrap();
}

/// A program that returns 0, linked with these options; None where there is no compiler for it.
pub fn compile(dir: &Path, name: &str, options: &[&str]) -> Option<PathBuf> {
    let source = file(dir, "main.c", "int main(void) { return 0; }\n", 0o644);
    compile_file(dir, name, &source, options)
}

/// The program of one source file, with these options behind it, for libraries may be among them.
pub fn compile_file(dir: &Path, name: &str, source: &Path, options: &[&str]) -> Option<PathBuf> {
    let program = dir.join(name);
    let mut compiler = Command::new("cc");
    compiler.arg(source).args(options).arg("-o").arg(&program).stdout(Stdio::null()).stderr(Stdio::null());
    let _one = starting();
    compiler.status().is_ok_and(|status| status.success()).then_some(program)
}

/// Says that a case cannot be had here.
pub fn not_applicable(why: &str) {
    eprintln!("not applicable: {why}");
}
