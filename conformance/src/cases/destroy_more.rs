//! io_destroy, further: spec 5.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use super::Case;
use super::reaping::{answers, done, header};
use super::resfd::with;
use crate::case;
use crate::case::Run;
use crate::sleepers::{asleep, wait_until};
use crate::tools::*;
use uaio::abi::*;

pub fn cases() -> Vec<Case> {
    let mut all = waits();
    all.extend(afterwards());
    all.push(used_again());
    all.push(files_let_go_of());
    all
}

/// At once; or soon with these engines of ours, where the kernel lets go of what it has a moment after the event.
fn now_or_soon(t: &Run, late: &[&str], is: impl Fn() -> bool) -> bool {
    let engine = std::env::var("UAIO_ENGINE");
    let is_late = t.is_ours() && late.contains(&engine.as_deref().unwrap_or("auto"));
    is() || is_late
        && (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            is()
        })
}

/// What the program closes after io_destroy is closed then (decisions A25 and A27).
fn files_let_go_of() -> Case {
    case!(Linux, "destroy/its_files_are_let_go_of", "spec 5.4, spec 5.5, spec 5.11", |t| {
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        let page = pages(1, 1);
        let rounds = if t.is_ours() && !t.is_kernels() { 150 } else { 6 };
        for round in 0..rounds {
            let Some(file) = scratch(libc::O_RDWR | libc::O_DIRECT) else { t.not_applicable("no O_DIRECT here") };
            let fd = file.as_raw_fd();
            let other = open(&format!("/proc/self/fd/{fd}"), libc::O_RDWR);
            assert_eq!(unsafe { libc::flock(fd, libc::LOCK_EX) }, 0);
            let ((r, w), ctx) = (pipe(0), t.setup(4));
            let request =
                [io(1, fd, page, 4096, 0), io(0, fd, page, 4096, 0), sync(IOCB_CMD_FSYNC, fd)][round % 3];
            assert_eq!(t.submit(ctx, &mut [request]), 1);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN)]), 1);
            assert_eq!(t.destroy(ctx), 0);
            drop(file);
            unsafe { libc::close(r) };
            let unlocked = || unsafe { libc::flock(other, libc::LOCK_EX | libc::LOCK_NB) } == 0;
            assert!(
                now_or_soon(t, &["auto", "kernel", "uring"], unlocked),
                "round {round}: the file is still open"
            );
            let broken = || unsafe { libc::write(w, b"x".as_ptr().cast(), 1) } == -1;
            assert!(now_or_soon(t, &["auto", "kernel"], broken), "round {round}: the pipe is still open");
            unsafe { (libc::close(other), libc::close(w)) };
        }
    })
}

/// Whether a thread that reads an empty pipe sleeps inside io_submit.
fn pipes_block(t: &Run) -> bool {
    t.decided("A1", true, t.is_inline())
}

/// io_destroy, while such a thread is there: it waits on the kernel, and returns on ours.
fn check_destroyer(t: &Run, destroyer: &ScopedJoinHandle<isize>) {
    if pipes_block(t) {
        assert!(!destroyer.is_finished());
    } else {
        wait_until("io_destroy drops the read", || destroyer.is_finished());
    }
}

/// Pieces of a vector: more than ours has room for beside a request.
const PIECES: usize = 10;
/// Vectors in each direction, single reads, and POLLs.
const VECTORS: usize = 4;
const READS: usize = 16;
const POLLS: usize = 4;
/// Pages of the area: the iocbs, the pieces, a page for what the pipe brings, and the buffers.
const LISTS: usize = 3;
const AREA: usize = LISTS + 2 * VECTORS * PIECES + READS;

/// The area, fresh; at `at`, in the place of what is there.
fn area(at: usize) -> usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | if at == 0 { 0 } else { libc::MAP_FIXED };
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    unsafe { libc::mmap(at as *mut _, AREA * 4096, prot, flags, -1, 0) as usize }
}

