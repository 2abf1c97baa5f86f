//! The same requests on every engine: data, polls, pipes.
// The tests call C the way a program does; what they pass is their own.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::os::fd::AsRawFd;
use std::time::Duration;

use common::*;
use uaio::abi::*;
use uaio::entry::*;

fn pages(op: u16, fd: i32, pages: &mut [Page]) -> Vec<Iocb> {
    let one = |(i, p): (usize, &mut Page)| rw(op, fd, p.0.as_mut_ptr(), 4096, i as i64 * 4096, i as u64);
    pages.iter_mut().enumerate().map(one).collect()
}

fn write_then_read(direct: bool) {
    let Some(scratch) = Scratch::new("data", direct) else { return };
    let fd = scratch.file.as_raw_fd();
    let ctx = setup(64);
    let mut out: Vec<Page> = (0..64).map(|i| Page([i as u8 + 1; 4096])).collect();
    for round in 0..3 {
        assert_eq!(submit(ctx, &mut pages(IOCB_CMD_PWRITE, fd, &mut out)), 64);
        let events = reap(ctx, 64);
        assert!(events.iter().all(|e| e.res == 4096 && e.res2 == 0), "round {round}: {events:?}");
    }
    let mut back: Vec<Page> = (0..64).map(|_| Page([0; 4096])).collect();
    assert_eq!(submit(ctx, &mut pages(IOCB_CMD_PREAD, fd, &mut back)), 64);
    let mut seen: Vec<u64> = reap(ctx, 64).iter().inspect(|e| assert_eq!(e.res, 4096)).map(|e| e.data).collect();
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..64));
    assert!(back.iter().enumerate().all(|(i, p)| p.0.iter().all(|b| *b == i as u8 + 1)));
    for opcode in [IOCB_CMD_FSYNC, IOCB_CMD_FDSYNC] {
        assert_eq!(submit(ctx, &mut [Iocb { opcode, fildes: fd as u32, ..Iocb::default() }]), 1);
        assert_eq!(reap(ctx, 1)[0].res, 0);
    }
    destroy(ctx);
    assert_eq!(unsafe { io_destroy(ctx) }, -22);
}

#[test]
fn buffered_data_comes_back() {
    on_every_engine("buffered_data_comes_back", || write_then_read(false));
}

#[test]
fn direct_data_comes_back() {
    on_every_engine("direct_data_comes_back", || write_then_read(true));
}

/// Pages of the file that are not on the device yet. None: the kernel does not tell (before Linux 6.5).
fn unwritten_pages(fd: i32) -> Option<u64> {
    const SYS_CACHESTAT: libc::c_long = 451;
    // A length of 0 means to the end. The answer: cached, dirty, under writeback, evicted, recently evicted.
    let (range, mut pages) = ([0u64; 2], [0u64; 5]);
    let rc = unsafe { libc::syscall(SYS_CACHESTAT, fd, range.as_ptr(), pages.as_mut_ptr(), 0) };
    (rc == 0).then(|| pages[1] + pages[2])
}

/// As much as a test can see of a power loss: what was synchronised has left the page cache when the event comes.
#[test]
fn synchronised_data_is_not_in_the_page_cache_alone() {
    on_every_engine("synchronised_data_is_not_in_the_page_cache_alone", || {
        let scratch = Scratch::new("dirty", false).unwrap();
        let fd = scratch.file.as_raw_fd();
        std::fs::write(scratch.path(), [1; 4096]).unwrap();
        scratch.file.sync_all().unwrap();
        if unwritten_pages(fd) != Some(0) {
            return eprintln!(
                "not applicable: the kernel does not count dirty pages, or the file system has only such"
            );
        }
        let ctx = setup(64);
        let mut out: Vec<Page> = (0..64).map(|_| Page([7; 4096])).collect();
        for opcode in [IOCB_CMD_FSYNC, IOCB_CMD_FDSYNC] {
            assert_eq!(submit(ctx, &mut pages(IOCB_CMD_PWRITE, fd, &mut out)), 64);
            assert!(reap(ctx, 64).iter().all(|event| event.res == 4096));
            assert_eq!(submit(ctx, &mut [Iocb { opcode, fildes: fd as u32, ..Iocb::default() }]), 1);
            assert_eq!(reap(ctx, 1)[0].res, 0);
            assert_eq!(unwritten_pages(fd), Some(0), "opcode {opcode}");
        }
        let mut synchronous = pages(IOCB_CMD_PWRITE, fd, &mut out);
        synchronous.iter_mut().for_each(|iocb| iocb.rw_flags = RWF_DSYNC);
        assert_eq!(submit(ctx, &mut synchronous), 64);
        assert!(reap(ctx, 64).iter().all(|event| event.res == 4096));
        assert_eq!(unwritten_pages(fd), Some(0), "RWF_DSYNC");
        destroy(ctx);
    });
}

