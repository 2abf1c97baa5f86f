//! Files: what they are, and I/O on them.

use crate::abi::Iovec;
use crate::errno::{Errno, Result};
use crate::os::raw::sys;
use crate::os::thread;

/// `fcntl(F_GETFL)`: mode and status flags. EBADF when `fd` is not open.
pub(crate) fn status_flags(fd: i32) -> Result<i32> {
    // SAFETY: reads no memory.
    unsafe { sys!(SYS_fcntl, fd, libc::F_GETFL) }.map(|flags| flags as i32)
}

/// Whether the device `fd` is a terminal.
pub(crate) fn is_terminal(fd: i32) -> bool {
    let mut termios = [0u64; 8];
    // SAFETY: the kernel's `struct termios` has 36 bytes and fits; it outlives the call.
    unsafe { sys!(SYS_ioctl, fd, libc::TCGETS, termios.as_mut_ptr()) }.is_ok()
}

/// `fstat`.
pub(crate) fn stat(fd: i32) -> Result<libc::stat> {
    // SAFETY: `stat` is plain data, for which zero is valid.
    let mut st: libc::stat = unsafe { core::mem::zeroed() };
    // SAFETY: `st` has the kernel's layout on this architecture and outlives the call.
    unsafe { sys!(SYS_fstat, fd, &raw mut st) }.map(|_| st)
}

/// Whether two descriptors, each of the table of a thread of this process, are the same open file. EBADF: one is not
/// open; else it cannot be told here.
pub(crate) fn is_same(a: (i32, i32), b: (i32, i32)) -> Result<bool> {
    const KCMP_FILE: i32 = 0;
    // SAFETY: reads no memory.
    unsafe { sys!(SYS_kcmp, a.0, b.0, KCMP_FILE, a.1, b.1) }.map(|order| order == 0)
}

/// Magic number of the file system that `fd` lives on.
pub(crate) fn file_system(fd: i32) -> Result<i64> {
    // SAFETY: `statfs` is plain data, for which zero is valid.
    let mut st: libc::statfs = unsafe { core::mem::zeroed() };
    // SAFETY: `st` has the kernel's layout and outlives the call.
    unsafe { sys!(SYS_fstatfs, fd, &raw mut st) }.map(|_| st.f_type as i64)
}

/// `preadv2`. `offset` -1: the current position, for files that have none.
///
/// # Safety
/// `iov` names `count` pieces that the program gave for reading into.
pub(crate) unsafe fn readv(fd: i32, iov: *const Iovec, count: usize, offset: i64, flags: u32) -> Result<usize> {
    // SAFETY: the kernel checks every address; what it writes, the program asked for.
    unsafe { sys!(SYS_preadv2, fd, iov, count, offset, 0, flags) }
}

/// `pwritev2`. `offset` -1 as for [`readv`].
///
/// # Safety
/// `iov` names `count` pieces; the kernel only reads them, and checks every address.
pub(crate) unsafe fn writev(fd: i32, iov: *const Iovec, count: usize, offset: i64, flags: u32) -> Result<usize> {
    // SAFETY: as above.
    unsafe { sys!(SYS_pwritev2, fd, iov, count, offset, 0, flags) }
}

/// `read` or `write` of 0 bytes. Unlike `preadv2` and `pwritev2` these ask the file, as AIO does: a socket may be
/// broken, an eventfd refuses it.
pub(crate) fn transfer_nothing(fd: i32, write: bool) -> Result<usize> {
    // SAFETY: no bytes.
    unsafe { if write { sys!(SYS_write, fd, 0, 0) } else { sys!(SYS_read, fd, 0, 0) } }
}

/// `fsync`, or `fdatasync` when `data_only`.
pub(crate) fn sync(fd: i32, data_only: bool) -> Result<usize> {
    // SAFETY: reads no memory.
    unsafe { if data_only { sys!(SYS_fdatasync, fd) } else { sys!(SYS_fsync, fd) } }
}

/// One look at readiness: the ready bits of `mask`, of POLLERR and of POLLHUP.
pub(crate) fn poll_now(fd: i32, mask: u16) -> Result<u16> {
    match poll_once(fd, mask) {
        // RLIMIT_NOFILE is 0: not even one descriptor can be polled.
        Err(Errno::EINVAL) => {
            let _raised = thread::RaisedLimit::new(1);
            poll_once(fd, mask)
        }
        seen => seen,
    }
}

fn poll_once(fd: i32, mask: u16) -> Result<u16> {
    let mut p = libc::pollfd { fd, events: mask as i16, revents: 0 };
    let zero = crate::abi::Timespec::default();
    // EINTR also without any wait, when nothing is ready and a signal is pending: that says nothing about the file.
    // SAFETY: one pollfd and a time, both outlive the call.
    while let Err(e) = unsafe { sys!(SYS_ppoll, &raw mut p, 1, &raw const zero, 0, 8) } {
        if e != Errno::EINTR {
            return Err(e);
        }
    }
    if p.revents & libc::POLLNVAL != 0 { Err(Errno::EBADF) } else { Ok(p.revents as u16) }
}

