//! Pipes, sockets, terminals and other files without a place: spec 2.

use super::Case;
use crate::case;
use crate::tools::*;
use uaio::abi::*;

const READ: u16 = IOCB_CMD_PREAD;
const WRITE: u16 = IOCB_CMD_PWRITE;

pub fn cases() -> Vec<Case> {
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
    ]
}
