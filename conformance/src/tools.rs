//! What cases need again and again: contexts, iocbs, files, pages.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use uaio::abi::*;

use crate::case::Run;

/// errno numbers, negated as the calls return them.
pub const EPERM: isize = -1;
pub const EINTR: isize = -4;
pub const EBADF: isize = -9;
pub const EAGAIN: isize = -11;
pub const ENOMEM: isize = -12;
pub const EFAULT: isize = -14;
pub const EINVAL: isize = -22;
pub const ESPIPE: isize = -29;
pub const EPIPE: isize = -32;
pub const ENOSYS: isize = -38;
pub const EOPNOTSUPP: isize = -95;
pub const EINPROGRESS: isize = -115;

/// An address that nobody can touch.
pub const BAD: usize = 8;

impl Run {
    pub fn setup(&self, nr_events: u32) -> usize {
        let mut ctx = 0;
        assert_eq!(self.try_setup(nr_events, &mut ctx), 0, "io_setup({nr_events})");
        ctx
    }

    pub fn try_setup(&self, nr_events: u32, ctx: *mut usize) -> isize {
        unsafe { (self.calls.io_setup)(nr_events, ctx) }
    }

    pub fn destroy(&self, ctx: usize) -> isize {
        unsafe { (self.calls.io_destroy)(ctx) }
    }

    pub fn submit_at(&self, ctx: usize, nr: isize, iocbpp: usize) -> isize {
        unsafe { (self.calls.io_submit)(ctx, nr, iocbpp as *const *mut Iocb) }
    }

    pub fn submit(&self, ctx: usize, iocbs: &mut [Iocb]) -> isize {
        let list: Vec<*mut Iocb> = iocbs.iter_mut().map(|i| i as *mut Iocb).collect();
        self.submit_at(ctx, list.len() as isize, list.as_ptr() as usize)
    }

    /// Submits one request, which is accepted, and returns its event's result.
    pub fn one(&self, iocb: Iocb) -> i64 {
        let ctx = self.setup(4);
        let res = self.one_in(ctx, iocb);
        assert_eq!(self.destroy(ctx), 0);
        res
    }

    pub fn one_in(&self, ctx: usize, iocb: Iocb) -> i64 {
        assert_eq!(self.submit(ctx, &mut [iocb]), 1, "io_submit of {iocb:?}");
        let event = self.reap(ctx, 1)[0];
        assert_eq!(event.res2, 0);
        event.res
    }

    /// What io_submit says to one request that it refuses.
    pub fn refused(&self, iocb: Iocb) -> isize {
        let ctx = self.setup(4);
        let answer = self.submit(ctx, &mut [iocb]);
        assert_eq!(self.look(ctx), 0, "a refused request left an event");
        assert_eq!(self.destroy(ctx), 0);
        answer
    }

    pub fn cancel(&self, ctx: usize, iocb: *mut Iocb) -> isize {
        unsafe { (self.calls.io_cancel)(ctx, iocb, std::ptr::null_mut()) }
    }

    pub fn getevents(&self, ctx: usize, min: isize, nr: isize, events: usize, time: Option<Timespec>) -> isize {
        let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        unsafe { (self.calls.io_getevents)(ctx, min, nr, events as *mut IoEvent, time) }
    }

    pub fn pgetevents(
        &self,
        ctx: usize,
        min: isize,
        nr: isize,
        events: usize,
        time: Option<Timespec>,
        set: *const AioSigset,
    ) -> isize {
        let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        unsafe { (self.calls.io_pgetevents)(ctx, min, nr, events as *mut IoEvent, time, set) }
    }

    /// Waits for `count` events, a minute at most.
    pub fn reap(&self, ctx: usize, count: usize) -> Vec<IoEvent> {
        let mut events = vec![IoEvent::default(); count];
        let time = Some(Timespec { sec: 60, nsec: 0 });
        let n = self.getevents(ctx, count as isize, count as isize, events.as_mut_ptr() as usize, time);
        assert_eq!(n, count as isize, "io_getevents for {count} events");
        events
    }

    /// Takes what is there, up to 64 events; how many.
    pub fn look(&self, ctx: usize) -> isize {
        let mut events = [IoEvent::default(); 64];
        self.getevents(ctx, 0, 64, events.as_mut_ptr() as usize, Some(Timespec::default()))
    }
}

