//! Children, exec, and the end of a process: spec 6.

use std::os::fd::AsRawFd;

use super::Case;
use super::reaping::{answers, done, header, set_head};
use super::resfd::with;
use crate::case;
use crate::case::Run;
use crate::sleepers::wait_until;
use crate::tools::*;
use uaio::abi::*;

pub fn cases() -> Vec<Case> {
    let mut all = forks();
    all.extend(shared_memory());
    all.extend(ends());
    all
}

fn forks() -> Vec<Case> {
    vec![
        case!(Contract, "fork/every_call_with_the_parents_context_is_einval", "spec 6.life.2", |t| {
            let (r, _w) = pipe(0);
            let ctx = t.setup(4);
            let mut iocbs = [poll(r, libc::POLLIN)];
            assert_eq!(t.submit(ctx, &mut iocbs), 1);
            done(t, ctx, 0..2);
            let iocb = &raw mut iocbs[0];
            assert!(in_child(|| {
                let each = (answers(t, ctx), t.cancel(ctx, iocb), t.destroy(ctx), t.submit_at(ctx, 1, BAD));
                each == ([EINVAL; 4], EINVAL, EINVAL, EINVAL)
            }));
            assert_eq!((t.look(ctx), t.cancel(ctx, iocb), t.destroy(ctx)), (2, EINPROGRESS, 0));
        }),
        case!(Contract, "fork/a_child_that_ends_ends_nothing_of_the_parents", "spec 6.life.3", |t| {
            let (r, w) = pipe(0);
            let file = scratch(libc::O_RDWR).unwrap();
            let ctx = t.setup(32);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN); 16]), 16);
            assert_eq!(t.submit(ctx, &mut [sync(IOCB_CMD_FSYNC, file.as_raw_fd()); 16]), 16);
            for _ in 0..5 {
                assert!(in_child(|| true));
            }
            assert!(t.reap(ctx, 16).iter().all(|event| event.res == 0));
            put(w, b"x");
            assert!(t.reap(ctx, 16).iter().all(|event| event.res & 1 == 1));
        }),
        case!(Quirk, "fork/the_child_sees_the_ring_and_can_move_its_head", "spec 6.life.4", |t| {
            let ctx = t.setup(4);
            done(t, ctx, 0..5);
            assert!(in_child(|| {
                let mut there = 0u8;
                if unsafe { libc::mincore(ctx as *mut _, 4096, &mut there) } != 0 {
                    unsafe { libc::_exit(0) } // a kernel that keeps the ring from children
                }
                set_head(ctx, 2);
                (header(ctx).tail, header(ctx).magic) == (5, RING_MAGIC)
            }));
            let left = t.reap(ctx, 5 - header(ctx).head as usize);
            assert_eq!(left.last().unwrap().data, 4);
            assert_eq!(t.look(ctx), 0);
        }),
        case!(Linux, "fork/the_childs_first_context_has_index_0", "spec 6.life.6", |t| {
            let all: Vec<usize> = (0..3).map(|_| t.setup(1)).collect();
            assert!(in_child(|| (0..3).all(|id| header(t.setup(1)).id == id)));
            let ids: Vec<u32> = all.iter().map(|ctx| header(*ctx).id).collect();
            assert_eq!((ids, header(t.setup(1)).id), (vec![0, 1, 2], 3));
        }),
        case!(Contract, "fork/children_and_grandchildren_do_their_own", "spec 6.life.6", |t| {
            let ctx = t.setup(8);
            assert!(own_requests(t, ctx));
            assert!(in_child(|| {
                let own = t.setup(8);
                own_requests(t, own) && in_child(|| own_requests(t, t.setup(8))) && own_requests(t, own)
            }));
            assert!(own_requests(t, ctx));
        }),
        case!(Contract, "fork/while_other_threads_submit_and_reap", "spec 6.life.3, spec 6.life.6", |t| {
            let over = std::sync::atomic::AtomicBool::new(false);
            std::thread::scope(|s| {
                for _ in 0..2 {
                    s.spawn(|| {
                        let ctx = t.setup(8);
                        while !over.load(std::sync::atomic::Ordering::SeqCst) {
                            assert!(own_requests(t, ctx));
                        }
                        assert_eq!(t.destroy(ctx), 0);
                    });
                }
                for _ in 0..15 {
                    assert!(in_child(|| own_requests(t, t.setup(8))));
                }
                over.store(true, std::sync::atomic::Ordering::SeqCst);
            });
        }),
    ]
}