/// After some misses reads are not tried any more: they are right all the same, cached or not, at the end of the file and behind it.
#[test]
fn reads_after_misses_are_right() {
    on_every_engine("reads_after_misses_are_right", || {
        const BLOCKS: usize = 64;
        let scratch = Scratch::new("misses", false).unwrap();
        let fd = scratch.file.as_raw_fd();
        let content: Vec<u8> = (0..BLOCKS * 4096 + 100).map(|i| (i / 4096 + i) as u8).collect();
        std::fs::write(scratch.path(), &content).unwrap();
        scratch.file.sync_all().unwrap();
        unsafe {
            libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_RANDOM);
            libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED);
        }
        let (ctx, mut page) = (setup(8), Page([0; 4096]));
        // Twice: the first time from the disk, then from the page cache, more often than a hint lasts.
        for i in (0..5 * BLOCKS).map(|i| i * 7 % BLOCKS).chain([BLOCKS, BLOCKS + 1, 0]) {
            page.0.fill(0xee);
            let at = i * 4096;
            assert_eq!(
                submit(ctx, &mut [rw(IOCB_CMD_PREAD, fd, page.0.as_mut_ptr(), 4096, at as i64, i as u64)]),
                1
            );
            let event = reap(ctx, 1)[0];
            let expected = &content[at.min(content.len())..(at + 4096).min(content.len())];
            assert_eq!((event.data, event.res), (i as u64, expected.len() as i64));
            assert!(page.0.starts_with(expected), "block {i}");
        }
        destroy(ctx);
    });
}

#[test]
fn cold_buffered_reads_and_a_write_behind_them_keep_their_order() {
    on_every_engine("cold_buffered_reads_and_a_write_behind_them_keep_their_order", || {
        let scratch = Scratch::new("cold", false).unwrap();
        let fd = scratch.file.as_raw_fd();
        std::fs::write(scratch.path(), vec![1u8; 4 << 20]).unwrap();
        let ctx = setup(128);
        for round in 1..4u8 {
            scratch.file.sync_all().unwrap();
            unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED) };
            let mut back = vec![0u8; 64 * 4096];
            let mut next = vec![round + 1; 4 << 20];
            let read = |i: usize, p: *mut u8| rw(IOCB_CMD_PREAD, fd, p, 4096, i as i64 * 65536, i as u64);
            let mut iocbs: Vec<Iocb> =
                back.chunks_mut(4096).enumerate().map(|(i, c)| read(i, c.as_mut_ptr())).collect();
            iocbs.push(rw(IOCB_CMD_PWRITE, fd, next.as_mut_ptr(), next.len(), 0, 64));
            assert_eq!(submit(ctx, &mut iocbs), 65);
            reap(ctx, 65);
            assert!(back.iter().all(|b| *b == round), "round {round}: a read saw the later write");
        }
        destroy(ctx);
    });
}