/// A request on `fd`.
pub fn io(op: u16, fd: i32, buf: usize, nbytes: usize, offset: i64) -> Iocb {
    Iocb { opcode: op, fildes: fd as u32, buf: buf as u64, nbytes: nbytes as u64, offset, ..Iocb::default() }
}

pub fn poll(fd: i32, mask: i16) -> Iocb {
    Iocb { opcode: IOCB_CMD_POLL, fildes: fd as u32, buf: mask as u16 as u64, ..Iocb::default() }
}

pub fn sync(op: u16, fd: i32) -> Iocb {
    Iocb { opcode: op, fildes: fd as u32, ..Iocb::default() }
}

/// A file of its own for each use; unlinked at once.
pub fn scratch(flags: i32) -> Option<File> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let dir = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = dir.join(format!("aio-case-{}-{next}", std::process::id()));
    let write = flags & libc::O_ACCMODE != libc::O_RDONLY;
    std::fs::write(&path, vec![0x61u8; 8192]).unwrap();
    let file = File::options()
        .read(flags & libc::O_ACCMODE != libc::O_WRONLY)
        .write(write)
        .custom_flags(flags & !libc::O_ACCMODE)
        .open(&path)
        .ok();
    std::fs::remove_file(path).unwrap();
    file
}

pub fn pipe(flags: i32) -> (i32, i32) {
    let mut ends = [0; 2];
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), flags | libc::O_CLOEXEC) }, 0);
    (ends[0], ends[1])
}

pub fn socket_pair() -> (i32, i32) {
    let mut ends = [0; 2];
    assert_eq!(unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, ends.as_mut_ptr()) }, 0);
    (ends[0], ends[1])
}

pub fn eventfd(flags: i32) -> i32 {
    unsafe { libc::eventfd(0, flags | libc::EFD_CLOEXEC) }
}

/// The counter, or 0 when it is empty (for a non-blocking eventfd).
pub fn eventfd_count(fd: i32) -> u64 {
    let mut count = 0u64;
    unsafe { libc::read(fd, (&raw mut count).cast(), 8) };
    count
}

/// Reads a blocking eventfd until it has counted to `count`; more is an error.
pub fn count_to(fd: i32, count: u64) {
    let mut sum = 0;
    while sum < count {
        sum += eventfd_count(fd);
    }
    assert_eq!(sum, count);
    unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) };
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(eventfd_count(fd), 0, "too many");
    unsafe { libc::fcntl(fd, libc::F_SETFL, 0) };
}

pub fn put(fd: i32, bytes: &[u8]) {
    assert_eq!(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) }, bytes.len() as isize);
}

pub fn open(path: &str, flags: i32) -> i32 {
    let path = std::ffi::CString::new(path).unwrap();
    unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC) }
}

/// Fresh pages of which the ones from `hole` on cannot be touched.
pub fn pages(count: usize, hole: usize) -> usize {
    unsafe {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let base = libc::mmap(std::ptr::null_mut(), count * 4096, prot, flags, -1, 0);
        libc::mprotect(base.add(hole * 4096), (count - hole) * 4096, libc::PROT_NONE);
        base as usize
    }
}

/// The ring at the context's address.
pub fn ring(ctx: usize) -> &'static mut RingHeader {
    unsafe { &mut *(ctx as *mut RingHeader) }
}

pub fn possible_cpus() -> u32 {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap();
    list.trim().rsplit(['-', ',']).next().unwrap().parse::<u32>().unwrap() + 1
}

/// Counts SIGUSR1 from now on.
pub fn count_signals(flags: i32) -> &'static std::sync::atomic::AtomicU32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    extern "C" fn handler(_: i32) {
        COUNT.fetch_add(1, Ordering::SeqCst);
    }
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = flags;
        libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
    }
    &COUNT
}

/// Sends SIGUSR1 to this thread after `ms` milliseconds.
pub fn signal_after(ms: u64) -> std::thread::JoinHandle<()> {
    let me = unsafe { libc::pthread_self() };
    std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(ms));
        unsafe { libc::pthread_kill(me, libc::SIGUSR1) };
    })
}

/// Runs `body` in a forked child; true when it returns true there.
pub fn in_child(body: impl FnOnce() -> bool) -> bool {
    match unsafe { libc::fork() } {
        0 => {
            let ok = body();
            unsafe { libc::_exit(i32::from(!ok)) }
        }
        child => {
            let mut status = 0;
            unsafe { libc::waitpid(child, &mut status, 0) };
            status == 0
        }
    }
}