/// Requests that name all of the area at `base`, in its first page; the last reads `pipe`, and the ones before are its POLLs.
fn fill_in(base: usize, file: i32, pipe: i32) -> &'static mut [Iocb] {
    let page = |index: usize| base + (LISTS + index) * 4096;
    let pieces = unsafe { std::slice::from_raw_parts_mut((base + 4096) as *mut Iovec, 2 * VECTORS * PIECES) };
    for (index, piece) in pieces.iter_mut().enumerate() {
        *piece = Iovec { base: page(index), len: 4096 };
    }
    let vector = |(index, list): (usize, &mut [Iovec])| {
        let op = if index < VECTORS { IOCB_CMD_PWRITEV } else { IOCB_CMD_PREADV };
        io(op, file, list.as_ptr() as usize, PIECES, ((index % VECTORS) * PIECES * 4096) as i64)
    };
    let read = |index| io(IOCB_CMD_PREAD, file, page(2 * VECTORS * PIECES + index), 4096, index as i64 * 4096);
    let all = pieces.chunks_mut(PIECES).enumerate().map(vector).chain((0..READS).map(read));
    let all = all.chain([poll(pipe, libc::POLLIN); POLLS]);
    let all: Vec<Iocb> = all.chain([io(IOCB_CMD_PREAD, pipe, base + 2 * 4096, 16, 0)]).collect();
    let place = unsafe { std::slice::from_raw_parts_mut(base as *mut Iocb, all.len()) };
    place.copy_from_slice(&all);
    place
}

/// Everything that a context's requests named is something else as soon as io_destroy has returned, and stays what it is.
fn used_again() -> Case {
    case!(Linux, "destroy/what_its_requests_named_may_be_used_again", "spec 5.11", |t| {
        let Some(file) = scratch(libc::O_RDWR | libc::O_DIRECT) else { t.not_applicable("no O_DIRECT here") };
        file.set_len((VECTORS * PIECES * 4096) as u64).unwrap();
        let (r, w) = pipe(0);
        let base = area(0);
        for round in 0..20 {
            let (old, ctx) = (eventfd(libc::EFD_NONBLOCK), t.setup(64));
            area(base);
            let iocbs = fill_in(base, file.as_raw_fd(), r);
            iocbs.iter_mut().for_each(|iocb| *iocb = with(old, *iocb));
            let count = iocbs.len() - usize::from(pipes_block(t));
            assert_eq!(t.submit(ctx, &mut iocbs[..count]), count as isize);
            assert_eq!(t.destroy(ctx), 0);
            unsafe { libc::munmap(base as *mut _, AREA * 4096) };
            assert_eq!(area(base), base);
            let bytes = unsafe { std::slice::from_raw_parts_mut(base as *mut u8, AREA * 4096) };
            bytes.fill(0xdb);
            let new = eventfd(libc::EFD_NONBLOCK);
            assert_eq!(unsafe { libc::dup2(new, old) }, old);
            // What waits for a pipe would come now.
            put(w, b"late");
            std::thread::sleep(Duration::from_millis(10));
            assert!(bytes.iter().all(|byte| *byte == 0xdb), "round {round}: memory has changed");
            assert_eq!(eventfd_count(new), 0, "round {round}: another eventfd is told");
            let mut rest = [0u8; 8];
            assert_eq!(unsafe { libc::read(r, rest.as_mut_ptr().cast(), 8) }, 4);
            unsafe { (libc::close(old), libc::close(new)) };
        }
    })
}