#[test]
fn vectors_long_and_short_come_back() {
    on_every_engine("vectors_long_and_short_come_back", || {
        let scratch = Scratch::new("vector", false).unwrap();
        let fd = scratch.file.as_raw_fd();
        let ctx = setup(8);
        for count in [1usize, 8, 9, 300] {
            let mut data: Vec<u8> = (0..count * 7).map(|i| i as u8).collect();
            let want = data.clone();
            let iov = |d: &mut [u8]| -> Vec<Iovec> {
                d.chunks_mut(7).map(|c| Iovec { base: c.as_mut_ptr() as usize, len: c.len() }).collect()
            };
            for op in [IOCB_CMD_PWRITEV, IOCB_CMD_PREADV] {
                let mut pieces = iov(&mut data);
                let mut iocb = [rw(op, fd, pieces.as_mut_ptr().cast(), count, 0, 0)];
                assert_eq!(submit(ctx, &mut iocb), 1);
                pieces.fill(Iovec { base: 8, len: 1 });
                assert_eq!(reap(ctx, 1)[0].res, want.len() as i64);
                if op == IOCB_CMD_PREADV {
                    assert_eq!(data, want);
                }
                data.fill(if op == IOCB_CMD_PWRITEV { 0 } else { 1 });
            }
        }
        destroy(ctx);
    });
}

#[test]
fn polls_fire_count_and_cancel() {
    on_every_engine("polls_fire_count_and_cancel", || {
        let ctx = setup(300);
        let (r, w) = pipe();
        let eventfd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        let poll = |data| Iocb { flags: IOCB_FLAG_RESFD, resfd: eventfd as u32, ..poll_in(r, data) };
        let mut iocbs: Vec<Iocb> = (0..200).map(poll).collect();
        assert_eq!(submit(ctx, &mut iocbs), 200);
        assert_eq!(unsafe { io_cancel(ctx, &mut iocbs[7], core::ptr::null_mut()) }, -115);
        assert_eq!(unsafe { io_cancel(ctx, &mut iocbs[7], core::ptr::null_mut()) }, -22);
        let cancelled = reap(ctx, 1);
        assert_eq!((cancelled[0].data, cancelled[0].res), (7, 0));
        assert_eq!(unsafe { libc::write(w, [1u8].as_ptr().cast(), 1) }, 1);
        let events = reap(ctx, 199);
        assert!(events.iter().all(|e| e.res & i64::from(libc::POLLIN) != 0), "{events:?}");
        assert_eq!(counted(eventfd, 200), 200);
        let mut byte = [0u8];
        assert_eq!(unsafe { libc::read(r, byte.as_mut_ptr().cast(), 1) }, 1);
        assert_eq!(submit(ctx, &mut iocbs), 200);
        destroy(ctx);
        let mut count = 0u64;
        assert_eq!(unsafe { libc::read(eventfd, (&raw mut count).cast(), 8) }, 8);
        assert_eq!(count, 200);
    });
}

fn socket_pair() -> (i32, i32) {
    let (kind, mut ends) = (libc::SOCK_STREAM | libc::SOCK_CLOEXEC, [0; 2]);
    assert_eq!(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) }, 0);
    (ends[0], ends[1])
}

