//! Runs each case in a process of its own, under a time limit: a crash or a hang is one failed case.

use std::io::Read;
use std::os::fd::{FromRawFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::aio::{Calls, Target};
use crate::case::{Case, NOT_APPLICABLE, Run};
use crate::failure::Failure;
use crate::panics;
use crate::together::Together;
use crate::trace::{Trace, noted};

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed(Failure),
    /// Why it says nothing here.
    NotApplicable(String),
}

/// Held while a process forks and while anything is printed: a child would find the lock of stdout taken for ever.
static FORKING: Mutex<()> = Mutex::new(());

/// Nothing forks while this is held.
pub fn no_fork_now() -> MutexGuard<'static, ()> {
    FORKING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `case` on `target`, at most for `limit`. What the case leaves running is killed. May be called by several
/// threads.
pub fn run(case: &Case, target: &Target, limit: Duration) -> Outcome {
    run_noted(case, target, limit, &Trace::new())
}

/// As [`run`], with the calls noted in `trace`, which may be used for several cases, one after another.
pub fn run_noted(case: &Case, target: &Target, limit: Duration, trace: &Trace) -> Outcome {
    let (child, output) = start(case, target, trace);
    let status = wait(child, limit);
    let text = read(output);
    match status {
        None => fail(Failure::hang(limit.as_secs()), &text, trace),
        Some(0) => Outcome::Passed,
        Some(status) if libc::WIFSIGNALED(status) => fail(Failure::death(libc::WTERMSIG(status)), &text, trace),
        Some(status) if libc::WEXITSTATUS(status) == NOT_APPLICABLE => Outcome::NotApplicable(text.trim().into()),
        Some(status) => failed(libc::WEXITSTATUS(status), &text, trace),
    }
}

fn fail(failure: Failure, printed: &str, trace: &Trace) -> Outcome {
    Outcome::Failed(failure.with(&printed.replace(panics::MARK, "\n"), &trace.calls()))
}

/// The first panic is the one that tells most: it may be that of a child of the case.
fn failed(status: i32, text: &str, trace: &Trace) -> Outcome {
    let Some((printed, panics)) = text.split_once(panics::MARK) else {
        return fail(Failure::panic(&format!("\nit ended with status {status}")), text, trace);
    };
    let (first, later) = panics.split_once(panics::MARK).unwrap_or((panics, ""));
    fail(Failure::panic(first), &format!("{printed}\n{later}"), trace)
}

/// The child, and the pipe that it prints into.
fn start(case: &Case, target: &Target, trace: &Trace) -> (i32, RawFd) {
    let _now = no_fork_now();
    let mut ends = [0; 2];
    // SAFETY: an array of two.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0, "a pipe for a case");
    // SAFETY: the child runs one case and leaves with _exit; other threads of the parent hold no lock that it needs
    // but the allocator's, which libc takes care of.
    match unsafe { libc::fork() } {
        0 => in_child(case, target, trace, ends),
        child => {
            assert!(
                child > 0,
                "fork: {}; --no-fork runs the cases in one process",
                std::io::Error::last_os_error()
            );
            // SAFETY: the end is ours.
            unsafe { libc::close(ends[1]) };
            (child, ends[0])
        }
    }
}

fn in_child(case: &Case, target: &Target, trace: &Trace, ends: [RawFd; 2]) -> ! {
    // SAFETY: the ends are ours; there is one thread.
    unsafe {
        libc::setpgid(0, 0);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::dup2(ends[1], 1);
        libc::dup2(ends[1], 2);
        // A case finds the three descriptors and no other: cases look at numbers.
        libc::close_range(3, u32::MAX, 0);
        // As a Rust program starts, whoever started us.
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        let none: libc::sigset_t = std::mem::zeroed();
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
    panics::end_the_process();
    trace.use_here();
    let status = match Calls::of(target) {
        Ok(calls) => {
            (case.body)(&Run::new(noted(calls), target));
            0
        }
        Err(why) => {
            println!("{why}");
            NOT_APPLICABLE
        }
    };
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

/// The status, or None if it had to be killed. Its children are killed before its number can be another's.
fn wait(child: i32, limit: Duration) -> Option<i32> {
    let started = Instant::now();
    let mut in_time = true;
    while in_time && !has_ended(child) {
        in_time = started.elapsed() < limit;
        std::thread::sleep(Duration::from_micros(300));
    }
    let mut status = 0;
    // SAFETY: `child` is ours, and leads the group that it is named after.
    unsafe {
        libc::kill(-child, libc::SIGKILL);
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, &mut status, 0);
    }
    in_time.then_some(status)
}

/// Whether it is a zombie.
fn has_ended(child: i32) -> bool {
    // SAFETY: all zeros are a siginfo; `child` is ours.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let ret = libc::waitid(libc::P_PID, child as libc::id_t, &mut info, how);
        ret != 0 || info.si_pid() == child
    }
}

/// What is in the pipe. Somebody may still hold its other end: what is there is enough.
fn read(output: RawFd) -> String {
    // SAFETY: the end is ours.
    let mut output = unsafe {
        libc::fcntl(output, libc::F_SETFL, libc::O_NONBLOCK);
        std::fs::File::from_raw_fd(output)
    };
    let mut bytes = Vec::new();
    let _ = output.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Deals the cases out to `jobs` threads that run `worker`, after those of io_setup, which may need all of the host's quota
/// and go one by one. What each worker made of its cases. One such call at a time: see [`Together`].
pub fn side_by_side<T: Send>(
    cases: &[Case],
    jobs: usize,
    worker: impl Fn(&mut dyn Iterator<Item = &Case>) -> T + Sync,
) -> Vec<T> {
    let (alone, rest): (Vec<_>, Vec<_>) = cases.iter().partition(|case| case.group() == "io_setup");
    let next = AtomicUsize::new(0);
    let together = Together::default();
    let work = |_| worker(&mut std::iter::from_fn(|| rest.get(next.fetch_add(1, Ordering::Relaxed)).copied()));
    let first = worker(&mut alone.into_iter());
    std::thread::scope(|scope| {
        let workers = together.start(scope, jobs, &work).expect("a thread starts");
        let others = workers.into_iter().map(|worker| worker.join().expect("a worker ends"));
        std::iter::once(first).chain(others).collect()
    })
}

/// A context can be set up.
pub fn probe() -> Case {
    crate::case!(Contract, "probe", "", |run| {
        let mut ctx = 0;
        // SAFETY: a valid address.
        let ret = unsafe { (run.calls.io_setup)(1, &mut ctx) };
        if ret != 0 {
            run.not_applicable(&format!("io_setup says {}", std::io::Error::from_raw_os_error(-ret as i32)));
        }
        // SAFETY: the context that was just set up.
        unsafe { (run.calls.io_destroy)(ctx) };
    })
}

/// Why the target cannot be tried here, if so.
pub fn unavailable(target: &Target) -> Option<String> {
    run(&probe(), target, Duration::from_secs(60)).why()
}

impl Outcome {
    /// In a line; None when it passed.
    pub fn why(self) -> Option<String> {
        match self {
            Outcome::Passed => None,
            Outcome::NotApplicable(why) => Some(why),
            Outcome::Failed(failure) if failure.note.is_empty() => Some(failure.got),
            Outcome::Failed(failure) => Some(failure.note),
        }
    }
}
