//! Processes and threads: spec 6.

use std::os::fd::AsRawFd;

use super::Case;
use crate::case;
use crate::case::Run;
use crate::tools::*;
use uaio::abi::*;

pub fn cases() -> Vec<Case> {
    vec![
        case!(
            Contract,
            "life/a_forked_child_gets_einval_and_has_its_own",
            "spec 6.life.2, spec 6.life.3, spec 6.life.6",
            |t| {
                let (r, w) = pipe(0);
                let ctx = t.setup(1);
                assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN)]), 1);
                assert!(in_child(|| {
                    let refused = t.submit_at(ctx, 0, 0) == EINVAL && t.destroy(ctx) == EINVAL;
                    let own = t.setup(4);
                    let null = open("/dev/null", libc::O_RDONLY);
                    refused
                        && t.submit(own, &mut [io(0, null, 0, 0, 0)]) == 1
                        && t.look(own) == 1
                        && t.destroy(own) == 0
                }));
                put(w, b"x");
                assert_eq!(t.reap(ctx, 1).len(), 1);
                assert_eq!(t.destroy(ctx), 0);
            }
        ),
        case!(Contract, "life/a_vfork_child_shares_the_contexts", "spec 6.life.1", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [io(0, null, 0, 0, 0)]), 1);
            let mut event = IoEvent::default();
            extern "C" fn child(argument: *mut libc::c_void) -> i32 {
                let (calls, ctx, event) =
                    unsafe { *(argument as *const (crate::aio::Calls, usize, *mut IoEvent)) };
                let n = unsafe { (calls.io_getevents)(ctx, 1, 1, event, std::ptr::null()) };
                i32::from(n != 1)
            }
            let mut argument = (t.calls, ctx, &raw mut event);
            let stack = pages(64, 64);
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            let status = unsafe {
                let pid = libc::clone(child, (stack + 64 * 4096) as *mut _, flags, (&raw mut argument).cast());
                let mut status = 0;
                libc::waitpid(pid, &mut status, 0);
                status
            };
            assert_eq!(status, 0);
            assert_eq!((t.look(ctx), t.destroy(ctx)), (0, 0));
        }),
        case!(Contract, "life/accepted_buffered_writes_survive_exit", "spec 6.life.9", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            let data = vec![3u8; 65536];
            assert!(in_child(|| {
                let ctx = t.setup(64);
                let write = |i: i64| io(1, file.as_raw_fd(), data.as_ptr() as usize, 65536, i * 65536);
                let mut iocbs: Vec<Iocb> = (0..64).map(write).collect();
                t.submit(ctx, &mut iocbs) == 64
            }));
            let mut back = vec![0u8; 64 * 65536];
            let n = unsafe { libc::pread(file.as_raw_fd(), back.as_mut_ptr().cast(), back.len(), 0) };
            assert!(n == back.len() as isize && back.iter().all(|b| *b == 3));
        }),
        case!(Contract, "life/accepted_direct_overwrites_survive_sigkill", "spec 6.life.9", |t| {
            if t.is_ours() && std::env::var("UAIO_ENGINE").is_ok_and(|e| ["threads", "scripted"].contains(&&*e)) {
                t.not_applicable("README, \"Is my data safe?\": queued O_DIRECT overwrites on threads");
            }
            survive_sigkill(t, |t, fd| {
                let old = pages(16, 16);
                unsafe { std::ptr::write_bytes(old as *mut u8, 1, 16 * 4096) };
                (0..16).for_each(|i| assert_eq!(t.one(io(1, fd, old, 4096, i * 4096)), 4096));
            });
        }),
        case!(
            Contract,
            "life/accepted_direct_writes_into_allocated_space_survive_sigkill",
            "spec 6.life.9",
            |t| {
                if t.is_ours()
                    && std::env::var("UAIO_ENGINE").is_ok_and(|e| ["threads", "scripted"].contains(&&*e))
                {
                    t.not_applicable("README, \"Is my data safe?\": queued O_DIRECT overwrites on threads");
                }
                survive_sigkill(t, |_, fd| {
                    // Where the file system cannot allocate, the writes extend the file.
                    unsafe { (libc::ftruncate(fd, 0), libc::fallocate(fd, 0, 0, 16 * 4096)) };
                });
            }
        ),
        case!(Contract, "life/accepted_direct_writes_that_extend_survive_sigkill", "spec 6.life.9", |t| {
            survive_sigkill(t, |_, fd| unsafe { _ = libc::ftruncate(fd, 0) });
        }),
        case!(Contract, "life/requests_outlive_the_thread_that_submitted_them", "spec 6.life.10", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(4);
            let calls = t.calls;
            let submitter = move || {
                let mut iocb = poll(r, libc::POLLIN);
                let list = [&raw mut iocb];
                unsafe { (calls.io_submit)(ctx, 1, list.as_ptr()) }
            };
            assert_eq!(std::thread::spawn(submitter).join().unwrap(), 1);
            std::thread::sleep(std::time::Duration::from_millis(20));
            put(w, b"x");
            assert_eq!(t.reap(ctx, 1)[0].res & 1, 1);
        }),
        case!(Contract, "life/the_old_file_is_used_after_dup2", "spec 6.life.14", |t| {
            let (r, w) = pipe(0);
            let (other, other_w) = pipe(0);
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN)]), 1);
            unsafe { libc::dup2(other, r) };
            put(other_w, b"x");
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert_eq!(t.look(ctx), 0);
            put(w, b"x");
            assert_eq!(t.reap(ctx, 1).len(), 1);
        }),
        case!(Linux, "life/a_context_has_no_descriptor", "spec 0.15", |t| {
            let before = std::fs::read_dir("/proc/self/fd").unwrap().count();
            let all: Vec<usize> = (0..100).map(|_| t.setup(1)).collect();
            assert_eq!(std::fs::read_dir("/proc/self/fd").unwrap().count(), before);
            assert!(all.into_iter().all(|ctx| t.destroy(ctx) == 0));
        }),
    ]
}

