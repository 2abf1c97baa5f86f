//! Threads and processes of a case that sleep in a call, and how to know that they do: by their state, not by the clock.

use std::sync::mpsc;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// How long somebody is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `body` on a thread; returns when that thread sleeps, or has ended.
pub fn asleep<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    body: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    let (tell, told) = mpsc::channel();
    let thread = scope.spawn(move || {
        tell.send(unsafe { libc::gettid() }).unwrap();
        body()
    });
    wait_asleep(unsafe { libc::getpid() }, told.recv().unwrap());
    thread
}

/// Waits until task `tid` of process `pid` sleeps, or is gone: that it does so in ten looks running.
pub fn wait_asleep(pid: i32, tid: i32) {
    let started = Instant::now();
    let mut seen = 0;
    while seen < 10 {
        seen = if matches!(state(pid, tid), Some('S' | 'D') | None) { seen + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(2));
        assert!(started.elapsed() < PATIENCE, "task {tid} does not fall asleep");
    }
}

/// Waits until `done`.
pub fn wait_until(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn state(pid: i32, tid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Sends `signal` to the calling thread as soon as it sleeps.
pub fn signal_once_asleep<'scope>(scope: &'scope Scope<'scope, '_>, signal: i32) -> ScopedJoinHandle<'scope, ()> {
    let (thread, pid, tid) = unsafe { (libc::pthread_self(), libc::getpid(), libc::gettid()) };
    scope.spawn(move || {
        wait_asleep(pid, tid);
        unsafe { libc::pthread_kill(thread, signal) };
    })
}