/// A poll that waits, a poll that is ready, an fsync and a read: all end as they should. Takes no lock of this process.
fn own_requests(t: &Run, ctx: usize) -> bool {
    let (r, w) = pipe(0);
    let (zero, dir) = (open("/dev/zero", libc::O_RDONLY), open("/", libc::O_RDONLY));
    let mut byte = [1u8; 1];
    let read = io(0, zero, byte.as_mut_ptr() as usize, 1, 0);
    let mut iocbs = [poll(r, libc::POLLIN), poll(w, libc::POLLOUT), sync(IOCB_CMD_FSYNC, dir), read];
    let mut list = [std::ptr::null_mut(); 4];
    iocbs.iter_mut().zip(0u64..).for_each(|(iocb, i)| {
        iocb.data = i;
        list[i as usize] = std::ptr::from_mut(iocb);
    });
    let accepted = t.submit_at(ctx, 4, list.as_ptr() as usize);
    put(w, b"x");
    let mut events = [IoEvent::default(); 4];
    let time = Some(Timespec { sec: 10, nsec: 0 });
    let n = t.getevents(ctx, 4, 4, events.as_mut_ptr() as usize, time);
    unsafe { [r, w, zero, dir].iter().for_each(|fd| _ = libc::close(*fd)) };
    events.sort_by_key(|event| event.data);
    let good = events.iter().map(|e| (e.data, e.res & 7)).eq([(0, 1), (1, 4), (2, 0), (3, 1)]);
    (accepted, n, byte) == (4, 4, [0]) && good
}

/// A child that shares this process's memory and runs on while this one does.
fn clone_vm<F: FnMut() -> bool>(body: &mut F, meanwhile: impl FnOnce()) -> bool {
    extern "C" fn child<F: FnMut() -> bool>(argument: *mut libc::c_void) -> i32 {
        i32::from(!unsafe { (*argument.cast::<F>())() })
    }
    let stack = pages(64, 64) + 64 * 4096;
    let flags = libc::CLONE_VM | libc::SIGCHLD;
    let mut status = 0;
    unsafe {
        let pid = libc::clone(child::<F>, stack as *mut _, flags, std::ptr::from_mut(body).cast());
        meanwhile();
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
    }
    status == 0
}

fn shared_memory() -> Vec<Case> {
    vec![
        case!(Contract, "fork/a_child_with_the_same_memory_submits_and_reaps", "spec 6.life.1", |t| {
            let ctx = t.setup(8);
            assert!(own_requests(t, ctx));
            // Buffered reads and ready polls need nobody else; the parent submits at the same time.
            let null = open("/dev/null", libc::O_RDONLY);
            let (mut iocb, mut event) = (io(0, null, 0, 0, 0), IoEvent::default());
            let list = [&raw mut iocb];
            let at = &raw mut event as usize;
            let mut body = || {
                (0..100).all(|_| {
                    t.submit_at(ctx, 1, list.as_ptr() as usize) == 1 && t.getevents(ctx, 1, 1, at, None) == 1
                })
            };
            assert!(clone_vm(&mut body, || {}));
            assert!(own_requests(t, ctx));
            assert_eq!((t.look(ctx), t.destroy(ctx)), (0, 0));
        }),
        case!(Linux, "fork/a_child_with_the_same_memory_waits_for_the_parent", "spec 6.life.1", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(8);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN)]), 1);
            let mut event = IoEvent::default();
            let at = &raw mut event as usize;
            let mut body = || t.getevents(ctx, 1, 1, at, None) == 1;
            assert!(clone_vm(&mut body, || {
                std::thread::sleep(std::time::Duration::from_millis(50));
                put(w, b"x");
            }));
            assert_eq!((event.res & 1, t.look(ctx)), (1, 0));
        }),
        case!(Contract, "life/threads_share_a_context", "spec 6.life.1", |t| {
            let ctx = std::thread::scope(|s| s.spawn(|| t.setup(64)).join().unwrap());
            std::thread::scope(|s| {
                (0..4).for_each(|i| _ = s.spawn(move || done(t, ctx, i * 10..i * 10 + 10)));
                s.spawn(|| {
                    let mut seen: Vec<u64> = t.reap(ctx, 40).iter().map(|e| e.data).collect();
                    seen.sort_unstable();
                    assert!(seen.into_iter().eq(0..40));
                });
            });
            assert_eq!(std::thread::scope(|s| s.spawn(|| t.destroy(ctx)).join().unwrap()), 0);
            assert_eq!(t.submit_at(ctx, 0, 0), EINVAL);
        }),
    ]
}

/// Forks a child for `body`, which never returns; the child's wait status. Fails when it does not end.
fn end_of(body: impl FnOnce()) -> i32 {
    match unsafe { libc::fork() } {
        0 => {
            body();
            unsafe { libc::_exit(1) }
        }
        child => {
            let status = std::cell::Cell::new(0);
            wait_until("the child ends", || unsafe {
                let mut now = 0;
                let ended = libc::waitpid(child, &mut now, libc::WNOHANG) == child;
                status.set(now);
                ended
            });
            status.get()
        }
    }
}

