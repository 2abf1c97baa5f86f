//! Runs each case in a process of its own, under a time limit: a crash or a hang is one failed case.

use std::io::Read;
use std::os::fd::FromRawFd;
use std::time::{Duration, Instant};

use crate::aio::{Calls, Target};
use crate::case::{Case, NOT_APPLICABLE, Run};

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// Expected, got, where.
    Failed(String),
    /// Why it says nothing here.
    NotApplicable(String),
}

/// Runs `case` on `target`, at most for `limit`.
pub fn run(case: &Case, target: &Target, limit: Duration) -> Outcome {
    let mut ends = [0; 2];
    // SAFETY: an array of two.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    // SAFETY: the child runs one case and leaves with _exit; other threads of the parent hold no lock that it needs
    // but the allocator's, which libc takes care of.
    match unsafe { libc::fork() } {
        0 => in_child(case, target, ends),
        child => {
            // SAFETY: both ends are ours.
            let mut output = unsafe {
                libc::close(ends[1]);
                std::fs::File::from_raw_fd(ends[0])
            };
            let status = wait(child, limit);
            let mut text = String::new();
            // A grandchild may still hold the pipe: what is there is enough.
            unsafe { libc::fcntl(ends[0], libc::F_SETFL, libc::O_NONBLOCK) };
            let mut bytes = Vec::new();
            let _ = output.read_to_end(&mut bytes);
            text.push_str(&String::from_utf8_lossy(&bytes));
            outcome(status, text.trim().to_string())
        }
    }
}

fn in_child(case: &Case, target: &Target, ends: [i32; 2]) -> ! {
    // SAFETY: the ends are ours.
    unsafe {
        libc::dup2(ends[1], 1);
        libc::dup2(ends[1], 2);
        libc::close(ends[0]);
        libc::close(ends[1]);
    }
    let run = || {
        let run = Run { calls: Calls::of(target), target: target.clone() };
        (case.body)(&run);
    };
    let failed = std::panic::catch_unwind(run).is_err();
    // SAFETY: ends the process.
    unsafe { libc::_exit(i32::from(failed)) }
}

fn wait(child: i32, limit: Duration) -> Option<i32> {
    let started = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: `child` is ours.
        match unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } {
            0 if started.elapsed() < limit => std::thread::sleep(Duration::from_micros(300)),
            0 => {
                // SAFETY: `child` is ours.
                unsafe {
                    libc::kill(child, libc::SIGKILL);
                    libc::waitpid(child, &mut status, 0);
                }
                return None;
            }
            _ => return Some(status),
        }
    }
}

fn outcome(status: Option<i32>, text: String) -> Outcome {
    match status {
        None => Outcome::Failed(format!("did not end in time\n{text}")),
        Some(0) => Outcome::Passed,
        Some(status) if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == NOT_APPLICABLE => {
            Outcome::NotApplicable(text)
        }
        Some(status) if libc::WIFSIGNALED(status) => {
            Outcome::Failed(format!("died of signal {}\n{text}", libc::WTERMSIG(status)))
        }
        Some(_) => Outcome::Failed(text),
    }
}

/// Why the target cannot be tried here, if so.
pub fn unavailable(target: &Target) -> Option<String> {
    let probe = crate::case!(Contract, "probe", "", |run| {
        let mut ctx = 0;
        // SAFETY: a valid address.
        let ret = unsafe { (run.calls.io_setup)(1, &mut ctx) };
        if ret != 0 {
            run.not_applicable(&format!("io_setup says {}", std::io::Error::from_raw_os_error(-ret as i32)));
        }
    });
    match run(&probe, target, Duration::from_secs(10)) {
        Outcome::Passed => None,
        Outcome::Failed(why) | Outcome::NotApplicable(why) => Some(why),
    }
}
