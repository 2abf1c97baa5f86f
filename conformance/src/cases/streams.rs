//! Pipes, sockets, terminals and other files without a place: spec 2.

use super::Case;
use crate::case;
use crate::case::Run;
use crate::sleepers::signal_once_asleep;
use crate::tools::*;
use uaio::abi::*;

const READ: u16 = IOCB_CMD_PREAD;
const WRITE: u16 = IOCB_CMD_PWRITE;

pub fn cases() -> Vec<Case> {
    [pipes(), waiting(), others()].into_iter().flatten().collect()
}

fn pipes() -> Vec<Case> {
    vec![
        case!(Linux, "stream/pipes_ignore_the_offset", "spec 2.data.7", |t| {
            let (r, w) = pipe(0);
            let mut buf = [0u8; 8];
            assert_eq!(t.one(io(WRITE, w, b"hello".as_ptr() as usize, 5, 4096)), 5);
            assert_eq!(t.one(io(READ, r, buf.as_mut_ptr() as usize, 8, 999)), 5);
            assert_eq!(&buf[..5], b"hello");
        }),
        case!(Linux, "stream/sockets_take_offset_0_only", "spec 2.data.8, spec 2.event.6", |t| {
            let (a, b) = socket_pair();
            let mut buf = [0u8; 8];
            assert_eq!(t.one(io(WRITE, a, b"hello".as_ptr() as usize, 5, 0)), 5);
            assert_eq!(t.one(io(READ, b, buf.as_mut_ptr() as usize, 8, 5)), ESPIPE as i64);
            assert_eq!(t.one(io(READ, b, buf.as_mut_ptr() as usize, 8, 0)), 5);
        }),
        case!(Linux, "stream/eventfd_reads_8_bytes", "spec 2.data.10", |t| {
            let fd = eventfd(0);
            let mut count = 0u64;
            put(fd, &3u64.to_ne_bytes());
            assert_eq!(t.one(io(READ, fd, &raw mut count as usize, 4, 0)), EINVAL as i64);
            assert_eq!(t.one(io(READ, fd, &raw mut count as usize, 8, 0)), 8);
            assert_eq!(count, 3);
        }),
        case!(Linux, "stream/empty_non_blocking_pipe_is_an_eagain_event", "spec 2.data.11", |t| {
            let (r, _w) = pipe(libc::O_NONBLOCK);
            let (blocking, _w) = pipe(0);
            let mut buf = [0u8; 8];
            let at = buf.as_mut_ptr() as usize;
            assert_eq!(t.one(io(READ, r, at, 8, 0)), EAGAIN as i64);
            assert_eq!(t.one(Iocb { rw_flags: RWF_NOWAIT, ..io(READ, blocking, at, 8, 0) }), EAGAIN as i64);
        }),
        case!(Linux, "stream/full_non_blocking_pipe_is_short_then_eagain", "spec 2.data.12", |t| {
            let (_r, w) = pipe(libc::O_NONBLOCK);
            let data = vec![1u8; 1 << 20];
            let first = t.one(io(WRITE, w, data.as_ptr() as usize, data.len(), 0));
            assert!(first > 0 && first < 1 << 20, "{first}");
            assert_eq!(t.one(io(WRITE, w, data.as_ptr() as usize, data.len(), 0)), EAGAIN as i64);
        }),
        case!(Linux, "stream/empty_pipe_and_no_bytes_is_0", "spec 2.data.15", |t| {
            let (r, _w) = pipe(0);
            assert_eq!(t.one(io(READ, r, 0, 0, 0)), 0);
        }),
        case!(Linux, "stream/closed_pipe_is_end_of_file_or_epipe_with_a_signal", "spec 2.event.7", |t| {
            let (r, w) = pipe(0);
            let (r2, w2) = pipe(0);
            unsafe {
                libc::close(w);
                libc::close(r2);
                libc::signal(libc::SIGPIPE, libc::SIG_IGN);
            }
            let mut buf = [0u8; 8];
            assert_eq!(t.one(io(READ, r, buf.as_mut_ptr() as usize, 8, 0)), 0);
            assert_eq!(t.one(io(WRITE, w2, buf.as_ptr() as usize, 8, 0)), EPIPE as i64);
        }),
        case!(Contract, "stream/a_pipe_that_waits_gets_its_data", "spec 2.data.13, decision A1", |t| {
            let (r, w) = pipe(0);
            let writer = std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(50));
                put(w, b"later");
            });
            let mut buf = [0u8; 8];
            assert_eq!(t.one(io(READ, r, buf.as_mut_ptr() as usize, 8, 0)), 5);
            assert_eq!(&buf[..5], b"later");
            writer.join().unwrap();
        }),
        case!(Contract, "stream/a_pseudo_terminal_can_be_read", "spec 2.data.9", |t| {
            let (mut master, mut slave) = (0, 0);
            let null = std::ptr::null_mut();
            assert_eq!(
                unsafe { libc::openpty(&mut master, &mut slave, null, std::ptr::null(), std::ptr::null()) },
                0
            );
            put(master, b"line\n");
            let mut buf = [0u8; 16];
            assert_eq!(t.one(io(READ, slave, buf.as_mut_ptr() as usize, 16, 77)), 5);
        }),
        case!(Linux, "stream/pipes_take_vectors", "spec 2.data.7", |t| {
            let (r, w) = pipe(0);
            let mut buf = [0u8; 6];
            let at = buf.as_mut_ptr() as usize;
            let from = [b"abc", b"def"].map(|s| Iovec { base: s.as_ptr() as usize, len: 3 });
            let to = [Iovec { base: at + 4, len: 2 }, Iovec { base: at, len: 4 }];
            assert_eq!(t.one(io(IOCB_CMD_PWRITEV, w, from.as_ptr() as usize, 2, 1 << 50)), 6);
            assert_eq!(t.one(io(IOCB_CMD_PREADV, r, to.as_ptr() as usize, 2, 1 << 50)), 6);
            assert_eq!(&buf, b"cdefab");
        }),
        case!(Linux, "stream/a_full_pipe_with_nowait_is_an_eagain_event", "spec 2.data.12, spec 2.data.11", |t| {
            let (_r, w) = pipe(0);
            let data = vec![1u8; 1 << 20];
            let write = Iocb { rw_flags: RWF_NOWAIT, ..io(WRITE, w, data.as_ptr() as usize, data.len(), 0) };
            let first = t.one(write);
            assert!(first > 0 && first < 1 << 20, "{first}");
            assert_eq!(t.one(write), EAGAIN as i64);
        }),
        case!(Linux, "stream/nothing_to_take_is_an_eagain_event_at_once", "spec 2.data.11", |t| {
            let ctx = t.setup(4);
            let (r, _w) = pipe(libc::O_NONBLOCK);
            let (a, _b) = socket_pair();
            let (c, _d) = socket_pair();
            unsafe { libc::fcntl(c, libc::F_SETFL, libc::O_NONBLOCK) };
            let mut buf = [0u8; 8];
            let list = [Iovec { base: buf.as_mut_ptr() as usize, len: 8 }];
            for (fd, rw_flags) in [(r, 0), (a, RWF_NOWAIT), (c, 0), (eventfd(libc::EFD_NONBLOCK), 0)] {
                for (op, at, n) in [(READ, list[0].base, 8), (IOCB_CMD_PREADV, list.as_ptr() as usize, 1)] {
                    assert_eq!(t.submit(ctx, &mut [Iocb { rw_flags, ..io(op, fd, at, n, 0) }]), 1);
                    let mut event = IoEvent::default();
                    let now = Some(Timespec::default());
                    assert_eq!(t.getevents(ctx, 1, 1, &raw mut event as usize, now), 1, "fd {fd}");
                    assert_eq!(event.res, EAGAIN as i64, "fd {fd}");
                }
            }
        }),
    ]
}