/// 64 buffered writes of 64 KiB, accepted; afterwards all are on file, whatever `end` does.
fn survive(t: &Run, end: impl FnOnce()) -> i32 {
    let file = scratch(libc::O_RDWR).unwrap();
    let data = vec![7u8; 65536];
    let status = end_of(|| {
        let ctx = t.setup(64);
        let write = |i: i64| io(1, file.as_raw_fd(), data.as_ptr() as usize, 65536, i * 65536);
        let mut iocbs: Vec<Iocb> = (0..64).map(write).collect();
        if t.submit(ctx, &mut iocbs) == 64 {
            end();
        }
    });
    let mut back = vec![0u8; 64 * 65536];
    let n = unsafe { libc::pread(file.as_raw_fd(), back.as_mut_ptr().cast(), back.len(), 0) };
    assert!(n == back.len() as isize && back.iter().all(|b| *b == 7));
    status
}

fn run_sh(script: &str) {
    let script = std::ffi::CString::new(script).unwrap();
    let words = [c"sh".as_ptr(), c"-c".as_ptr(), script.as_ptr(), std::ptr::null()];
    unsafe { libc::execv(c"/bin/sh".as_ptr(), words.as_ptr()) };
}

fn ends() -> Vec<Case> {
    vec![
        case!(Contract, "exit/accepted_buffered_writes_survive_sigkill", "spec 6.life.9", |t| {
            let status = survive(t, || unsafe { _ = libc::kill(libc::getpid(), libc::SIGKILL) });
            assert_eq!(status, libc::SIGKILL);
        }),
        case!(Contract, "exit/accepted_buffered_writes_survive_exec", "spec 6.life.7, spec 6.life.9", |t| {
            assert_eq!(survive(t, || run_sh("exit 0")), 0);
        }),
        case!(Contract, "exit/accepted_buffered_writes_survive_exit", "spec 6.life.9", |t| {
            assert_eq!(survive(t, || unsafe { libc::exit(0) }), 0);
        }),
        case!(Contract, "exit/after_exec_no_ring_is_left", "spec 6.life.7", |t| {
            let (r, _w) = pipe(0);
            let status = end_of(|| {
                let ctx = t.setup(4);
                assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN); 4]), 4);
                run_sh(&format!("! grep -q '^{ctx:x}-' /proc/self/maps && ! grep -q aio] /proc/self/maps"));
            });
            assert_eq!(status, 0);
        }),
        case!(Linux, "exit/new_descriptors_are_closed_by_exec", "spec 6.life.7", |t| {
            let open_ones = || -> Vec<i32> {
                let all = std::fs::read_dir("/proc/self/fd").unwrap();
                all.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok()).collect()
            };
            let before = open_ones();
            assert!(own_requests(t, t.setup(8)));
            for fd in open_ones().into_iter().filter(|fd| !before.contains(fd)) {
                let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
                assert!(flags == -1 || flags & libc::FD_CLOEXEC != 0, "{fd}");
            }
        }),
        case!(Linux, "exit/polls_in_flight_delay_no_end", "spec 6.life.8", |t| {
            let (r, _w) = pipe(0);
            let polls = || {
                let ctx = t.setup(64);
                assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN); 64]), 64);
            };
            let ends: [(fn(), i32); 4] = [
                (|| unsafe { libc::_exit(3) }, 3 << 8),
                (|| unsafe { libc::exit(4) }, 4 << 8),
                (|| unsafe { _ = libc::kill(libc::getpid(), libc::SIGKILL) }, libc::SIGKILL),
                (|| run_sh("exit 5"), 5 << 8),
            ];
            for (end, status) in ends {
                let both = || {
                    polls();
                    end();
                };
                assert_eq!(end_of(both), status);
            }
        }),
        case!(Linux, "exit/another_thread_may_be_waiting", "spec 6.life.8", |t| {
            let status = end_of(|| {
                let ctx = t.setup(4);
                std::thread::scope(|s| {
                    crate::sleepers::asleep(s, || t.reap(ctx, 1).len());
                    unsafe { libc::_exit(6) }
                })
            });
            assert_eq!(status, 6 << 8);
        }),
        case!(Quirk, "exit/cancelled_polls_signal_their_eventfd", "spec 6.life.8, spec 6.resfd.6", |t| {
            let (fd, (r, _w)) = (eventfd(libc::EFD_NONBLOCK), pipe(0));
            let status = end_of(|| {
                let ctx = t.setup(4);
                assert_eq!(t.submit(ctx, &mut [with(fd, poll(r, libc::POLLIN)); 4]), 4);
                unsafe { libc::_exit(0) }
            });
            let count = eventfd_count(fd);
            assert_eq!((status, count), (0, t.decided_for_poll("A16", 4, 0, &count)));
        }),
    ]
}
