//! System calls of the tester itself. Addresses are numbers: they lie in memory that the world mapped, or are bad on purpose.

use std::ffi::CString;
use std::path::Path;

pub const PAGE: usize = 4096;
pub const RW: i32 = libc::PROT_READ | libc::PROT_WRITE;

pub fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Fresh private pages, zeroed.
pub fn map(bytes: usize) -> usize {
    map_flags(bytes, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS)
}

/// Fresh pages that forked children share.
pub fn map_shared(bytes: usize) -> usize {
    map_flags(bytes, libc::MAP_SHARED | libc::MAP_ANONYMOUS)
}

fn map_flags(bytes: usize, flags: i32) -> usize {
    // SAFETY: a new mapping at a place that the kernel chooses.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, RW, flags, -1, 0) };
    assert!(base != libc::MAP_FAILED, "mmap of {bytes} bytes: errno {}", errno());
    base as usize
}

/// Anonymous pages in place of what is mapped at `address`, which nothing of Rust's refers to.
pub fn map_over(address: usize, bytes: usize) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: the caller's promise.
    unsafe { libc::mmap(address as *mut _, bytes, RW, flags, -1, 0) };
}

/// `address` is no memory that Rust refers to.
pub fn protect(address: usize, bytes: usize, prot: i32) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { libc::mprotect(address as *mut _, bytes, prot) }
}

/// `address` is no memory that Rust refers to.
pub fn unmap(address: usize, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(address as *mut _, bytes) };
}

pub fn advise(address: usize, bytes: usize, advice: i32) -> i32 {
    // SAFETY: used for rings only, which nothing of Rust's refers to.
    unsafe { libc::madvise(address as *mut _, bytes, advice) }
}

/// Moves a mapping onto `to`, which belongs to the caller; the new address or a negated errno.
pub fn remap(from: usize, bytes: usize, to: usize) -> isize {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: used for rings only; what was at `to` is the caller's to give up.
    let at = unsafe { libc::mremap(from as *mut _, bytes, bytes, flags, to) };
    if at == libc::MAP_FAILED { -(errno() as isize) } else { at as isize }
}

/// Reads a value from the world's memory, or from a ring that is mapped.
pub fn peek<T: Copy>(address: usize) -> T {
    // SAFETY: mapped and readable, as the caller saw to; `T` is plain numbers. Others may write to it.
    unsafe { (address as *const T).read_volatile() }
}

/// Writes a value to the world's memory, or to a ring that is mapped.
pub fn poke<T: Copy>(address: usize, value: T) {
    // SAFETY: mapped and writable, as the caller saw to; nothing of Rust's refers to it.
    unsafe { (address as *mut T).write_volatile(value) }
}

/// A copy of bytes of the world's memory.
pub fn bytes(address: usize, len: usize) -> Vec<u8> {
    // SAFETY: mapped and readable, as the caller saw to; no request is in flight there.
    unsafe { std::slice::from_raw_parts(address as *const u8, len) }.to_vec()
}

pub fn fill(address: usize, bytes: &[u8]) {
    // SAFETY: mapped and writable, as the caller saw to; `bytes` lies elsewhere.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) }
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_encoded_bytes()).expect("a path without NUL")
}

pub fn open(path: &Path, flags: i32) -> i32 {
    let path = c_path(path);
    // SAFETY: a NUL-terminated path.
    unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o600) }
}

/// A pair of descriptors from a call that fills an array of two.
fn pair(fill: impl FnOnce(*mut i32) -> i32) -> [i32; 2] {
    let mut ends = [-1; 2];
    assert_eq!(fill(ends.as_mut_ptr()), 0, "errno {}", errno());
    ends
}

pub fn pipe(flags: i32) -> [i32; 2] {
    // SAFETY: an array of two.
    pair(|ends| unsafe { libc::pipe2(ends, flags | libc::O_CLOEXEC) })
}

pub fn socket_pair(flags: i32) -> [i32; 2] {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | flags;
    // SAFETY: an array of two.
    pair(|ends| unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends) })
}

pub fn eventfd(flags: i32) -> i32 {
    // SAFETY: takes numbers.
    unsafe { libc::eventfd(0, flags | libc::EFD_CLOEXEC) }
}

pub fn timer() -> i32 {
    // SAFETY: takes numbers.
    unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) }
}

