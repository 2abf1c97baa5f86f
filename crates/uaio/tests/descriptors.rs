//! Few descriptors: RLIMIT_NOFILE bounds the library's table too.
// The tests call C the way a program does; what they pass is their own.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use uaio::abi::*;

const WAITING: [&str; 2] = ["uring", "threads"];

fn limit_descriptors(count: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    limit.rlim_cur = count;
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
}

fn count_of(eventfd: i32) -> u64 {
    let mut count = 0u64;
    assert_eq!(unsafe { libc::read(eventfd, (&raw mut count).cast(), 8) }, 8);
    count
}

fn poll_with(fd: i32, eventfd: i32) -> Iocb {
    Iocb { flags: IOCB_FLAG_RESFD, resfd: eventfd as u32, ..poll_in(fd, 1) }
}

/// One eventfd and one pipe for all of them: few descriptors are enough, though each comes alone.
#[test]
fn thousands_of_polls_share_their_descriptors() {
    on_engines(&WAITING, "thousands_of_polls_share_their_descriptors", || {
        limit_descriptors(256);
        let ctx = setup(4096);
        let (r, w) = pipe();
        let eventfd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        for _ in 0..4096 {
            assert_eq!(submit(ctx, &mut [poll_with(r, eventfd)]), 1);
        }
        assert_eq!(unsafe { libc::write(w, b"x".as_ptr().cast(), 1) }, 1);
        assert_eq!(reap(ctx, 4096).len(), 4096);
        assert_eq!(count_of(eventfd), 4096);
        destroy(ctx);
    });
}

/// More different files than the table holds: io_submit says so, and does not wait.
#[test]
fn a_poll_without_room_for_its_file_is_eagain() {
    on_engines(&["threads"], "a_poll_without_room_for_its_file_is_eagain", || {
        let ctx = setup(512);
        // The library threads have their socket before all numbers are taken.
        let (first, _w) = pipe();
        assert_eq!(submit(ctx, &mut [poll_in(first, 1)]), 1);
        let pipes: Vec<(i32, i32)> = (0..300).map(|_| pipe()).collect();
        limit_descriptors(128);
        let polls = pipes.iter().map(|(r, _)| submit(ctx, &mut [poll_in(*r, 1)]));
        let accepted = polls.take_while(|answer| *answer == 1).count();
        assert!((30..128).contains(&accepted), "{accepted}");
        assert_eq!(submit(ctx, &mut [poll_in(pipes[accepted].0, 1)]), -(libc::EAGAIN as isize));
        for (_, w) in &pipes[..accepted] {
            assert_eq!(unsafe { libc::write(*w, b"x".as_ptr().cast(), 1) }, 1);
        }
        assert_eq!(reap(ctx, accepted).len(), accepted);
        destroy(ctx);
    });
}

#[test]
fn the_limit_may_fall_to_16_with_requests_in_flight() {
    on_every_engine("the_limit_may_fall_to_16_with_requests_in_flight", || the_limit_falls(16));
}

#[test]
fn the_limit_may_fall_to_0_with_requests_in_flight() {
    on_every_engine("the_limit_may_fall_to_0_with_requests_in_flight", || the_limit_falls(0));
}