/// A terminal that gives each byte as it comes, and its other side.
fn terminal() -> (i32, i32) {
    unsafe {
        let other = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        let mut name = [0; 64];
        assert!(other >= 0 && libc::grantpt(other) == 0 && libc::unlockpt(other) == 0);
        assert_eq!(libc::ptsname_r(other, name.as_mut_ptr(), name.len()), 0);
        let terminal = libc::open(name.as_ptr(), libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        let mut settings: libc::termios = core::mem::zeroed();
        assert_eq!(libc::tcgetattr(terminal, &mut settings), 0);
        libc::cfmakeraw(&mut settings);
        assert_eq!(libc::tcsetattr(terminal, libc::TCSANOW, &settings), 0);
        (terminal, other)
    }
}

/// A read of `r` waits; neither io_submit nor io_destroy waits for it, and then it takes nothing any more.
fn read_that_waits((r, w): (i32, i32)) {
    let ctx = setup(8);
    let mut buf = [0u8; 16];
    let mut iocbs = [rw(IOCB_CMD_PREAD, r, buf.as_mut_ptr(), 16, 0, 1)];
    let kept = unsafe { libc::dup(r) };
    assert_eq!(submit(ctx, &mut iocbs), 1);
    assert_eq!(unsafe { libc::write(w, b"hello".as_ptr().cast(), 5) }, 5);
    let events = reap(ctx, 1);
    assert_eq!((events[0].res, &buf[..5]), (5, &b"hello"[..]));
    assert_eq!(submit(ctx, &mut iocbs), 1);
    unsafe { libc::close(r) };
    // It is to wait in the engine, not on its way there.
    std::thread::sleep(Duration::from_millis(20));
    destroy(ctx);
    buf.fill(0xdb);
    let mut rest = [0u8; 16];
    assert_eq!(unsafe { libc::write(w, b"later".as_ptr().cast(), 5) }, 5);
    assert_eq!(unsafe { libc::read(kept, rest.as_mut_ptr().cast(), 16) }, 5);
    assert_eq!((&rest[..5], buf), (&b"later"[..], [0xdb; 16]));
    unsafe { (libc::close(kept), libc::close(w)) };
}

#[test]
fn an_empty_pipe_stops_neither_the_submitter_nor_destroy() {
    on_engines(&["uring", "threads"], "an_empty_pipe_stops_neither_the_submitter_nor_destroy", || {
        limit(Duration::from_secs(240));
        read_that_waits(pipe());
    });
}

#[test]
fn an_empty_socket_stops_neither_the_submitter_nor_destroy() {
    on_engines(&["uring", "threads"], "an_empty_socket_stops_neither_the_submitter_nor_destroy", || {
        limit(Duration::from_secs(240));
        read_that_waits(socket_pair());
    });
}

#[test]
fn a_silent_terminal_stops_neither_the_submitter_nor_destroy() {
    on_engines(&["uring", "threads"], "a_silent_terminal_stops_neither_the_submitter_nor_destroy", || {
        limit(Duration::from_secs(240));
        read_that_waits(terminal());
    });
}

#[test]
fn a_long_write_to_a_pipe_is_written_whole() {
    on_engines(&["uring", "threads"], "a_long_write_to_a_pipe_is_written_whole", || {
        let ctx = setup(8);
        let (r, w) = pipe();
        let mut data: Vec<u8> = (0..300_000).map(|i| (i / 7) as u8).collect();
        assert_eq!(submit(ctx, &mut [rw(IOCB_CMD_PWRITE, w, data.as_mut_ptr(), data.len(), 0, 1)]), 1);
        let mut got = Vec::new();
        let mut part = [0u8; 8192];
        while got.len() < data.len() {
            let n = unsafe { libc::read(r, part.as_mut_ptr().cast(), part.len()) };
            assert!(n > 0);
            got.extend_from_slice(&part[..n as usize]);
        }
        assert_eq!(reap(ctx, 1)[0].res, data.len() as i64);
        assert!(got == data);
        destroy(ctx);
    });
}

#[test]
fn a_poll_can_be_cancelled_while_it_is_on_its_way() {
    on_every_engine("a_poll_can_be_cancelled_while_it_is_on_its_way", || {
        let ctx = setup(8);
        let (r, _w) = pipe();
        for round in 0..3000u32 {
            let mut iocbs = [poll_in(r, 1)];
            assert_eq!(submit(ctx, &mut iocbs), 1);
            (0..round % 64).for_each(|_| std::hint::spin_loop());
            let cancelled = unsafe { io_cancel(ctx, &mut iocbs[0], core::ptr::null_mut()) };
            assert_eq!(cancelled, -115, "round {round}");
            assert_eq!(reap(ctx, 1)[0].res, 0);
        }
        destroy(ctx);
    });
}

/// The read takes the count before it finds the buffer bad, as Linux: a second try would wait for ever.
#[test]
fn a_read_into_a_bad_buffer_is_not_tried_again() {
    on_every_engine("a_read_into_a_bad_buffer_is_not_tried_again", || {
        let ctx = setup(1);
        let eventfd = unsafe { libc::eventfd(1, libc::EFD_CLOEXEC) };
        assert_eq!(submit(ctx, &mut [rw(IOCB_CMD_PREAD, eventfd, 8 as *mut u8, 512, 0, 1)]), 1);
        let mut event = IoEvent::default();
        let time = libc::timespec { tv_sec: 5, tv_nsec: 0 };
        assert_eq!(unsafe { io_getevents(ctx, 1, 1, &mut event, (&raw const time).cast()) }, 1);
        assert_eq!(event.res, -i64::from(libc::EFAULT));
        destroy(ctx);
    });
}
