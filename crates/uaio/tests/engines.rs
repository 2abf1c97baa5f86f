//! The same requests on every engine: data, polls, pipes.
// The tests call C the way a program does; what they pass is their own.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::os::fd::AsRawFd;

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
        let mut count = 0u64;
        // The last signal comes after the last event.
        let mut total = 0;
        while total < 200 {
            if unsafe { libc::read(eventfd, (&raw mut count).cast(), 8) } == 8 {
                total += count;
            }
        }
        assert_eq!(total, 200);
        let mut byte = [0u8];
        assert_eq!(unsafe { libc::read(r, byte.as_mut_ptr().cast(), 1) }, 1);
        assert_eq!(submit(ctx, &mut iocbs), 200);
        destroy(ctx);
        assert_eq!(unsafe { libc::read(eventfd, (&raw mut count).cast(), 8) }, 8);
        assert_eq!(count, 200);
    });
}

#[test]
fn an_empty_pipe_stops_neither_the_submitter_nor_destroy() {
    on_engines(&["uring", "threads"], "an_empty_pipe_stops_neither_the_submitter_nor_destroy", || {
        let ctx = setup(8);
        let (r, w) = pipe();
        let mut buf = [0u8; 16];
        let mut iocbs = [rw(IOCB_CMD_PREAD, r, buf.as_mut_ptr(), 16, 0, 1)];
        assert_eq!(submit(ctx, &mut iocbs), 1);
        assert_eq!(unsafe { libc::write(w, b"hello".as_ptr().cast(), 5) }, 5);
        let events = reap(ctx, 1);
        assert_eq!((events[0].res, &buf[..5]), (5, &b"hello"[..]));
        assert_eq!(submit(ctx, &mut iocbs), 1);
        unsafe { libc::close(r) };
        destroy(ctx);
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
