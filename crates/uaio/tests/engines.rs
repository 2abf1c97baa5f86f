//! The same requests on every engine: each test runs itself once per engine, in a process of its own.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;

use uaio::abi::*;
use uaio::entry::*;

/// Runs the calling test once for each engine, in a child process, and the body there.
fn on_every_engine(test: &str, body: impl FnOnce()) {
    if std::env::var_os("UAIO_TEST_BODY").is_some() {
        return body();
    }
    for engine in ["auto", "inline", "uring", "threads"] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", test, "--nocapture"]).env("UAIO_ENGINE", engine).env("UAIO_TEST_BODY", "1");
        let out = child.output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{test} on {engine}:\n{text}");
    }
}

fn setup(nr: u32) -> usize {
    let mut ctx = 0;
    assert_eq!(unsafe { io_setup(nr, &mut ctx) }, 0);
    ctx
}

fn submit(ctx: usize, iocbs: &mut [Iocb]) -> isize {
    let pointers: Vec<*mut Iocb> = iocbs.iter_mut().map(|i| i as *mut Iocb).collect();
    unsafe { io_submit(ctx, pointers.len() as isize, pointers.as_ptr()) }
}

fn reap(ctx: usize, least: usize) -> Vec<IoEvent> {
    let mut events = vec![IoEvent::default(); least.max(1)];
    let n = unsafe { io_getevents(ctx, least as isize, events.len() as isize, events.as_mut_ptr(), core::ptr::null()) };
    assert!(n >= 0, "io_getevents: {n}");
    events.truncate(n as usize);
    events
}

fn rw(op: u16, fd: i32, buf: *mut u8, len: usize, offset: i64, data: u64) -> Iocb {
    Iocb { data, opcode: op, fildes: fd as u32, buf: buf as u64, nbytes: len as u64, offset, ..Iocb::default() }
}

fn scratch(name: &str, direct: bool) -> Option<(File, std::path::PathBuf)> {
    use std::os::unix::fs::OpenOptionsExt;
    let dir = std::env::temp_dir();
    let path = dir.join(format!("uaio-{name}-{}", std::process::id()));
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(true);
    if direct {
        options.custom_flags(libc::O_DIRECT);
    }
    options.open(&path).ok().map(|f| (f, path))
}

#[repr(align(4096))]
struct Page([u8; 4096]);

fn write_then_read(direct: bool) {
    let Some((file, path)) = scratch(if direct { "direct" } else { "buffered" }, direct) else { return };
    let ctx = setup(64);
    let mut out: Vec<Page> = (0..64).map(|i| Page([i as u8 + 1; 4096])).collect();
    for round in 0..3 {
        let mut writes: Vec<Iocb> = out
            .iter_mut()
            .enumerate()
            .map(|(i, p)| rw(IOCB_CMD_PWRITE, file.as_raw_fd(), p.0.as_mut_ptr(), 4096, i as i64 * 4096, i as u64))
            .collect();
        assert_eq!(submit(ctx, &mut writes), 64);
        let events = reap(ctx, 64);
        assert!(events.iter().all(|e| e.res == 4096), "round {round}: {events:?}");
    }
    let mut back: Vec<Page> = (0..64).map(|_| Page([0; 4096])).collect();
    let mut reads: Vec<Iocb> = back
        .iter_mut()
        .enumerate()
        .map(|(i, p)| rw(IOCB_CMD_PREAD, file.as_raw_fd(), p.0.as_mut_ptr(), 4096, i as i64 * 4096, i as u64))
        .collect();
    assert_eq!(submit(ctx, &mut reads), 64);
    let mut seen: Vec<u64> = reap(ctx, 64).iter().inspect(|e| assert_eq!(e.res, 4096)).map(|e| e.data).collect();
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..64));
    assert!(back.iter().enumerate().all(|(i, p)| p.0.iter().all(|b| *b == i as u8 + 1)));
    let mut sync = [Iocb { opcode: IOCB_CMD_FSYNC, fildes: file.as_raw_fd() as u32, ..Iocb::default() }];
    assert_eq!(submit(ctx, &mut sync), 1);
    assert_eq!(reap(ctx, 1)[0].res, 0);
    assert_eq!(unsafe { io_destroy(ctx) }, 0);
    assert_eq!(unsafe { io_destroy(ctx) }, -22);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn buffered_data_comes_back() {
    on_every_engine("buffered_data_comes_back", || write_then_read(false));
}