/// 16 O_DIRECT writes in a child that kills itself as soon as io_submit returns: all are on file.
fn survive_sigkill(t: &Run, prepare: impl FnOnce(&Run, i32)) {
    let Some(file) = scratch(libc::O_RDWR | libc::O_DIRECT) else { t.not_applicable("no O_DIRECT here") };
    let fd = file.as_raw_fd();
    assert!(in_child(|| {
        prepare(t, fd);
        true
    }));
    let page = pages(16, 16);
    unsafe { std::ptr::write_bytes(page as *mut u8, 2, 16 * 4096) };
    let status = unsafe {
        match libc::fork() {
            0 => {
                let ctx = t.setup(64);
                let write = |i: i64| io(1, fd, page + i as usize * 4096, 4096, i * 4096);
                let mut iocbs: Vec<Iocb> = (0..16).map(write).collect();
                if t.submit(ctx, &mut iocbs) == 16 {
                    libc::kill(libc::getpid(), libc::SIGKILL);
                }
                libc::_exit(1)
            }
            child => {
                let mut status = 0;
                libc::waitpid(child, &mut status, 0);
                status
            }
        }
    };
    assert_eq!(status, libc::SIGKILL);
    let back = pages(16, 16);
    let on_file = || {
        let n = unsafe { libc::pread(fd, back as *mut _, 16 * 4096, 0) };
        let bytes = unsafe { std::slice::from_raw_parts(back as *const u8, 16 * 4096) };
        n == 16 * 4096 && bytes.iter().all(|b| *b == 2)
    };
    // The kernel's AIO ends its writes before the process is gone; io_uring's may end a moment later (decision A13).
    let patience = t.decided("A13", 0, 200);
    assert!((0..=patience).any(|i| {
        std::thread::sleep(std::time::Duration::from_millis(if i == 0 { 0 } else { 10 }));
        on_file()
    }));
}
