//! Places where something is missing: the six calls on each engine, where the program itself takes it away.
// The tests call C the way a program does; what they pass is their own.
#![allow(clippy::undocumented_unsafe_blocks)]

#[path = "../common/mod.rs"]
mod common;
mod filter;
mod filters;
mod memory;
mod processes;
mod qemu;
mod uring_mask;

use std::os::fd::AsRawFd;

use common::*;
use uaio::abi::*;
use uaio::entry::*;

/// A short job with everything that an engine does: data written, read back and synced, polls and pipes, cancellation.
fn job() {
    let ctx = setup(64);
    data(ctx);
    polls(ctx);
    destroy(ctx);
    if !blocks_on_pipes() {
        // One of its own: what began with O_DIRECT may be the kernel's, whose io_submit waits for an empty pipe.
        let ctx = setup(64);
        pipes(ctx);
        destroy(ctx);
    }
}

fn data(ctx: usize) {
    for direct in [true, false] {
        let Some(scratch) = Scratch::new("place", direct) else { continue };
        let fd = scratch.file.as_raw_fd();
        for round in 1..4u8 {
            let mut pages: Vec<Page> = (0..32).map(|i| Page([round * 32 + i; 4096])).collect();
            complete(ctx, &mut all(IOCB_CMD_PWRITE, fd, &mut pages), 4096);
            complete(ctx, &mut [Iocb { opcode: IOCB_CMD_FSYNC, fildes: fd as u32, ..Iocb::default() }], 0);
            pages.iter_mut().for_each(|page| page.0.fill(0));
            complete(ctx, &mut all(IOCB_CMD_PREAD, fd, &mut pages), 4096);
            assert!(pages.iter().zip(0u8..).all(|(page, i)| page.0 == [round * 32 + i; 4096]), "round {round}");
        }
    }
}

fn all(op: u16, fd: i32, pages: &mut [Page]) -> Vec<Iocb> {
    let one = |(i, page): (usize, &mut Page)| rw(op, fd, page.0.as_mut_ptr(), 4096, i as i64 * 4096, i as u64);
    pages.iter_mut().enumerate().map(one).collect()
}

/// Submits them all, and takes their events.
fn complete(ctx: usize, iocbs: &mut [Iocb], res: i64) {
    assert_eq!(submit(ctx, iocbs), iocbs.len() as isize);
    let events = reap(ctx, iocbs.len());
    assert!(events.iter().all(|event| event.res == res), "{events:?}");
}

/// 50 polls, of which one is cancelled.
fn polls(ctx: usize) {
    let (r, w) = pipe();
    let mut iocbs: Vec<Iocb> = (0..50).map(|data| poll_in(r, data)).collect();
    let accepted = submit(ctx, &mut iocbs);
    if accepted == -(libc::EAGAIN as isize) {
        // Nobody is there to poll.
        return close_both(r, w);
    }
    assert_eq!(accepted, 50);
    assert_eq!(unsafe { io_cancel(ctx, &mut iocbs[7], core::ptr::null_mut()) }, -(libc::EINPROGRESS as isize));
    let cancelled = reap(ctx, 1)[0];
    assert_eq!((cancelled.data, cancelled.res), (7, 0));
    assert_eq!(unsafe { libc::write(w, b"x".as_ptr().cast(), 1) }, 1);
    assert!(reap(ctx, 49).iter().all(|event| event.res & i64::from(libc::POLLIN) != 0));
    close_both(r, w);
}

/// A read that waits for its pipe, and one that io_destroy ends.
fn pipes(ctx: usize) {
    let (r, w) = pipe();
    let mut buf = [0u8; 8];
    let mut read = [rw(IOCB_CMD_PREAD, r, buf.as_mut_ptr(), 8, 0, 1)];
    assert_eq!(submit(ctx, &mut read), 1);
    assert_eq!(unsafe { libc::write(w, b"hello".as_ptr().cast(), 5) }, 5);
    assert_eq!((reap(ctx, 1)[0].res, &buf[..5]), (5, &b"hello"[..]));
    assert_eq!(submit(ctx, &mut read), 1);
}

fn close_both(r: i32, w: i32) {
    [r, w].iter().for_each(|fd| unsafe { _ = libc::close(*fd) });
}

/// Whether a library thread of this process has a ring.
fn has_ring() -> bool {
    let mut tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks.any(|task| {
        let files = std::fs::read_dir(task.path().join("fd")).into_iter().flatten().flatten();
        let mut names = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        names.any(|name| name.as_os_str() == "anon_inode:[io_uring]")
    })
}
