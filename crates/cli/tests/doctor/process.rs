//! Running processes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::prctl::get_no_new_privs;
use nix::unistd::geteuid;

use crate::common::{aiocp, command, copy, not_applicable, spawn, until};
use crate::{Answer, clean, here, shell, ways};

/// Ended with the test.
struct Running(Child);

impl Running {
    fn new(command: &mut Command) -> Running {
        Running(spawn(command.stdin(Stdio::null())))
    }

    /// After its first line.
    fn speaking(command: &mut Command) -> (Running, String) {
        let mut running = Running::new(command.stdout(Stdio::piped()));
        let mut line = String::new();
        BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (running, line)
    }

    fn ask(&self) -> Answer {
        here(&["--pid", &self.0.id().to_string()])
    }

    /// Once it executes `name`.
    fn once(&self, name: &str) -> Answer {
        let exe = format!("/proc/{}/exe", self.0.id());
        let there = || fs::read_link(&exe).ok().filter(|exe| exe.ends_with(name));
        until("the program is executed", there).unwrap();
        until("its libraries are mapped", || {
            let maps = fs::read_to_string(format!("/proc/{}/maps", self.0.id())).unwrap();
            maps.contains("libc.so").then_some(())
        })
        .unwrap();
        self.ask()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn not_started_over_uaio() {
    let plain = Running::new(clean("sleep".as_ref()).arg("60"));
    let answer = plain.once("sleep");
    assert_eq!(
        (answer.cause("preload"), answer.fix("preload")),
        ("not-started-over-uaio", "uaio run -- sleep 60")
    );
    assert!(answer.status() >= 1);
    let over = Running::new(shell(&format!("exec {}", answer.fix("preload"))).env("UAIO_ENGINE", "threads"));
    let answer = over.once("sleep");
    assert_eq!(answer.cause("preload"), "", "{:#}", answer.0);
    let settings = answer.finding("settings")["says"].as_str().unwrap();
    assert!(settings.contains("UAIO_ENGINE=threads") && settings.contains("UAIO_MAX_NR=1048576"), "{settings}");
}

#[test]
fn its_counters() {
    let client = aiocp();
    let args = ["run", "--engine", "threads", "--", client.to_str().unwrap(), "--size", "64G"];
    let running = Running::new(command(args).stdout(Stdio::null()).stderr(Stdio::null()));
    let seen = until("a context is counted", || {
        let all = running.ask();
        let made = |finding: &serde_json::Value| finding["details"]["contexts"]["created"] == 1;
        let found =
            all.0["findings"].as_array().unwrap().iter().find(|finding| finding["topic"] == "counters").cloned();
        found.filter(made)
    });
    assert_eq!(seen.unwrap()["details"]["engine"], "threads");
}

/// A set-user-ID program whose file has lost the bit since: only the process knows.
#[test]
fn a_process_that_gained_privileges() {
    if !geteuid().is_root() || get_no_new_privs().unwrap() {
        return not_applicable("needs root and its privileges");
    }
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("program");
    copy(Path::new("/bin/sleep"), &program);
    chown(&program, Some(65534), None).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    let running = Running::new(clean(program.as_ref()).arg("60"));
    let answer = running.once("program");
    assert_eq!((answer.cause("preload"), answer.status()), ("set-user-id", 2), "{:#}", answer.0);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(running.ask().cause("preload"), "at-secure");
    let again = Running::new(clean(program.as_ref()).arg("60"));
    assert_eq!(again.once("program").cause("preload"), "not-started-over-uaio");
}

#[test]
fn contexts_past_uaio() {
    let dir = tempfile::tempdir().unwrap();
    let Some(program) = ways(dir.path(), "inline", &["-DINLINE"]) else { return not_applicable("no compiler") };
    let start = ["run".as_ref(), "--".as_ref(), program.as_os_str(), "stay".as_ref()];
    let (running, line) = Running::speaking(&mut command(start));
    if line != "0\n" {
        return not_applicable("no kernel AIO");
    }
    let answer = running.ask();
    assert_eq!(
        (answer.cause("contexts"), answer.cause("AIO calls")),
        ("past-uaio", "instructions"),
        "{:#}",
        answer.0
    );
    let seen = ways(dir.path(), "seen", &["-DSYSCALL"]).unwrap();
    let start = ["run".as_ref(), "--".as_ref(), seen.as_os_str(), "stay".as_ref()];
    let (running, line) = Running::speaking(&mut command(start));
    let answer = running.ask();
    assert_eq!((line.as_str(), answer.cause("contexts"), answer.cause("AIO calls")), ("0\n", "", ""));
    assert_eq!(answer.finding("counters")["details"]["contexts"]["created"], 1);
}