/// Whether io_submit waits for the other side (decision A1).
fn blocks(t: &Run) -> bool {
    t.is_inline() || t.decided("A1", true, false)
}

fn waiting() -> Vec<Case> {
    vec![
        case!(Linux, "stream/io_submit_waits_for_a_pipe_that_blocks", "spec 2.data.13, decision A1", |t| {
            let ((r, w), ctx, blocks_here) = (pipe(0), t.setup(4), blocks(t));
            let (said, heard) = std::sync::mpsc::channel();
            let writer = std::thread::spawn(move || {
                // Said once io_submit has returned; where that waits for us, never.
                let _ =
                    heard.recv_timeout(std::time::Duration::from_millis(if blocks_here { 100 } else { 60_000 }));
                put(w, b"later");
            });
            let mut buf = [0u8; 8];
            assert_eq!(t.submit(ctx, &mut [io(READ, r, buf.as_mut_ptr() as usize, 8, 0)]), 1);
            assert_eq!(t.look(ctx) == 1, blocks_here);
            let _ = said.send(());
            writer.join().unwrap();
            if !blocks_here {
                assert_eq!(t.reap(ctx, 1)[0].res, 5);
            }
            assert_eq!(&buf, b"later\0\0\0");
        }),
        case!(Quirk, "stream/a_signal_ends_the_wait_with_an_eintr_event", "spec 2.data.14, decision A1", |t| {
            if !blocks(t) {
                t.not_applicable("io_submit does not wait");
            }
            // Inline, the call that waits is a read, which SA_RESTART starts again.
            let kinds: &[i32] = if t.is_inline() { &[0] } else { &[0, libc::SA_RESTART] };
            for &flags in kinds {
                let ((r, _w), ctx) = (pipe(0), t.setup(4));
                let (count, mut byte) = (count_signals(flags), 0u8);
                let before = count.load(std::sync::atomic::Ordering::SeqCst);
                std::thread::scope(|s| {
                    signal_once_asleep(s, libc::SIGUSR1);
                    assert_eq!(t.submit(ctx, &mut [io(READ, r, &raw mut byte as usize, 1, 0)]), 1);
                    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), before + 1);
                    assert_eq!(t.reap(ctx, 1)[0].res, EINTR as i64, "flags {flags:#x}");
                });
            }
        }),
        case!(Contract, "stream/a_signal_does_not_lose_what_waits", "spec 2.data.13, decision A1", |t| {
            if blocks(t) {
                t.not_applicable("io_submit waits, and the signal ends that");
            }
            let ((r, w), ctx) = (pipe(0), t.setup(4));
            count_signals(0);
            let mut byte = 0u8;
            assert_eq!(t.submit(ctx, &mut [io(READ, r, &raw mut byte as usize, 1, 0)]), 1);
            signal_after(10).join().unwrap();
            put(w, b"x");
            assert_eq!((t.reap(ctx, 1)[0].res, byte), (1, b'x'));
        }),
        case!(Contract, "stream/a_long_write_to_a_pipe_is_written_whole", "spec 2.data.13, write(2)", |t| {
            let ((r, w), ctx) = (pipe(0), t.setup(4));
            let data: Vec<u8> = (0..300_000u32).map(|i| i as u8).collect();
            let reader = std::thread::spawn(move || {
                let mut file = unsafe { <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(r) };
                let mut back = vec![0; 300_000];
                std::io::Read::read_exact(&mut file, &mut back).unwrap();
                back
            });
            assert_eq!(t.one_in(ctx, io(WRITE, w, data.as_ptr() as usize, data.len(), 0)), 300_000);
            assert!(reader.join().unwrap() == data);
        }),
        case!(
            Contract,
            "stream/an_eventfd_that_waits_gets_its_count",
            "spec 2.data.10, spec 2.data.13, decision A1",
            |t| {
                let (fd, ctx) = (eventfd(0), t.setup(4));
                let writer = std::thread::spawn(move || {
                    std::thread::sleep(std::time::Duration::from_millis(30));
                    put(fd, &7u64.to_ne_bytes());
                });
                let mut count = 0u64;
                assert_eq!((t.one_in(ctx, io(READ, fd, &raw mut count as usize, 8, 0)), count), (8, 7));
                writer.join().unwrap();
            }
        ),
    ]
}