pub fn epoll() -> i32 {
    // SAFETY: takes numbers.
    unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }
}

pub fn memory_file() -> i32 {
    // SAFETY: a NUL-terminated name.
    unsafe { libc::memfd_create(c"differential".as_ptr(), libc::MFD_CLOEXEC) }
}

/// Master and slave of a raw pseudo-terminal.
pub fn terminal() -> [i32; 2] {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: numbers, descriptors just made, and a buffer that ptsname_r is told the size of.
    unsafe {
        let master = libc::posix_openpt(flags | libc::O_NONBLOCK);
        let mut name = [0; 64];
        let made = libc::grantpt(master) == 0 && libc::unlockpt(master) == 0;
        assert!(made && libc::ptsname_r(master, name.as_mut_ptr(), name.len()) == 0, "errno {}", errno());
        let slave = libc::open(name.as_ptr(), flags);
        let mut mode: libc::termios = std::mem::zeroed();
        libc::tcgetattr(slave, &raw mut mode);
        libc::cfmakeraw(&raw mut mode);
        libc::tcsetattr(slave, libc::TCSANOW, &raw const mode);
        [master, slave]
    }
}

pub fn close(fd: i32) -> i32 {
    // SAFETY: a descriptor of the world, or one that is not open.
    unsafe { libc::close(fd) }
}

pub fn dup_onto(fd: i32, onto: i32) -> i32 {
    // SAFETY: descriptors of the world.
    unsafe { libc::dup3(fd, onto, libc::O_CLOEXEC) }
}

/// A duplicate with a number from 500 on.
pub fn dup_high(fd: i32) -> i32 {
    // SAFETY: a descriptor of the world.
    unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 500) }
}

pub fn seek(fd: i32, offset: i64, whence: i32) -> i64 {
    // SAFETY: takes numbers.
    let at = unsafe { libc::lseek(fd, offset, whence) };
    if at < 0 { -i64::from(errno()) } else { at }
}

pub fn size(fd: i32) -> i64 {
    // SAFETY: a zeroed stat is valid, and filled by the call.
    unsafe {
        let mut st: libc::stat = std::mem::zeroed();
        if libc::fstat(fd, &raw mut st) == 0 { st.st_size } else { -1 }
    }
}

/// What poll(2) says now.
pub fn ready(fd: i32, mask: u16) -> u16 {
    let mut one = libc::pollfd { fd, events: mask as i16, revents: 0 };
    // SAFETY: one entry.
    unsafe { libc::poll(&raw mut one, 1, 0) };
    one.revents as u16
}

/// Bytes written, or a negated errno.
pub fn write(fd: i32, bytes: &[u8]) -> isize {
    // SAFETY: a slice.
    let n = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    if n < 0 { -(errno() as isize) } else { n }
}

/// Bytes written at `offset`, or a negated errno.
pub fn write_at(fd: i32, bytes: &[u8], offset: i64) -> isize {
    // SAFETY: a slice.
    let n = unsafe { libc::pwrite(fd, bytes.as_ptr().cast(), bytes.len(), offset) };
    if n < 0 { -(errno() as isize) } else { n }
}

/// Reads what is there now, if anything, up to `into`'s length.
pub fn read_now(fd: i32, into: &mut [u8]) -> usize {
    if ready(fd, libc::POLLIN as u16) & libc::POLLIN as u16 == 0 {
        return 0;
    }
    // SAFETY: a slice.
    let n = unsafe { libc::read(fd, into.as_mut_ptr().cast(), into.len()) };
    usize::try_from(n).unwrap_or(0)
}

/// Asks for the file's pages to leave the page cache, after having written them.
pub fn drop_cache(fd: i32) {
    // SAFETY: takes numbers.
    unsafe {
        libc::fdatasync(fd);
        libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED);
    }
}

fn lock_of(kind: i32, start: i64, len: i64) -> libc::flock {
    // SAFETY: a zeroed flock is valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    (lock.l_type, lock.l_start, lock.l_len) = (kind as i16, start, len);
    lock
}

/// Takes a record lock for writing; 0 or a negated errno.
pub fn lock(fd: i32, start: i64, len: i64) -> i32 {
    let lock = lock_of(libc::F_WRLCK, start, len);
    // SAFETY: a valid flock.
    if unsafe { libc::fcntl(fd, libc::F_SETLK, &raw const lock) } < 0 { -errno() } else { 0 }
}

