//! What becomes an event with an error, io_submit having returned success: spec 2.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use super::Case;
use crate::case;
use crate::case::Run;
use crate::tools::*;
use uaio::abi::*;

const WRITE: u16 = IOCB_CMD_PWRITE;
const WRITEV: u16 = IOCB_CMD_PWRITEV;
const EIO: i64 = -5;
const EFBIG: i64 = -27;
const ENOSPC: i64 = -28;
const ENOTCONN: i64 = -107;

pub fn cases() -> Vec<Case> {
    [sizes(), devices(), pipes()].into_iter().flatten().collect()
}

static SIGNALS: AtomicU32 = AtomicU32::new(0);
static THREAD: AtomicI32 = AtomicI32::new(0);

/// From now on counts `signal` in `SIGNALS`, and has the thread that got it in `THREAD`.
fn note(signal: i32) {
    extern "C" fn handler(_: i32) {
        SIGNALS.fetch_add(1, Ordering::SeqCst);
        THREAD.store(unsafe { libc::gettid() }, Ordering::SeqCst);
    }
    unsafe { libc::signal(signal, handler as *const () as usize) };
}

fn noted() -> (u32, i32) {
    (SIGNALS.swap(0, Ordering::SeqCst), THREAD.swap(0, Ordering::SeqCst))
}

fn me() -> i32 {
    unsafe { libc::gettid() }
}

fn limit_file_size(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) };
}

/// A file of a new file system in memory with room for 4 pages, which ends with this process.
fn small_file_system(t: &Run) -> std::fs::File {
    unsafe {
        let (user, group) = (libc::geteuid(), libc::getegid());
        let flags = libc::CLONE_NEWNS | if user == 0 { 0 } else { libc::CLONE_NEWUSER };
        if libc::unshare(flags) != 0 {
            t.not_applicable("no mount namespace to be had");
        }
        if user != 0 {
            let maps = [
                ("setgroups", "deny".into()),
                ("uid_map", format!("0 {user} 1")),
                ("gid_map", format!("0 {group} 1")),
            ];
            maps.into_iter().for_each(|(name, map)| _ = std::fs::write(format!("/proc/self/{name}"), map));
        }
        libc::mount(
            c"none".as_ptr(),
            c"/".as_ptr(),
            std::ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            std::ptr::null(),
        );
        let (kind, options) = (c"tmpfs".as_ptr(), c"size=16384".as_ptr());
        if libc::mount(kind, c"/var/tmp".as_ptr(), kind, 0, options.cast()) != 0 {
            t.not_applicable("tmpfs cannot be mounted");
        }
    }
    std::fs::File::create_new("/var/tmp/file").unwrap()
}

fn sizes() -> Vec<Case> {
    vec![
        case!(
            Linux,
            "error/beyond_the_file_systems_largest_file_is_efbig",
            "spec 2.event.2, write(2) EFBIG",
            |t| {
                let file = scratch(libc::O_RDWR).unwrap();
                let list = [Iovec { base: b"x".as_ptr() as usize, len: 1 }];
                let by_call = unsafe { libc::pwrite(file.as_raw_fd(), list[0].base as *const _, 1, i64::MAX - 1) };
                if by_call == 1 {
                    t.not_applicable("the file system has no largest file");
                }
                for offset in [i64::MAX - 1, i64::MAX - 4096] {
                    assert_eq!(t.one(io(WRITE, file.as_raw_fd(), list[0].base, 1, offset)), EFBIG);
                    assert_eq!(t.one(io(WRITEV, file.as_raw_fd(), list.as_ptr() as usize, 1, offset)), EFBIG);
                }
                assert_eq!(file.metadata().unwrap().len(), 8192);
            }
        ),
        case!(Linux, "error/the_file_size_limit_is_efbig_and_sigxfsz", "spec 2.event.3, setrlimit(2)", |t| {
            let (file, ctx) = (scratch(libc::O_RDWR).unwrap(), t.setup(4));
            note(libc::SIGXFSZ);
            limit_file_size(8192);
            assert_eq!(t.one_in(ctx, io(WRITE, file.as_raw_fd(), b"x".as_ptr() as usize, 1, 8192)), EFBIG);
            assert_eq!(noted(), (1, me()));
            let calls = t.calls;
            let fd = file.as_raw_fd();
            let submitter = std::thread::spawn(move || {
                let mut iocb = io(WRITE, fd, b"x".as_ptr() as usize, 1, 9000);
                let accepted = unsafe { (calls.io_submit)(ctx, 1, [&raw mut iocb].as_ptr()) };
                (accepted, me())
            });
            let (accepted, thread) = submitter.join().unwrap();
            assert_eq!((accepted, t.reap(ctx, 1)[0].res, noted()), (1, EFBIG, (1, thread)));
        }),
        case!(Linux, "error/up_to_the_file_size_limit_a_write_is_short", "spec 2.event.3, setrlimit(2)", |t| {
            let file = scratch(libc::O_RDWR).unwrap();
            note(libc::SIGXFSZ);
            limit_file_size(8192 + 10);
            assert_eq!(t.one(io(WRITE, file.as_raw_fd(), b"twelve bytes".as_ptr() as usize, 12, 8192)), 10);
            assert_eq!((noted().0, file.metadata().unwrap().len()), (0, 8202));
        }),
        case!(Linux, "error/the_file_size_limit_holds_for_direct_writes", "spec 2.event.3, setrlimit(2)", |t| {
            let Some(file) = scratch(libc::O_RDWR | libc::O_DIRECT) else { t.not_applicable("no O_DIRECT here") };
            note(libc::SIGXFSZ);
            limit_file_size(8192);
            let page = pages(1, 1);
            assert_eq!(t.one(io(WRITE, file.as_raw_fd(), page, 4096, 8192)), EFBIG);
            assert_eq!((noted(), file.metadata().unwrap().len()), ((1, me()), 8192));
            assert_eq!(t.one(io(WRITE, file.as_raw_fd(), page, 4096, 4096)), 4096);
        }),
        case!(Contract, "error/no_space_is_enospc_after_what_fits", "spec 2.event.4, write(2) ENOSPC", |t| {
            let file = small_file_system(t);
            let data = vec![1u8; 20_000];
            let short = t.one(io(WRITE, file.as_raw_fd(), data.as_ptr() as usize, data.len(), 0));
            assert!(short > 0 && short <= 16384, "{short}");
            assert_eq!(t.one(io(WRITE, file.as_raw_fd(), data.as_ptr() as usize, 1, 1 << 20)), ENOSPC);
            let list = [Iovec { base: data.as_ptr() as usize, len: 4096 }];
            assert_eq!(t.one(io(WRITEV, file.as_raw_fd(), list.as_ptr() as usize, 1, 1 << 20)), ENOSPC);
        }),
    ]
}

