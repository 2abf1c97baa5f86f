//! A program that takes system calls away from itself after its start.

use std::os::fd::AsRawFd;

use uaio::abi::*;
use uaio::entry::*;

use crate::common::*;
use crate::filter::{Answer, Filter, Threads};
use crate::job;
use crate::qemu::install_as_qemu_does;

/// No thread of the library's is there yet.
#[test]
fn qemus_sandbox_before_the_first_request() {
    on_every_engine("filters::qemus_sandbox_before_the_first_request", || {
        install_as_qemu_does();
        job();
    });
}

/// Threads of the library's get it while they work, and new ones must start after they have ended.
#[test]
fn qemus_sandbox_with_requests_in_flight() {
    on_every_engine("filters::qemus_sandbox_with_requests_in_flight", || {
        let ctx = setup(8);
        let (r, w) = pipe();
        let accepted = submit(ctx, &mut [poll_in(r, 1)]);
        install_as_qemu_does();
        if accepted == 1 {
            assert_eq!(unsafe { libc::write(w, b"x".as_ptr().cast(), 1) }, 1);
            assert_eq!(reap(ctx, 1)[0].res & 1, 1);
        }
        job();
        std::thread::sleep(std::time::Duration::from_millis(2500));
        job();
        destroy(ctx);
    });
}

/// The filter is one: what it forbids kills.
#[test]
fn qemus_sandbox_kills_a_fork() {
    let status = in_child(|| {
        install_as_qemu_does();
        unsafe { libc::fork() };
        true
    });
    // glibc forks by clone without CLONE_VM.
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSYS, "{status:#x}");
}

#[cfg(target_arch = "x86_64")]
const IO_PGETEVENTS: libc::c_long = 333;
#[cfg(not(target_arch = "x86_64"))]
const IO_PGETEVENTS: libc::c_long = 292;

/// Only these: the six, read, write, futex, and the ways out.
fn install_allow_list(rest: Answer, threads: Threads) {
    let six = [libc::SYS_io_setup, libc::SYS_io_submit, libc::SYS_io_getevents, IO_PGETEVENTS];
    let more = [libc::SYS_io_cancel, libc::SYS_io_destroy, libc::SYS_read, libc::SYS_write, libc::SYS_futex];
    let ends = [libc::SYS_exit, libc::SYS_exit_group, libc::SYS_rt_sigreturn];
    let filter = Filter::default().calls(&six, Answer::Allow).calls(&more, Answer::Allow);
    filter.calls(&ends, Answer::Allow).install(rest, threads);
}

#[test]
fn explore() {
    on_every_engine("filters::explore", || {
        let ctx = setup(64);
        let Some(scratch) = Scratch::new("allow", true) else { return };
        std::fs::write(scratch.path(), vec![7u8; 65536]).unwrap();
        let (r, w) = pipe();
        let mut iocbs = [poll_in(r, 1), poll_in(r, 2)];
        let polls = submit(ctx, &mut iocbs);
        let mut page = Page([0; 4096]);
        let read = rw(IOCB_CMD_PREAD, scratch.file.as_raw_fd(), page.0.as_mut_ptr(), 4096, 4096, 3);
        let mode = std::env::var("MODE").unwrap_or_default();
        let threads = if mode.contains("all") { Threads::All } else { Threads::Own };
        let rest = if mode.contains("kill") { Answer::Kill } else { Answer::Errno(1) };
        install_allow_list(rest, threads);
        let say = |what: &str, n: isize| {
            let t = format!("{what}={n} ");
            unsafe { libc::write(2, t.as_ptr().cast(), t.len()) };
        };
        say("polls", polls);
        unsafe { libc::write(w, b"x".as_ptr().cast(), 1) };
        let mut events = [IoEvent::default(); 8];
        let time = Timespec { sec: 1, nsec: 0 };
        if polls > 0 {
            say("got", unsafe { io_getevents(ctx, 2, 8, events.as_mut_ptr(), &time) });
        }
        say("timeout", unsafe { io_getevents(ctx, 1, 8, events.as_mut_ptr(), &time) });
        let n = submit(ctx, &mut [read]);
        say("submit", n);
        if n == 1 {
            say("got", unsafe { io_getevents(ctx, 1, 8, events.as_mut_ptr(), &time) });
            say("res", events[0].res as isize);
        }
        say("poll", submit(ctx, &mut [poll_in(r, 1)]));
        say("cancel", unsafe { io_cancel(ctx, &mut iocbs[0], core::ptr::null_mut()) });
        say("destroy", unsafe { io_destroy(ctx) });
        let mut new = 0;
        say("setup", unsafe { io_setup(1, &mut new) });
        say("end\n", 0);
        unsafe { libc::_exit(if mode.is_empty() { 0 } else { 1 }) };
    });
}