/// The first lock of another process that is in the way of a whole-file lock: start and length.
pub fn locked(fd: i32) -> Option<(i64, i64)> {
    let mut lock = lock_of(libc::F_WRLCK, 0, 0);
    // SAFETY: a valid flock, overwritten by the call.
    let answer = unsafe { libc::fcntl(fd, libc::F_GETLK, &raw mut lock) };
    (answer == 0 && lock.l_type != libc::F_UNLCK as i16).then_some((lock.l_start, lock.l_len))
}

/// The largest file that this process may write, bytes.
pub fn limit_file_size(bytes: Option<u64>) {
    let limit = libc::rlimit { rlim_cur: bytes.unwrap_or(libc::RLIM_INFINITY), rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a valid rlimit.
    unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
}

pub fn nap(us: u64) {
    std::thread::sleep(std::time::Duration::from_micros(us));
}

/// Stays on one CPU from now on: the kernel gives out a context's room per CPU.
pub fn stay_on_cpu(cpu: usize) {
    // SAFETY: a zeroed set is valid.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

/// Runs `handler` on `signal` from now on.
pub fn catch(signal: i32, handler: extern "C" fn(i32)) {
    // SAFETY: a zeroed sigaction is valid; the handler only counts.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
}

/// Blocks `signal` for this thread, or lets it through.
pub fn block(signal: i32, how: i32) {
    // SAFETY: a zeroed set is valid.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&raw mut set, signal);
        libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut());
    }
}

/// Sends `signal` to this thread.
pub fn raise(signal: i32) {
    // SAFETY: this thread.
    unsafe { libc::pthread_kill(libc::pthread_self(), signal) };
}

/// Runs `body` in a forked child, which then ends; its wait status.
pub fn in_child(body: impl FnOnce()) -> i32 {
    // SAFETY: only this thread of the process is inside the tester's code; the child leaves by _exit.
    match unsafe { libc::fork() } {
        0 => {
            body();
            exit_now(0)
        }
        child => wait_for(child),
    }
}

pub fn exit_now(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

fn wait_for(child: i32) -> i32 {
    let mut status = 0;
    // SAFETY: our child.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    status
}

/// Reads from the start, until the end or until `into` is full; bytes.
pub fn read_start(fd: i32, into: &mut [u8]) -> usize {
    // SAFETY: a slice.
    let n = unsafe { libc::pread(fd, into.as_mut_ptr().cast(), into.len(), 0) };
    usize::try_from(n).unwrap_or(0)
}

/// Starts `body` in a forked child that leads a process group and dies with this thread's process.
pub fn start_child(body: impl FnOnce()) -> i32 {
    let parent = std::process::id();
    // SAFETY: libc makes its own locks usable in the child; the child runs `body` and leaves by _exit.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: takes numbers.
            unsafe {
                libc::setpgid(0, 0);
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if libc::getppid() as u32 != parent {
                    libc::_exit(3);
                }
            }
            let body = std::panic::AssertUnwindSafe(body);
            let ended_well = std::panic::catch_unwind(body).is_ok();
            exit_now(if ended_well { 0 } else { 101 })
        }
        child => child,
    }
}

/// Waits for a child; its wait status. None: it had to be killed, with its process group.
pub fn wait_until(child: i32, end: std::time::Instant) -> Option<i32> {
    // SAFETY: takes numbers.
    let handle = unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) } as i32;
    let left = end.saturating_duration_since(std::time::Instant::now());
    let mut one = libc::pollfd { fd: handle, events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry.
    let ended = unsafe { libc::poll(&raw mut one, 1, left.as_millis() as i32) } > 0;
    close(handle);
    if !ended {
        // SAFETY: the group that the child leads.
        unsafe { libc::kill(-child, libc::SIGKILL) };
    }
    let status = wait_for(child);
    ended.then_some(status)
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: u32) {
    // SAFETY: called in a child that uses none of them.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// Bytes that can be read from a pipe, socket or terminal.
pub fn unread(fd: i32) -> i32 {
    let mut count = 0;
    // SAFETY: writes one int.
    unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut count) };
    count
}