/// Sleeps until `fd` is readable, the time is over or a signal comes, with `mask` as the signal mask.
///
/// Ok(true): readable. EINTR: a handler ran. `fd` -1: looks for signals only. `mask` is the address of
/// 8 bytes, or 0. EBADF: `fd` is not open.
pub(crate) fn sleep_masked(fd: i32, timeout: Option<crate::abi::Timespec>, mask: *const u64) -> Result<bool> {
    let mut p = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut left = timeout.unwrap_or_default();
    let time = if timeout.is_some() { &raw mut left } else { core::ptr::null_mut() };
    let count = usize::from(fd >= 0);
    // SAFETY: the pollfd and the time outlive the call; the mask is 8 bytes of ours.
    let ready = unsafe { sys!(SYS_ppoll, &raw mut p, count, time, mask, 8) }?;
    if p.revents & libc::POLLNVAL != 0 { Err(Errno::EBADF) } else { Ok(ready > 0) }
}

/// Appends to a file of ours that was opened for it.
pub(crate) fn append(fd: i32, bytes: &[u8]) {
    // SAFETY: the buffer is valid for its length.
    let _ = unsafe { sys!(SYS_write, fd, bytes.as_ptr(), bytes.len()) };
}

/// The largest write that is not torn, bytes; 0: none is.
pub(crate) fn atomic_write_unit(fd: i32) -> Result<u32> {
    const STATX_WRITE_ATOMIC: u32 = 0x1_0000;
    // `struct statx` is 256 bytes; stx_atomic_write_unit_max is at 172.
    let mut answer = [0u32; 64];
    let path = c"".as_ptr();
    // SAFETY: an empty path, and room for the whole structure.
    unsafe { sys!(SYS_statx, fd, path, libc::AT_EMPTY_PATH, STATX_WRITE_ATOMIC, answer.as_mut_ptr()) }?;
    Ok(answer[172 / 4])
}

/// Closes a descriptor of ours.
pub(crate) fn close(fd: i32) {
    // SAFETY: reads no memory; the callers own the descriptor.
    let _ = unsafe { sys!(SYS_close, fd) };
}

/// Moves a descriptor of ours to the lowest free number from `floor` on, close-on-exec.
pub(crate) fn move_up(fd: i32, floor: i32) -> i32 {
    // SAFETY: reads no memory.
    match unsafe { sys!(SYS_fcntl, fd, libc::F_DUPFD_CLOEXEC, floor) } {
        Ok(high) => {
            close(fd);
            high as i32
        }
        Err(_) => fd,
    }
}

/// Opens a file of ours; `path` ends in NUL.
pub(crate) fn open(path: &[u8], flags: i32, mode: u32) -> Result<i32> {
    debug_assert_eq!(path.last(), Some(&0));
    // SAFETY: the path is NUL-terminated, as asserted.
    unsafe { sys!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags | libc::O_CLOEXEC, mode) }.map(|fd| fd as i32)
}

/// Reads from the start of a file of ours.
pub(crate) fn read_start(fd: i32, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: the buffer is valid for its length.
    unsafe { sys!(SYS_pread64, fd, buf.as_mut_ptr(), buf.len(), 0) }
}

/// Sets the length of a file of ours.
pub(crate) fn set_len(fd: i32, len: usize) -> Result<()> {
    // SAFETY: reads no memory.
    unsafe { sys!(SYS_ftruncate, fd, len) }.map(drop)
}

/// Where the target of `/proc/self/fd/N` starts with `prefix`; `None` when that cannot be read.
pub(crate) fn link_starts_with(fd: i32, prefix: &[u8]) -> Option<bool> {
    let mut path = *b"/proc/self/fd/0000000000\0";
    let mut rest = fd;
    for digit in path[14..24].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    // /proc takes no leading zeros.
    let zeros = path[14..23].iter().take_while(|d| **d == b'0').count();
    path.copy_within(14 + zeros.., 14);
    let mut target = [0u8; 64];
    // SAFETY: the path is NUL-terminated, the buffer valid for its length.
    let got = unsafe { sys!(SYS_readlinkat, libc::AT_FDCWD, path.as_ptr(), target.as_mut_ptr(), target.len()) };
    got.ok().map(|n| target[..n].starts_with(prefix))
}

/// Whether the I/O priority is one that this thread may ask for: EINVAL, EPERM, or nothing.
///
/// The kernel checks the priority before it looks for the process, and there is no such process.
pub(crate) fn check_priority(priority: u16) -> Result<()> {
    const WHO_PROCESS: i32 = 1;
    // SAFETY: reads no memory; changes nobody's priority.
    match unsafe { sys!(SYS_ioprio_set, WHO_PROCESS, i32::MAX, priority) } {
        Err(e @ (Errno::EINVAL | Errno::EPERM)) => Err(e),
        _ => Ok(()),
    }
}

/// Sleeps until `fd` is ready for `mask`. EINTR.
pub(crate) fn wait_ready(fd: i32, mask: u16) -> Result<()> {
    let mut p = libc::pollfd { fd, events: mask as i16, revents: 0 };
    // SAFETY: one pollfd that outlives the call, no time, no mask.
    unsafe { sys!(SYS_ppoll, &raw mut p, 1, 0, 0, 8) }.map(drop)
}