fn devices() -> Vec<Case> {
    vec![
        case!(Linux, "error/a_terminal_without_its_other_side_is_eio", "spec 2.event.5, read(2) EIO", |t| {
            let (mut master, mut slave) = (0, 0);
            let null = std::ptr::null_mut();
            assert_eq!(
                unsafe { libc::openpty(&mut master, &mut slave, null, std::ptr::null(), std::ptr::null()) },
                0
            );
            unsafe { libc::close(slave) };
            let mut buf = [0u8; 8];
            assert_eq!(t.one(io(IOCB_CMD_PREAD, master, buf.as_mut_ptr() as usize, 8, 0)), EIO);
        }),
        case!(
            Linux,
            "error/a_write_to_a_terminal_without_its_other_side_is_eio",
            "spec 2.event.5, write(2) EIO",
            |t| {
                let (mut master, mut slave) = (0, 0);
                let null = std::ptr::null_mut();
                assert_eq!(
                    unsafe { libc::openpty(&mut master, &mut slave, null, std::ptr::null(), std::ptr::null()) },
                    0
                );
                unsafe { libc::close(master) };
                assert_eq!(t.one(io(WRITE, slave, b"x".as_ptr() as usize, 1, 0)), EIO);
            }
        ),
        case!(Linux, "error/a_socket_without_peer_is_enotconn", "spec 2.event.9, recv(2) ENOTCONN", |t| {
            let (tcp, unix) = unsafe {
                (
                    libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0),
                    libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0),
                )
            };
            let mut buf = [0u8; 8];
            assert_eq!(t.one(io(IOCB_CMD_PREAD, tcp, buf.as_mut_ptr() as usize, 8, 0)), ENOTCONN);
            assert_eq!(t.one(io(WRITE, unix, buf.as_ptr() as usize, 8, 0)), ENOTCONN);
            assert_eq!(t.one(io(IOCB_CMD_PREAD, unix, buf.as_mut_ptr() as usize, 8, 0)), EINVAL as i64);
        }),
        case!(
            Linux,
            "error/nowait_for_a_buffered_write_where_pwritev2_says_so",
            "spec 2.event.10, pwritev2(2)",
            |t| {
                let file = scratch(libc::O_RDWR).unwrap();
                let iov = libc::iovec { iov_base: b"x".as_ptr() as *mut _, iov_len: 1 };
                let by_call = unsafe { libc::pwritev2(file.as_raw_fd(), &iov, 1, 0, libc::RWF_NOWAIT) };
                let unsupported =
                    by_call < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EOPNOTSUPP);
                let mut byte = 0u8;
                let iov = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
                let for_reads = unsafe { libc::preadv2(file.as_raw_fd(), &iov, 1, 0, libc::RWF_NOWAIT) } == 1;
                if !unsupported || !for_reads {
                    t.not_applicable("this file system has it for all or for nothing");
                }
                let list = [Iovec { base: b"x".as_ptr() as usize, len: 1 }];
                let nowait = |iocb: Iocb| t.one(Iocb { rw_flags: RWF_NOWAIT, ..iocb });
                assert_eq!(nowait(io(WRITE, file.as_raw_fd(), list[0].base, 1, 0)), EOPNOTSUPP as i64);
                assert_eq!(nowait(io(WRITEV, file.as_raw_fd(), list.as_ptr() as usize, 1, 0)), EOPNOTSUPP as i64);
            }
        ),
    ]
}

