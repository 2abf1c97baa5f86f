//! With `--summary` uaio is the program's parent, and must not be noticed.

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use common::{command, spawn, until, wait};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, setsid};

/// Says "ready", then each signal that comes, until it is told to end.
const LISTENER: &str = "
    trap 'echo INT' INT; trap 'echo TERM' TERM; trap 'echo HUP' HUP; trap 'echo USR1' USR1; trap 'echo end; exit 3' USR2
    echo ready
    while :; do sleep 0.05 || :; done";

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

/// Reads on until the text ends with `end`.
fn read_until(from: &mut impl Read, text: &mut String, end: &str) {
    let mut byte = [0];
    while !text.ends_with(end) {
        assert_eq!(from.read(&mut byte).unwrap(), 1, "{text:?} instead of {end:?}");
        text.push(char::from(byte[0]));
    }
}

#[test]
fn signals_sent_to_uaio_reach_the_program() {
    let mut uaio = command(["run", "--summary=/dev/null", "--", "sh", "-c", LISTENER]);
    let mut child = spawn(uaio.stdout(Stdio::piped()));
    let (mut out, mut text) = (child.stdout.take().unwrap(), String::new());
    read_until(&mut out, &mut text, "ready\n");
    for (signal, name) in [(Signal::SIGTERM, "TERM\n"), (Signal::SIGUSR1, "USR1\n"), (Signal::SIGHUP, "HUP\n")] {
        kill(pid(&child), signal).unwrap();
        read_until(&mut out, &mut text, name);
    }
    kill(pid(&child), Signal::SIGUSR2).unwrap();
    read_until(&mut out, &mut text, "end\n");
    assert_eq!(wait(&mut child).code(), Some(3));
    assert_eq!(text, "ready\nTERM\nUSR1\nHUP\nend\n");
}

/// `uaio run --summary SCRIPT` as the foreground job of a terminal of its own.
fn on_a_terminal(script: &str) -> (Child, File) {
    let pty = openpty(None, None).unwrap();
    let terminal: OwnedFd = pty.slave;
    let (stdin, stdout) = (terminal.try_clone().unwrap(), terminal.try_clone().unwrap());
    let mut uaio = command(["run", "--summary=/dev/null", "--", "sh", "-c", script]);
    uaio.stdin(stdin).stdout(stdout).stderr(Stdio::null());
    let become_leader = || {
        setsid()?;
        // SAFETY: makes descriptor 0, the terminal, the controlling one; touches no memory.
        if unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } < 0 {
            Err(std::io::Error::last_os_error())
        } else {
            Ok(())
        }
    };
    // SAFETY: setsid and ioctl are async-signal-safe.
    let child = spawn(unsafe { uaio.pre_exec(become_leader) });
    (child, File::from(pty.master.as_fd().try_clone_to_owned().unwrap()))
}

#[test]
fn what_the_terminal_sends_arrives_once() {
    let (mut child, mut terminal) = on_a_terminal(LISTENER);
    let mut text = String::new();
    read_until(&mut terminal, &mut text, "ready\r\n");
    terminal.write_all(b"\x03").unwrap();
    read_until(&mut terminal, &mut text, "INT\r\n");
    std::thread::sleep(std::time::Duration::from_millis(300));
    kill(pid(&child), Signal::SIGUSR2).unwrap();
    read_until(&mut terminal, &mut text, "end\r\n");
    assert_eq!(text.matches("INT").count(), 1, "{text:?}");
    assert_eq!(wait(&mut child).code(), Some(3));
}

#[test]
fn job_control_stops_and_continues_both() {
    let mut uaio = command(["run", "--summary=/dev/null", "--", "sh", "-c", "kill -TSTP $$; exit 5"]);
    // A group of its own with a parent outside, or nobody could continue it and the kernel would not stop it.
    let mut child = spawn(uaio.process_group(0));
    let flags = WaitPidFlag::WUNTRACED | WaitPidFlag::WNOHANG;
    let stopped = until("uaio stops", || match waitpid(pid(&child), Some(flags)).unwrap() {
        WaitStatus::StillAlive => None,
        other => Some(other),
    });
    assert_eq!(stopped, Ok(WaitStatus::Stopped(pid(&child), Signal::SIGSTOP)));
    kill(pid(&child), Signal::SIGCONT).unwrap();
    assert_eq!(wait(&mut child).code(), Some(5));
}