/// What is in flight ends, and files are read on.
fn the_limit_falls(limit: u64) {
    let Some(scratch) = Scratch::new("limit", true) else { return };
    std::fs::write(scratch.path(), vec![7u8; 65536]).unwrap();
    let ctx = setup(4096);
    let (r, w) = pipe();
    let eventfd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    // Reads of an empty pipe are performed inside io_submit where the engine has no thread to wait in.
    let reads = if blocks_on_pipes() { 0 } else { 1024 };
    let mut bytes = [0u8; 1024];
    let read = |byte: &mut u8| Iocb {
        flags: IOCB_FLAG_RESFD,
        resfd: eventfd as u32,
        ..rw(IOCB_CMD_PREAD, r, byte, 1, 0, 2)
    };
    let mut iocbs: Vec<Iocb> = bytes[..reads].iter_mut().map(read).collect();
    iocbs.resize(4096, poll_with(r, eventfd));
    let mut sent = 0;
    while sent < 4096 {
        let answer = submit(ctx, &mut iocbs[sent..]);
        assert!(answer > 0, "{answer} after {sent}");
        sent += answer as usize;
    }
    limit_descriptors(limit);
    assert_eq!(unsafe { libc::write(w, [1u8; 2048].as_ptr().cast(), 2048) }, 2048);
    let events = reap(ctx, 4096);
    assert_eq!(events.iter().filter(|event| event.data == 2 && event.res == 1).count(), reads);
    let unready =
        events.iter().find(|event| event.data != 2 && event.res & i64::from(libc::POLLIN) == 0 || event.res < 0);
    assert_eq!(unready, None);
    assert!(bytes[..reads].iter().all(|byte| *byte == 1));
    assert_eq!(count_of(eventfd), 4096);
    let mut page = Page([0; 4096]);
    for i in 0..16 {
        let read = rw(IOCB_CMD_PREAD, scratch.file.as_raw_fd(), page.0.as_mut_ptr(), 4096, i * 4096, 1);
        assert_eq!(submit(ctx, &mut [read]), 1);
        assert_eq!((reap(ctx, 1)[0].res, page.0[0]), (4096, 7));
    }
    destroy(ctx);
}

/// A thread changes the limit all the time: no file that io_submit has taken is lost on its way.
#[test]
fn the_limit_may_change_at_any_moment() {
    on_engines(&WAITING, "the_limit_may_change_at_any_moment", || {
        let pipes: Vec<(i32, i32)> = (0..32).map(|_| pipe()).collect();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    limit_descriptors(16);
                    limit_descriptors(1024);
                }
            });
            let taken: usize = (0..400).map(|_| polls_end(&pipes)).sum();
            stop.store(true, Ordering::Relaxed);
            assert!(taken > 400, "{taken}");
        });
    });
}

/// Polls all pipes, and makes them ready. EAGAIN takes less, or none.
fn polls_end(pipes: &[(i32, i32)]) -> usize {
    let ctx = setup(64);
    let mut iocbs: Vec<Iocb> = pipes.iter().map(|(r, _)| poll_in(*r, 1)).collect();
    let answer = submit(ctx, &mut iocbs);
    assert!(answer > 0 || answer == -(libc::EAGAIN as isize), "{answer}");
    let taken = answer.max(0) as usize;
    let mut byte = 0u8;
    pipes.iter().for_each(|(_, w)| assert_eq!(unsafe { libc::write(*w, (&raw const byte).cast(), 1) }, 1));
    assert!(reap(ctx, taken)[..taken].iter().all(|event| event.res == i64::from(libc::POLLIN)));
    pipes.iter().for_each(|(r, _)| assert_eq!(unsafe { libc::read(*r, (&raw mut byte).cast(), 1) }, 1));
    destroy(ctx);
    taken
}

/// The limit falls and rises again and again while messages are on their way: each request has an event, which says
/// what was read, or EMFILE where its file was lost in the library's table.
#[test]
fn the_limit_may_fall_at_any_moment() {
    on_engines(&WAITING, "the_limit_may_fall_at_any_moment", || {
        let ctx = setup(64);
        let (r, _w) = pipe();
        let eventfd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    limit_descriptors(0);
                    limit_descriptors(4096);
                    (0..2000).for_each(|_| std::hint::spin_loop());
                }
            });
            let mut lost = 0;
            for _ in 0..3000 {
                let mut iocbs = [poll_with(r, eventfd); 8];
                let accepted = submit(ctx, &mut iocbs);
                for iocb in iocbs.iter_mut().take(accepted.max(0) as usize) {
                    unsafe { uaio::entry::io_cancel(ctx, iocb, core::ptr::null_mut()) };
                }
                let events = reap(ctx, accepted.max(0) as usize);
                lost += events.iter().filter(|event| event.res == -i64::from(libc::EMFILE)).count();
                assert!(
                    events.iter().all(|event| [0, -i64::from(libc::EMFILE)].contains(&event.res)),
                    "{events:?}"
                );
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            eprintln!("{}: {lost} of 24000 lost", engine());
        });
        destroy(ctx);
    });
}