/// The writing end of a pipe that nobody reads.
fn broken_pipe() -> i32 {
    let (r, w) = pipe(0);
    unsafe { libc::close(r) };
    w
}

fn pipes() -> Vec<Case> {
    vec![
        case!(
            Contract,
            "error/a_broken_pipe_is_epipe_and_one_sigpipe_to_the_submitter",
            "spec 2.event.7, write(2) EPIPE",
            |t| {
                let (w, ctx) = (broken_pipe(), t.setup(4));
                note(libc::SIGPIPE);
                let list = [Iovec { base: b"x".as_ptr() as usize, len: 1 }];
                assert_eq!(t.one_in(ctx, io(WRITE, w, list[0].base, 1, 0)), EPIPE as i64);
                assert_eq!(noted(), (1, me()));
                assert_eq!(t.one_in(ctx, io(WRITEV, w, list.as_ptr() as usize, 1, 0)), EPIPE as i64);
                assert_eq!(noted(), (1, me()));
                let calls = t.calls;
                let submitter = std::thread::spawn(move || {
                    let mut iocb = io(WRITE, w, b"x".as_ptr() as usize, 1, 0);
                    (unsafe { (calls.io_submit)(ctx, 1, [&raw mut iocb].as_ptr()) }, me())
                });
                let (accepted, thread) = submitter.join().unwrap();
                assert_eq!((accepted, t.reap(ctx, 1)[0].res, noted()), (1, EPIPE as i64, (1, thread)));
            }
        ),
        case!(Linux, "error/a_broken_socket_is_epipe_and_sigpipe", "spec 2.event.7, send(2) EPIPE", |t| {
            let (a, b) = socket_pair();
            unsafe { libc::close(b) };
            note(libc::SIGPIPE);
            assert_eq!(t.one(io(WRITE, a, b"x".as_ptr() as usize, 1, 0)), EPIPE as i64);
            assert_eq!(noted(), (1, me()));
        }),
        case!(
            Contract,
            "error/sigpipe_ends_a_program_that_does_not_expect_it",
            "spec 2.event.7, signal(7)",
            |t| {
                let w = broken_pipe();
                let status = unsafe {
                    match libc::fork() {
                        0 => {
                            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
                            t.submit(t.setup(4), &mut [io(WRITE, w, b"x".as_ptr() as usize, 1, 0)]);
                            libc::_exit(0)
                        }
                        child => {
                            let mut status = 0;
                            libc::waitpid(child, &mut status, 0);
                            status
                        }
                    }
                };
                assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGPIPE, "{status:#x}");
            }
        ),
        case!(Linux, "error/with_nosignal_a_broken_pipe_is_epipe_only", "spec 2.event.8, pwritev2(2)", |t| {
            let ends = [broken_pipe(), {
                let (a, b) = socket_pair();
                unsafe { libc::close(b) };
                a
            }];
            note(libc::SIGPIPE);
            let iov = libc::iovec { iov_base: b"x".as_ptr() as *mut _, iov_len: 1 };
            unsafe { libc::pwritev2(ends[0], &iov, 1, -1, RWF_NOSIGNAL as i32) };
            if std::io::Error::last_os_error().raw_os_error() == Some(libc::EOPNOTSUPP) {
                t.not_applicable("this kernel has no RWF_NOSIGNAL");
            }
            for fd in ends {
                let write = io(WRITE, fd, b"x".as_ptr() as usize, 1, 0);
                assert_eq!(t.one(Iocb { rw_flags: RWF_NOSIGNAL, ..write }), EPIPE as i64);
                assert_eq!(noted().0, 0, "fd {fd}");
            }
        }),
        case!(Linux, "error/no_bytes_to_a_broken_pipe_are_0", "spec 2.event.7", |t| {
            note(libc::SIGPIPE);
            assert_eq!((t.one(io(WRITE, broken_pipe(), 0, 0, 0)), noted().0), (0, 0));
        }),
        case!(Linux, "error/an_error_signals_the_eventfd_as_success_does", "spec 2.event.1", |t| {
            let (file, event) = (scratch(libc::O_RDWR).unwrap(), eventfd(0));
            let read = io(IOCB_CMD_PREAD, file.as_raw_fd(), BAD, 8, 0);
            assert_eq!(t.one(Iocb { flags: IOCB_FLAG_RESFD, resfd: event as u32, ..read }), EFAULT as i64);
            assert_eq!(eventfd_count(event), 1);
        }),
    ]
}