fn waits() -> Vec<Case> {
    vec![
        case!(Linux, "destroy/waits_for_a_thread_inside_io_submit", "spec 5.6, spec 11.2", |t| {
            let (r, w) = pipe(0);
            let (ctx, mut byte) = (t.setup(4), [0u8; 1]);
            let at = byte.as_mut_ptr() as usize;
            std::thread::scope(|s| {
                let submitter = asleep(s, || t.submit(ctx, &mut [io(0, r, at, 1, 0)]));
                let destroyer = asleep(s, || t.destroy(ctx));
                std::thread::sleep(Duration::from_millis(100));
                assert_eq!(t.submit_at(ctx, 0, 0), EINVAL, "it is dead already");
                check_destroyer(t, &destroyer);
                put(w, b"y");
                assert_eq!((submitter.join().unwrap(), destroyer.join().unwrap()), (1, 0));
            });
            // The byte went to the read, or is still in the pipe; it is not lost.
            let mut rest = [0u8; 1];
            unsafe { libc::fcntl(r, libc::F_SETFL, libc::O_NONBLOCK) };
            let n = unsafe { libc::read(r, rest.as_mut_ptr().cast(), 1) };
            let expected = if pipes_block(t) { (b"y", -1, &[0]) } else { (&[0], 1, b"y") };
            assert_eq!((&byte, n, &rest), expected);
        }),
        case!(Linux, "destroy/a_second_one_does_not_wait_for_the_first", "spec 5.1", |t| {
            let (r, w) = pipe(0);
            let (ctx, mut byte) = (t.setup(4), [0u8; 1]);
            let at = byte.as_mut_ptr() as usize;
            std::thread::scope(|s| {
                let submitter = asleep(s, || t.submit(ctx, &mut [io(0, r, at, 1, 0)]));
                let first = asleep(s, || t.destroy(ctx));
                assert_eq!(t.destroy(ctx), EINVAL);
                check_destroyer(t, &first);
                put(w, b"y");
                assert_eq!((submitter.join().unwrap(), first.join().unwrap()), (1, 0));
            });
        }),
        case!(Linux, "destroy/a_waiter_returns_before_it", "spec 3.wait.13", |t| {
            let (r, w) = pipe(0);
            let (ctx, mut byte) = (t.setup(4), [0u8; 1]);
            let at = byte.as_mut_ptr() as usize;
            std::thread::scope(|s| {
                let waiter = asleep(s, || {
                    let mut event = IoEvent::default();
                    t.getevents(ctx, 1, 1, &raw mut event as usize, None)
                });
                let submitter = asleep(s, || t.submit(ctx, &mut [io(0, r, at, 1, 0)]));
                let destroyer = asleep(s, || t.destroy(ctx));
                assert_eq!(waiter.join().unwrap(), EINVAL);
                check_destroyer(t, &destroyer);
                put(w, b"y");
                assert_eq!((submitter.join().unwrap(), destroyer.join().unwrap()), (1, 0));
            });
        }),
        case!(Linux, "destroy/fsyncs_have_signalled_when_it_returns", "spec 5.4, spec 11.2", |t| {
            let (file, fd) = (scratch(libc::O_RDWR).unwrap(), eventfd(0));
            for _ in 0..5 {
                let ctx = t.setup(32);
                assert_eq!(t.submit(ctx, &mut [with(fd, sync(IOCB_CMD_FDSYNC, file.as_raw_fd())); 32]), 32);
                assert_eq!((t.destroy(ctx), eventfd_count(fd)), (0, 32));
            }
        }),
        case!(Linux, "destroy/direct_reads_have_signalled_when_it_returns", "spec 5.4, spec 5.11", |t| {
            let Some(file) = scratch(libc::O_RDWR | libc::O_DIRECT) else { t.not_applicable("no O_DIRECT here") };
            let (fd, page) = (eventfd(0), pages(32, 32));
            for _ in 0..10 {
                let ctx = t.setup(32);
                let read = |i: usize| with(fd, io(0, file.as_raw_fd(), page + i * 4096, 4096, 0));
                let mut iocbs: Vec<Iocb> = (0..32).map(read).collect();
                assert_eq!(t.submit(ctx, &mut iocbs), 32);
                assert_eq!((t.destroy(ctx), eventfd_count(fd)), (0, 32));
            }
        }),
        case!(Linux, "destroy/while_polls_fire_each_signals_once", "spec 5.5, spec 6.resfd.1", |t| {
            for round in 0..50 {
                let (fd, (r, w)) = (eventfd(libc::EFD_NONBLOCK), pipe(0));
                let ctx = t.setup(32);
                assert_eq!(t.submit(ctx, &mut [with(fd, poll(r, libc::POLLIN)); 32]), 32);
                std::thread::scope(|s| {
                    s.spawn(move || put(w, b"x"));
                    std::thread::sleep(Duration::from_micros(round * 4));
                    assert_eq!(t.destroy(ctx), 0);
                });
                assert_eq!(eventfd_count(fd), 32);
                unsafe { (libc::close(fd), libc::close(r), libc::close(w)) };
            }
        }),
        case!(Linux, "destroy/signals_do_not_interrupt_it", "spec 5.9", |t| {
            count_signals(0);
            let (me, over) = (unsafe { libc::pthread_self() }, AtomicBool::new(false));
            let (file, (r, _w)) = (scratch(libc::O_RDWR).unwrap(), pipe(0));
            std::thread::scope(|s| {
                s.spawn(|| {
                    while !over.load(Ordering::SeqCst) {
                        unsafe { libc::pthread_kill(me, libc::SIGUSR1) };
                        std::thread::sleep(Duration::from_micros(100));
                    }
                });
                for _ in 0..20 {
                    let ctx = t.setup(16);
                    assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN); 8]), 8);
                    assert_eq!(t.submit(ctx, &mut [sync(IOCB_CMD_FSYNC, file.as_raw_fd()); 8]), 8);
                    assert_eq!(t.destroy(ctx), 0);
                }
                over.store(true, Ordering::SeqCst);
            });
        }),
    ]
}

