//! What the tests share: the six calls as a program makes them, and a way to run a test on every engine.
#![allow(dead_code)]

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use uaio::abi::*;
use uaio::entry::*;

/// The engine of this process, when it runs the body of a test.
pub fn engine() -> String {
    std::env::var("UAIO_ENGINE").unwrap_or_default()
}

/// Whether a read of an empty pipe is waited for inside io_submit, as the kernel does it.
pub fn blocks_on_pipes() -> bool {
    ["inline", "kernel"].contains(&engine().as_str())
}

/// Whether the place has io_uring for this process.
pub fn has_uring() -> bool {
    // SAFETY: null parameters: nothing is made.
    unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, 0) };
    std::io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

/// Whether the place has kernel AIO for this process.
pub fn has_kernel_aio() -> bool {
    // SAFETY: no context is made for 0 requests.
    unsafe { libc::syscall(libc::SYS_io_setup, 0, 0) };
    std::io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

/// Runs the calling test once for each engine, in a process of its own, and there the body.
pub fn on_every_engine(test: &str, body: impl FnOnce()) {
    on_engines(&["auto", "inline", "uring", "threads", "kernel"], test, body);
}

pub fn on_engines(engines: &[&str], test: &str, body: impl FnOnce()) {
    on_engines_with(engines, &[], test, body);
}

/// With further variables in the environment.
pub fn on_engines_with(engines: &[&str], variables: &[(&str, &str)], test: &str, body: impl FnOnce()) {
    if std::env::var_os("UAIO_TEST_BODY").is_some() {
        return body();
    }
    for engine in engines {
        if *engine == "uring" && !has_uring() {
            eprintln!("{test}: uring is not applicable: this place has no io_uring");
            continue;
        }
        if *engine == "kernel" && !has_kernel_aio() {
            eprintln!("{test}: kernel is not applicable: this place has no kernel AIO");
            continue;
        }
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", test, "--nocapture"]).env("UAIO_ENGINE", engine).env("UAIO_TEST_BODY", "1");
        child.envs(variables.iter().copied());
        let out = child.output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{test} on {engine}, {}:\n{text}", out.status);
    }
}

/// On the engine `kernel` the quota is the host's, which another test may have for a moment: EAGAIN.
pub fn setup(nr: u32) -> usize {
    let mut ctx = 0;
    for _ in 0..1000 {
        match unsafe { io_setup(nr, &mut ctx) } {
            -11 if engine() == "kernel" => std::thread::sleep(Duration::from_millis(10)),
            answer => {
                assert_eq!(answer, 0);
                return ctx;
            }
        }
    }
    panic!("io_setup: EAGAIN for 10 seconds");
}

pub fn destroy(ctx: usize) {
    assert_eq!(unsafe { io_destroy(ctx) }, 0);
}

pub fn submit(ctx: usize, iocbs: &mut [Iocb]) -> isize {
    let pointers: Vec<*mut Iocb> = iocbs.iter_mut().map(|i| i as *mut Iocb).collect();
    unsafe { io_submit(ctx, pointers.len() as isize, pointers.as_ptr()) }
}

/// Waits for `least` events.
pub fn reap(ctx: usize, least: usize) -> Vec<IoEvent> {
    let mut events = vec![IoEvent::default(); least.max(1)];
    let mut got = 0;
    while got < least {
        let (left, place) = (least - got, unsafe { events.as_mut_ptr().add(got) });
        let n = unsafe { io_getevents(ctx, left as isize, left as isize, place, core::ptr::null()) };
        assert!(n >= 0, "io_getevents: {n}");
        got += n as usize;
    }
    events.truncate(got);
    events
}

/// What a non-blocking eventfd counts, which is waited for until it is `expected`: the count comes a moment after the event.
pub fn counted(eventfd: i32, expected: u64) -> u64 {
    let (mut all, late) = (0u64, Instant::now() + Duration::from_secs(60));
    while all < expected && Instant::now() < late {
        let mut count = 0u64;
        if unsafe { libc::read(eventfd, (&raw mut count).cast(), 8) } == 8 {
            all += count;
        }
    }
    all
}

pub fn rw(op: u16, fd: i32, buf: *mut u8, len: usize, offset: i64, data: u64) -> Iocb {
    Iocb { data, opcode: op, fildes: fd as u32, buf: buf as u64, nbytes: len as u64, offset, ..Iocb::default() }
}

pub fn poll_in(fd: i32, data: u64) -> Iocb {
    Iocb { data, opcode: IOCB_CMD_POLL, fildes: fd as u32, buf: libc::POLLIN as u64, ..Iocb::default() }
}

/// A directory on a real file system.
pub fn scratch_dir() -> PathBuf {
    std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
}

/// A file that goes away with the value.
pub struct Scratch {
    pub file: File,
    pub path: PathBuf,
}

impl Scratch {
    /// None: the file system has no O_DIRECT.
    pub fn new(name: &str, direct: bool) -> Option<Scratch> {
        let path = scratch_dir().join(format!("uaio-{name}-{}", std::process::id()));
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        if direct {
            options.custom_flags(libc::O_DIRECT);
        }
        options.open(&path).ok().map(|file| Scratch { file, path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[repr(align(4096))]
pub struct Page(pub [u8; 4096]);

pub fn pipe() -> (i32, i32) {
    let mut fds = [0; 2];
    assert_eq!(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    (fds[0], fds[1])
}

/// Runs `body` in a forked child; its answer is the exit status 0.
pub fn in_child(body: impl FnOnce() -> bool) -> i32 {
    match unsafe { libc::fork() } {
        0 => {
            let ok = body();
            unsafe { libc::_exit(i32::from(!ok)) }
        }
        child => {
            let mut status = 0;
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            status
        }
    }
}

/// Ends the process, which has a test's body to itself, when that has not ended after so long.
pub fn limit(time: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(time);
        eprintln!("not ended after {time:?}; the threads:");
        for task in std::fs::read_dir("/proc/self/task").unwrap() {
            let path = task.unwrap().path();
            let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default();
            eprintln!("{:?} {} {}", path.file_name(), read("comm").trim(), read("syscall").trim());
        }
        std::process::abort();
    });
}

/// Interrupts the calling thread, and no other, by SIGALRM. An interval timer's signal goes to whichever thread takes it.
pub struct Alarm(libc::timer_t);

impl Alarm {
    pub fn new(handler: extern "C" fn(libc::c_int)) -> Alarm {
        let mut timer = core::ptr::null_mut();
        unsafe {
            let mut action: libc::sigaction = core::mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            assert_eq!(libc::sigaction(libc::SIGALRM, &action, core::ptr::null_mut()), 0);
            let mut event: libc::sigevent = core::mem::zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = libc::SIGALRM;
            event.sigev_notify_thread_id = libc::gettid();
            assert_eq!(libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer), 0);
        }
        Alarm(timer)
    }

    /// For the handler, which cannot be given the value.
    pub fn number(&self) -> usize {
        self.0 as usize
    }

    /// Once, after so many microseconds; 0: never.
    pub fn set(number: usize, after_us: i64) {
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let once = libc::itimerspec {
            it_interval: never,
            it_value: libc::timespec { tv_sec: 0, tv_nsec: after_us * 1000 },
        };
        unsafe { libc::timer_settime(number as libc::timer_t, 0, &once, core::ptr::null_mut()) };
    }
}
