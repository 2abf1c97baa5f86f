//! The kernel, as far as Miri has one: Miri runs no system call instruction, but knows many of libc's functions. What the
//! library can do without (names, limits, descriptor tables) is refused, or as it is by default.

use core::mem::ManuallyDrop;
use std::alloc::{Layout, alloc_zeroed};
use std::os::fd::FromRawFd;

use crate::abi::{Iovec, RWF_APPEND, RWF_NOAPPEND, RWF_NOWAIT};

fn answer(ret: isize) -> isize {
    if ret >= 0 { ret } else { -(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) as isize) }
}

const fn refused(errno: i32) -> isize {
    -(errno as isize)
}

/// Makes system call `nr`.
///
/// # Safety
/// As of the real one.
pub(crate) unsafe fn syscall6(nr: usize, a: [usize; 6]) -> isize {
    let fd = a[0] as i32;
    // SAFETY: the caller's promise, call by call: the arguments are what the call of this number wants.
    unsafe {
        match nr as i64 {
            libc::SYS_getpid => std::process::id() as isize,
            libc::SYS_gettid => 1,
            libc::SYS_mmap if fd == 0 && a[4] as i32 == -1 => zeroed(a[1]),
            libc::SYS_munmap | libc::SYS_prctl | libc::SYS_sched_setscheduler | libc::SYS_sched_setaffinity => 0,
            libc::SYS_close_range => 0,
            libc::SYS_rt_sigprocmask => 0,
            libc::SYS_prlimit64 => limit(a[3]),
            libc::SYS_fcntl if a[1] as i32 == libc::F_GETFL => libc::O_RDWR as isize,
            // The sending end stays where it is: the other end knows it by its number.
            libc::SYS_fcntl if a[2] > 3 => refused(libc::EMFILE),
            libc::SYS_fcntl => answer(libc::fcntl(fd, a[1] as i32, a[2] as i32) as isize),
            libc::SYS_ioctl => refused(libc::ENOTTY),
            libc::SYS_fstat => stat(fd, a[1]),
            libc::SYS_close => answer(libc::close(fd) as isize),
            libc::SYS_read => answer(libc::read(fd, a[1] as *mut _, a[2])),
            libc::SYS_write => answer(libc::write(fd, a[1] as *const _, a[2])),
            libc::SYS_preadv2 => vectored(fd, a, true),
            libc::SYS_pwritev2 => vectored(fd, a, false),
            libc::SYS_fsync | libc::SYS_fdatasync => answer(libc::fsync(fd) as isize),
            libc::SYS_ppoll => poll_now(a),
            libc::SYS_eventfd2 => answer(libc::eventfd(a[0] as u32, a[1] as i32) as isize),
            libc::SYS_epoll_create1 => answer(libc::epoll_create1(a[0] as i32) as isize),
            libc::SYS_epoll_ctl => epoll_control(a),
            libc::SYS_epoll_pwait | libc::SYS_epoll_wait => {
                answer(libc::epoll_wait(fd, a[1] as *mut _, a[2] as i32, a[3] as i32) as isize)
            }
            _ => refused(libc::ENOSYS),
        }
    }
}

fn zeroed(len: usize) -> isize {
    let layout = Layout::from_size_align(len, 4096).expect("a mapping's size");
    // SAFETY: no mapping is empty.
    unsafe { alloc_zeroed(layout) }.expose_provenance() as isize
}

unsafe fn limit(place: usize) -> isize {
    if place != 0 {
        // SAFETY: the caller's room for an rlimit64.
        unsafe { (place as *mut [u64; 2]).write([1024, 1024]) };
    }
    0
}

/// Miri's epoll is edge-triggered only; who waits here takes all that there is.
unsafe fn epoll_control(a: [usize; 6]) -> isize {
    let event = a[3] as *const libc::epoll_event;
    // SAFETY: null, or an event of the caller's.
    let mut event = if event.is_null() { libc::epoll_event { events: 0, u64: 0 } } else { unsafe { *event } };
    event.events = event.events & !(libc::EPOLLONESHOT as u32) | libc::EPOLLET as u32;
    // SAFETY: the event is a local.
    answer(unsafe { libc::epoll_ctl(a[0] as i32, a[1] as i32, a[2] as i32, &raw mut event) } as isize)
}

fn is_regular(fd: i32) -> bool {
    // SAFETY: only looked at, and not closed.
    let file = ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(fd) });
    file.metadata().is_ok_and(|facts| facts.is_file())
}

/// One look, without waiting, by an epoll descriptor: Miri has no poll.
unsafe fn poll_now(a: [usize; 6]) -> isize {
    // SAFETY: the caller has one pollfd.
    let asked = unsafe { &mut *(a[0] as *mut libc::pollfd) };
    let wanted = asked.events as u32 | libc::EPOLLET as u32;
    let mut event = libc::epoll_event { events: wanted, u64: 0 };
    // SAFETY: the events are locals, and the descriptor is closed in the end.
    let ready = unsafe {
        let epoll = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        let added = libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, asked.fd, &raw mut event);
        let ready = if added == 0 { libc::epoll_wait(epoll, &raw mut event, 1, 0) } else { 0 };
        libc::close(epoll);
        ready
    };
    asked.revents = if ready > 0 { event.events as i16 } else { 0 };
    ready as isize
}

/// A regular file, or else a pipe.
unsafe fn stat(fd: i32, place: usize) -> isize {
    // SAFETY: only looked at, and not closed.
    let file = ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(fd) });
    let found = file.metadata();
    // SAFETY: the caller's room.
    let st = unsafe { &mut *(place as *mut libc::stat) };
    match found {
        Ok(facts) if facts.is_file() => (st.st_mode, st.st_size) = (libc::S_IFREG | 0o600, facts.len() as i64),
        _ => st.st_mode = libc::S_IFIFO | 0o600,
    }
    0
}

/// preadv2 and pwritev2, a piece at a time.
unsafe fn vectored(fd: i32, a: [usize; 6], read: bool) -> isize {
    let (offset, flags) = (a[3] as i64, a[5] as u32);
    if flags & RWF_APPEND != 0 && flags & RWF_NOAPPEND != 0 {
        return refused(libc::EINVAL);
    }
    if flags & RWF_NOWAIT != 0 && offset < 0 {
        return refused(libc::EOPNOTSUPP);
    }
    if offset >= 0 && !is_regular(fd) {
        return refused(libc::ESPIPE);
    }
    let mut done = 0;
    for index in 0..a[2] {
        // SAFETY: the caller's array.
        let piece = unsafe { *(a[1] as *const Iovec).add(index) };
        let (base, at) = (piece.base as *mut libc::c_void, offset + done as i64);
        // SAFETY: the caller's piece.
        let here = answer(unsafe {
            match (read, offset < 0) {
                (true, false) => libc::pread64(fd, base, piece.len, at),
                (false, false) => libc::pwrite64(fd, base, piece.len, at),
                (true, true) => libc::read(fd, base, piece.len),
                (false, true) => libc::write(fd, base, piece.len),
            }
        });
        if here < 0 {
            return if done > 0 { done } else { here };
        }
        done += here;
        if here < piece.len as isize {
            break;
        }
    }
    done
}