fn afterwards() -> Vec<Case> {
    vec![
        case!(Linux, "destroy/the_next_context_begins_empty", "spec 5.7", |t| {
            for round in 0..20 {
                let ctx = t.setup(64);
                let h = header(ctx);
                // A kernel context that is used again begins where it ended (decision A24).
                let begin = if t.is_kernels() { h.tail } else { 0 };
                assert_eq!((h.head, h.tail, h.magic, t.look(ctx)), (begin, begin, RING_MAGIC, 0));
                done(t, ctx, 0..100 + round);
                assert_eq!(t.destroy(ctx), 0);
            }
        }),
        case!(Linux, "destroy/the_ring_is_gone", "spec 5.8", |t| {
            let ctx = t.setup(1);
            let mut there = 0u8;
            assert_eq!(unsafe { libc::mincore(ctx as *mut _, 4096, &mut there) }, 0);
            assert_eq!(t.destroy(ctx), 0);
            let ret = unsafe { libc::mincore(ctx as *mut _, 4096, &mut there) };
            assert_eq!(ret, t.decided("A4", -1, 0));
            assert!(ret == -1 || header(ctx).magic != RING_MAGIC);
        }),
        case!(Linux, "destroy/every_later_call_is_einval", "spec 5.3", |t| {
            let (ctx, other) = (t.setup(1), t.setup(1));
            assert_eq!(t.destroy(ctx), 0);
            if t.is_libaio() {
                assert_eq!((t.submit_at(ctx, 1, BAD), t.destroy(ctx)), (EINVAL, EINVAL));
            } else {
                assert_eq!((answers(t, ctx), t.destroy(ctx)), ([EINVAL; 4], EINVAL));
            }
            assert_eq!((answers(t, other)[0], t.destroy(other)), (0, 0));
        }),
        case!(Linux, "destroy/ends_polls_of_files_that_are_closed", "spec 5.5", |t| {
            let (fd, (r, w)) = (eventfd(libc::EFD_NONBLOCK), pipe(0));
            let ctx = t.setup(8);
            assert_eq!(t.submit(ctx, &mut [with(fd, poll(r, libc::POLLIN)); 8]), 8);
            unsafe { libc::close(r) };
            assert_eq!((t.destroy(ctx), eventfd_count(fd)), (0, 8));
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
            wait_until("nobody holds the read end any more", || unsafe {
                libc::write(w, b"x".as_ptr().cast(), 1) == -1
            });
        }),
        case!(Contract, "destroy/many_in_many_threads", "spec 5.3, spec 5.5", |t| {
            let (r, _w) = pipe(0);
            std::thread::scope(|s| {
                for _ in 0..4 {
                    s.spawn(|| {
                        for _ in 0..20 {
                            let all: Vec<usize> = (0..3).map(|_| t.setup(8)).collect();
                            for ctx in &all {
                                assert_eq!(t.submit(*ctx, &mut [poll(r, libc::POLLIN); 4]), 4);
                                done(t, *ctx, 0..4);
                            }
                            assert!(all.into_iter().all(|ctx| t.destroy(ctx) == 0));
                        }
                    });
                }
            });
        }),
        case!(Linux, "destroy/other_contexts_go_on", "spec 5.5", |t| {
            let (r, w) = pipe(0);
            let (ctx, other) = (t.setup(8), t.setup(8));
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN); 8]), 8);
            assert_eq!(t.submit(other, &mut [poll(r, libc::POLLIN); 8]), 8);
            done(t, other, 0..8);
            assert_eq!((t.destroy(ctx), t.look(other)), (0, 8));
            put(w, b"x");
            assert!(t.reap(other, 8).iter().all(|event| event.res & 1 == 1));
            assert_eq!(t.destroy(other), 0);
        }),
    ]
}
