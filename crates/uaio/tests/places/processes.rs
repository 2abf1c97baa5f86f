//! Many processes at once, and processes that may start no thread.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use uaio::abi::*;
use uaio::entry::*;

use crate::common::*;
use crate::job;

const PROCESSES: usize = 100;
const BYTES: usize = 65536;

/// Becomes an ordinary user, if this is none.
fn drop_rights() -> bool {
    unsafe { libc::getuid() != 0 || (libc::setgid(65534) == 0 && libc::setuid(65534) == 0) }
}

/// Forks without waiting.
fn start(body: impl FnOnce() -> bool) -> i32 {
    match unsafe { libc::fork() } {
        0 => unsafe { libc::_exit(i32::from(!body())) },
        child => child,
    }
}

fn end(child: i32) -> i32 {
    let mut status = 0;
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    status
}

/// io_setup, reads and io_destroy. Nothing here panics: it is a forked child of a program with threads.
fn reads(fd: i32) -> bool {
    let mut ctx = 0;
    if unsafe { io_setup(32, &mut ctx) } != 0 {
        return false;
    }
    let mut pages: Vec<Page> = (0..16).map(|_| Page([0; 4096])).collect();
    let read = |(i, page): (usize, &mut Page)| {
        rw(IOCB_CMD_PREAD, fd, page.0.as_mut_ptr(), 4096, i as i64 * 4096, i as u64)
    };
    let mut iocbs: Vec<Iocb> = pages.iter_mut().enumerate().map(read).collect();
    let mut events = [IoEvent::default(); 16];
    let mut got = 0;
    let mut good = submit(ctx, &mut iocbs) == 16;
    while good && got < 16 {
        let n =
            unsafe { io_getevents(ctx, 1, 16 - got as isize, events.as_mut_ptr().add(got), core::ptr::null()) };
        good = n > 0;
        got += n.max(0) as usize;
    }
    good &= events.iter().all(|event| event.res == 4096);
    good &= pages.iter().zip(1u8..).all(|(page, i)| page.0 == [i; 4096]);
    good & (unsafe { io_destroy(ctx) } == 0)
}

/// All hold their context while the others make theirs.
#[test]
fn a_hundred_users_at_once() {
    on_every_engine("processes::a_hundred_users_at_once", || {
        let Some(scratch) = Scratch::new("hundred", true) else { return };
        let content: Vec<u8> = (0..BYTES).map(|i| (i / 4096) as u8 + 1).collect();
        std::fs::write(scratch.path(), content).unwrap();
        let fd = scratch.file.as_raw_fd();
        let (gate, opener) = pipe();
        let children: Vec<i32> = (0..PROCESSES)
            .map(|_| {
                start(|| {
                    let mut byte = 0u8;
                    unsafe { libc::close(opener) };
                    // The gate opens for all at once, when its other end is closed.
                    let open = unsafe { libc::read(gate, (&raw mut byte).cast(), 1) } == 0;
                    open && drop_rights() && (0..3).all(|_| reads(fd))
                })
            })
            .collect();
        drop(unsafe { OwnedFd::from_raw_fd(opener) });
        let failed: Vec<i32> = children.into_iter().map(end).filter(|status| *status != 0).collect();
        assert!(failed.is_empty(), "{} of {PROCESSES} failed: {failed:x?}", failed.len());
    });
}

/// RLIMIT_NPROC is used up: requests are executed on the program's own threads, and a POLL that would wait is EAGAIN.
#[test]
fn no_thread_can_start() {
    on_every_engine("processes::no_thread_can_start", || {
        // A user of nobody else's: the limit counts all of a user's.
        let user = 1_000_000 + std::process::id();
        if unsafe { libc::getuid() } == 0 {
            unsafe { assert_eq!((libc::setgid(65534), libc::setuid(user)), (0, 0)) };
        }
        let limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &limit) }, 0);
        assert!(std::thread::Builder::new().spawn(|| ()).is_err(), "a thread starts all the same");
        let ctx = setup(8);
        let (r, w) = pipe();
        let kernels = engine() == "kernel" || engine() == "auto" && has_kernel_aio();
        let answer = if kernels { 1 } else { -(libc::EAGAIN as isize) };
        assert_eq!(submit(ctx, &mut [poll_in(r, 1)]), answer);
        assert_eq!(unsafe { libc::write(w, b"x".as_ptr().cast(), 1) }, 1);
        assert_eq!(submit(ctx, &mut [poll_in(r, 1)]), 1);
        assert_eq!(reap(ctx, if kernels { 2 } else { 1 })[0].res & 1, 1);
        destroy(ctx);
        write_and_read();
    });
}

/// The part of the job for which nobody has to wait.
fn write_and_read() {
    let ctx = setup(64);
    crate::data(ctx);
    destroy(ctx);
}

/// Locked memory is used up from the start; io_uring may need some.
#[test]
fn no_memory_can_be_locked() {
    on_every_engine("processes::no_memory_can_be_locked", || {
        let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) }, 0);
        assert!(drop_rights());
        job();
    });
}