fn others() -> Vec<Case> {
    vec![
        case!(Linux, "stream/each_offset_but_0_is_espipe_on_a_socket", "spec 2.data.8, spec 2.event.6", |t| {
            let ((a, b), ctx) = (socket_pair(), t.setup(4));
            put(b, b"data");
            let mut buf = [0u8; 8];
            let list = [Iovec { base: buf.as_mut_ptr() as usize, len: 8 }];
            for offset in [1, 4096, i64::MAX - 8] {
                for (op, at, n) in [(READ, list[0].base, 8), (WRITE, list[0].base, 8)] {
                    assert_eq!(
                        t.one_in(ctx, io(op, a, at, n, offset)),
                        ESPIPE as i64,
                        "opcode {op}, offset {offset}"
                    );
                }
                let vector = io(IOCB_CMD_PREADV, a, list.as_ptr() as usize, 1, offset);
                assert_eq!(t.one_in(ctx, vector), ESPIPE as i64);
            }
            assert_eq!(t.one_in(ctx, io(READ, a, list[0].base, 8, 0)), 4);
        }),
        case!(Linux, "stream/sockets_end_and_keep_records", "spec 2.data.8, read(2)", |t| {
            let mut ends = [0; 2];
            assert_eq!(unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0, ends.as_mut_ptr()) }, 0);
            put(ends[0], b"first record");
            put(ends[0], b"second");
            unsafe { libc::close(ends[0]) };
            let mut buf = [0u8; 8];
            let mut next = || t.one(io(READ, ends[1], buf.as_mut_ptr() as usize, 8, 0));
            assert_eq!((next(), next(), next()), (8, 6, 0));
        }),
        case!(Linux, "stream/terminals_ignore_the_offset_in_both_directions", "spec 2.data.9", |t| {
            let (mut master, mut slave) = (0, 0);
            let null = std::ptr::null_mut();
            assert_eq!(
                unsafe { libc::openpty(&mut master, &mut slave, null, std::ptr::null(), std::ptr::null()) },
                0
            );
            let mut buf = [0u8; 16];
            let at = buf.as_mut_ptr() as usize;
            assert_eq!(t.one(io(WRITE, slave, b"out".as_ptr() as usize, 3, 1 << 40)), 3);
            assert_eq!(t.one(io(READ, master, at, 16, 5)), 3);
            assert_eq!(t.one(io(WRITE, master, b"in\n".as_ptr() as usize, 3, 9)), 3);
            assert_eq!(t.one(io(READ, slave, at, 16, i64::MAX - 16)), 3);
            assert_eq!(&buf[..3], b"in\n");
        }),
        case!(Linux, "stream/an_eventfd_as_semaphore_gives_1", "spec 2.data.10, eventfd(2)", |t| {
            let fd = eventfd(libc::EFD_SEMAPHORE | libc::EFD_NONBLOCK);
            put(fd, &2u64.to_ne_bytes());
            let mut count = 0u64;
            let read = io(READ, fd, &raw mut count as usize, 8, 0);
            assert_eq!((t.one(read), t.one(read), t.one(read), count), (8, 8, EAGAIN as i64, 1));
        }),
        case!(Linux, "stream/an_eventfd_takes_larger_buffers_and_offsets", "spec 2.data.10", |t| {
            let fd = eventfd(libc::EFD_NONBLOCK);
            let mut buf = [0u64; 4];
            put(fd, &9u64.to_ne_bytes());
            assert_eq!(t.one(io(READ, fd, buf.as_mut_ptr() as usize, 7, 0)), EINVAL as i64);
            assert_eq!(t.one(io(READ, fd, buf.as_mut_ptr() as usize, 32, 100)), 8);
            assert_eq!(buf, [9, 0, 0, 0]);
        }),
        case!(Linux, "stream/no_bytes_of_anything_are_0", "spec 2.data.15", |t| {
            let ((r, w), (a, _b)) = (pipe(0), socket_pair());
            for (op, fd) in [(READ, r), (WRITE, w), (IOCB_CMD_PREADV, r), (IOCB_CMD_PWRITEV, w), (WRITE, a)] {
                assert_eq!(t.one(io(op, fd, 0, 0, 0)), 0, "opcode {op}, fd {fd}");
            }
        }),
    ]
}