#[test]
fn direct_data_comes_back() {
    on_every_engine("direct_data_comes_back", || write_then_read(true));
}

fn pipe() -> (i32, i32) {
    let mut fds = [0; 2];
    assert_eq!(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    (fds[0], fds[1])
}

#[test]
fn polls_fire_count_and_cancel() {
    on_every_engine("polls_fire_count_and_cancel", || {
        let ctx = setup(300);
        let (r, w) = pipe();
        let eventfd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        let poll = |data| Iocb {
            data,
            opcode: IOCB_CMD_POLL,
            fildes: r as u32,
            buf: libc::POLLIN as u64,
            flags: IOCB_FLAG_RESFD,
            resfd: eventfd as u32,
            ..Iocb::default()
        };
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
        assert_eq!(unsafe { libc::read(eventfd, (&raw mut count).cast(), 8) }, 8);
        assert_eq!(count, 200);
        let mut byte = [0u8];
        assert_eq!(unsafe { libc::read(r, byte.as_mut_ptr().cast(), 1) }, 1);
        assert_eq!(submit(ctx, &mut iocbs), 200);
        assert_eq!(unsafe { io_destroy(ctx) }, 0);
        assert_eq!(unsafe { libc::read(eventfd, (&raw mut count).cast(), 8) }, 8);
        assert_eq!(count, 200);
    });
}

#[test]
fn an_empty_pipe_does_not_stop_the_submitter_or_destroy() {
    on_every_engine("an_empty_pipe_does_not_stop_the_submitter_or_destroy", || {
        if std::env::var("UAIO_ENGINE").unwrap() == "inline" {
            return;
        }
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
        assert_eq!(unsafe { io_destroy(ctx) }, 0);
    });
}

#[test]
fn the_file_is_taken_at_submit_and_locks_stay() {
    on_every_engine("the_file_is_taken_at_submit_and_locks_stay", || {
        let Some((file, path)) = scratch("lock", true) else { return };
        let ctx = setup(8);
        let mut page = Page([7; 4096]);
        let mut first = [rw(IOCB_CMD_PWRITE, file.as_raw_fd(), page.0.as_mut_ptr(), 4096, 0, 1)];
        assert_eq!(submit(ctx, &mut first), 1);
        assert_eq!(reap(ctx, 1)[0].res, 4096);
        let lock = libc::flock { l_type: libc::F_WRLCK as i16, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
        assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &lock) }, 0);
        for _ in 0..50 {
            let dup = unsafe { libc::open(std::ffi::CString::new(path.to_str().unwrap()).unwrap().as_ptr(), libc::O_RDONLY) };
            let other = std::fs::File::open("/dev/null").unwrap();
            let mut reads = [rw(IOCB_CMD_PREAD, file.as_raw_fd(), page.0.as_mut_ptr(), 4096, 0, 1)];
            assert_eq!(submit(ctx, &mut reads), 1);
            drop(other);
            assert_eq!(reap(ctx, 1)[0].res, 4096);
            let _ = dup;
            std::mem::forget(dup);
            // A forked child sees whether the record lock is still there. `dup` stays open: closing any
            // descriptor of the file would drop the lock.
        }
        match unsafe { libc::fork() } {
            0 => {
                let mut probe = lock;
                let ok = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &mut probe) } == 0
                    && probe.l_type != libc::F_UNLCK as i16
                    && unsafe { io_getevents(ctx, 0, 1, core::ptr::null_mut(), core::ptr::null()) } == -22;
                unsafe { libc::_exit(i32::from(!ok)) }
            }
            child => {
                let mut status = 0;
                unsafe { libc::waitpid(child, &mut status, 0) };
                assert_eq!(status, 0);
            }
        }
        assert_eq!(unsafe { io_destroy(ctx) }, 0);
        std::fs::remove_file(path).unwrap();
    });
}
