//! What a descriptor is: enough to refuse what the kernel refuses, and to know what may wait.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::abi::Iovec;
use crate::abi::{RWF_APPEND, RWF_DONTCACHE, RWF_NOAPPEND, RWF_NOWAIT};
use crate::errno::{Errno, Result};
use crate::os::epoll::Epoll;
use crate::os::file;

/// Kinds of files that differ in how requests on them are executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Regular,
    Block,
    Directory,
    /// Pipes, sockets and character devices: what may wait for somebody else.
    Stream,
    /// eventfd, epoll, timerfd and their like.
    Anonymous,
}

/// One look at a descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) fd: i32,
    pub(crate) kind: Kind,
    /// `O_` flags.
    flags: i32,
    dev: u64,
    rdev: u64,
    is_socket: bool,
    /// Length of a regular file, bytes, when looked.
    pub(crate) size: i64,
}

impl Facts {
    /// The `O_` flags of a descriptor. EBADF when it is not open, or open with O_PATH.
    pub(crate) fn flags_of(fd: i32) -> Result<i32> {
        let flags = file::status_flags(fd)?;
        if flags & libc::O_PATH != 0 { Err(Errno::EBADF) } else { Ok(flags) }
    }

    /// `flags`: what [`Facts::flags_of`] said a moment ago. EBADF when it is not open any more.
    pub(crate) fn with_flags(fd: i32, flags: i32) -> Result<Facts> {
        let st = file::stat(fd)?;
        let kind = match st.st_mode & libc::S_IFMT {
            libc::S_IFREG => Kind::Regular,
            libc::S_IFBLK => Kind::Block,
            libc::S_IFDIR => Kind::Directory,
            0 => Kind::Anonymous,
            _ => Kind::Stream,
        };
        let is_socket = st.st_mode & libc::S_IFMT == libc::S_IFSOCK;
        Ok(Facts { fd, kind, flags, dev: st.st_dev, rdev: st.st_rdev, is_socket, size: st.st_size })
    }

    pub(crate) fn can_read(&self) -> bool {
        matches!(self.flags & libc::O_ACCMODE, libc::O_RDONLY | libc::O_RDWR)
    }

    pub(crate) fn can_write(&self) -> bool {
        matches!(self.flags & libc::O_ACCMODE, libc::O_WRONLY | libc::O_RDWR)
    }

    pub(crate) fn direct(&self) -> bool {
        self.flags & libc::O_DIRECT != 0
    }

    pub(crate) fn non_blocking(&self) -> bool {
        self.flags & libc::O_NONBLOCK != 0
    }

    pub(crate) fn append(&self) -> bool {
        self.flags & libc::O_APPEND != 0
    }

    /// O_SYNC contains O_DSYNC.
    pub(crate) fn dsync(&self) -> bool {
        self.flags & libc::O_DSYNC != 0
    }

    pub(crate) fn is_socket(&self) -> bool {
        self.is_socket
    }

    /// Whether requests name a position: not in pipes and sockets.
    pub(crate) fn has_positions(&self) -> bool {
        self.rdev != 0 || !matches!(self.kind, Kind::Stream)
    }

    /// A terminal, or the master side of one.
    pub(crate) fn is_terminal(&self) -> bool {
        self.kind == Kind::Stream && self.rdev != 0 && file::is_terminal(self.fd)
    }

    /// Whether the file takes RWF_NOWAIT, so that the kernel can start a request on it without waiting.
    /// Asked of regular files and block devices; remembered per file system, device and O_DIRECT.
    pub(crate) fn nowait(&self) -> bool {
        let key = self.dev ^ self.rdev.rotate_left(17) ^ (u64::from(self.direct()) << 63);
        remembered(&NOWAIT, key, || self.probe_nowait())
    }

    /// A regular file or a block device whose requests may wait for it.
    pub(crate) fn is_disk_that_waits(&self) -> bool {
        matches!(self.kind, Kind::Regular | Kind::Block) && self.nowait()
    }

    fn probe_nowait(&self) -> bool {
        if !self.can_read() {
            const KNOWN: [i64; 3] = [0xef53, 0x5846_5342, 0x9123_683e]; // ext4, xfs, btrfs
            return self.kind == Kind::Regular
                && file::file_system(self.fd).is_ok_and(|magic| KNOWN.contains(&magic));
        }
        self.takes_flags(RWF_NOWAIT)
    }

    /// null, zero, full and urandom. With NOWAIT a long read of them may stop short for no reason but the scheduler's.
    pub(crate) fn never_waits(&self) -> bool {
        self.kind == Kind::Stream && libc::major(self.rdev) == 1 && matches!(libc::minor(self.rdev), 3 | 5 | 7 | 9)
    }

    /// Whether RWF_NOWAIT is not refused: the kernel's FMODE_NOWAIT, as far as it can be told from outside.
    pub(crate) fn takes_nowait(&self) -> bool {
        const XFS: i64 = 0x5846_5342;
        match self.kind {
            Kind::Regular | Kind::Block => self.nowait(),
            Kind::Directory => file::file_system(self.fd) == Ok(XFS),
            Kind::Anonymous => self.has_iterator(false),
            Kind::Stream if self.rdev == 0 => true,
            // null, zero, random, urandom.
            Kind::Stream if libc::major(self.rdev) == 1 => matches!(libc::minor(self.rdev), 3 | 5 | 8 | 9),
            Kind::Stream => !self.is_terminal(),
        }
    }

    /// Whether RWF_DONTCACHE is not refused. Of files that cannot be read, the write itself tells.
    pub(crate) fn takes_dontcache(&self) -> bool {
        let disk = matches!(self.kind, Kind::Regular | Kind::Block);
        let ask = || self.takes_flags(RWF_DONTCACHE);
        disk && (!self.can_read() || remembered(&DONTCACHE, self.dev ^ self.rdev.rotate_left(17), ask))
    }

    /// Whether RWF_ATOMIC is not refused: the file system can, and the device, too.
    pub(crate) fn takes_atomic(&self) -> bool {
        matches!(self.kind, Kind::Regular | Kind::Block)
            && file::atomic_write_unit(self.fd).is_ok_and(|max| max > 0)
    }

    /// Address 1 cannot be written: whatever the file answers, nothing is read.
    fn takes_flags(&self, flags: u32) -> bool {
        let iov = Iovec { base: 1, len: 1 };
        // SAFETY: the one piece names no memory of anybody.
        let answer = unsafe { file::readv(self.fd, &raw const iov, 1, 0, flags) };
        answer != Err(Errno::EOPNOTSUPP)
    }

    /// Whether the file has the read or write method that AIO needs (`read_iter`, `write_iter`).
    pub(crate) fn has_iterator(&self, write: bool) -> bool {
        match self.kind {
            Kind::Directory => false,
            Kind::Block => true,
            Kind::Regular => !self.pseudo() || probe_iterator(self.fd, write),
            Kind::Stream if self.rdev != 0 => {
                remembered(&ITERATOR, self.rdev.rotate_left(1) ^ u64::from(write), || {
                    probe_iterator(self.fd, write)
                })
            }
            Kind::Stream => true,
            Kind::Anonymous => probe_iterator(self.fd, write),
        }
    }

    /// On a file system whose files are made of methods of their own: proc, debugfs, tracefs.
    fn pseudo(&self) -> bool {
        const PSEUDO: [i64; 4] = [0x9fa0, 0x6462_6720, 0x7472_6163, 0x7363_6673];
        libc::major(self.dev) == 0
            && remembered(&PSEUDO_FS, self.dev, || {
                file::file_system(self.fd).is_ok_and(|magic| PSEUDO.contains(&magic))
            })
    }

    /// Whether a POLL that is not ready may wait: on a file with one queue of waiters. Files without a poll method
    /// have none; terminals, and pipes that are open for both directions, have two.
    pub(crate) fn has_one_queue(&self) -> bool {
        match self.kind {
            Kind::Directory | Kind::Block => false,
            Kind::Regular => self.pseudo() && probe_poll(self.fd),
            Kind::Stream if self.rdev != 0 => {
                remembered(&POLL, self.rdev, || probe_poll(self.fd) && !self.is_terminal())
            }
            Kind::Stream => self.is_socket || !(self.can_read() && self.can_write()),
            Kind::Anonymous => true,
        }
    }

    /// Whether fsync is defined for the file at all.
    pub(crate) fn can_sync(&self) -> bool {
        match self.kind {
            Kind::Directory | Kind::Block => true,
            Kind::Regular => !self.pseudo(),
            Kind::Stream | Kind::Anonymous => false,
        }
    }
}

/// A file with an iterator refuses APPEND with NOAPPEND as EINVAL, one without refuses any flag as
/// EOPNOTSUPP; both before doing anything. A file that cannot be read (written) at all says EINVAL also to
/// a call without pieces.
fn probe_iterator(fd: i32, write: bool) -> bool {
    let byte = 0u8;
    let iov = Iovec { base: &raw const byte as usize, len: 1 };
    let call = if write { file::writev } else { file::readv };
    // SAFETY: refused before any transfer; for reading, by the flags that exclude each other.
    let refusal = unsafe { call(fd, &raw const iov, 1, -1, RWF_APPEND | RWF_NOAPPEND) };
    // SAFETY: no pieces.
    let nothing = unsafe { call(fd, core::ptr::null(), 0, -1, 0) };
    refusal != Err(Errno::EOPNOTSUPP) && nothing.is_ok()
}

/// epoll refuses files without a poll method.
fn probe_poll(fd: i32) -> bool {
    Epoll::new().and_then(|epoll| epoll.add(fd, 0, 0)) != Err(Errno::EPERM)
}

/// EBADF when `fd` is not open, or open with O_PATH; EINVAL when it is no eventfd.
pub(crate) fn check_eventfd(fd: i32) -> Result<()> {
    // Five short calls; the name in /proc costs four times as much.
    if looks_like_eventfd(fd) {
        return Ok(());
    }
    if file::status_flags(fd)? & libc::O_PATH != 0 {
        return Err(Errno::EBADF);
    }
    let is_eventfd = file::link_starts_with(fd, b"anon_inode:[eventfd]").unwrap_or(false);
    if is_eventfd { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Of the anonymous files only an eventfd can be written and has an iterator just for reading.
fn looks_like_eventfd(fd: i32) -> bool {
    let anonymous = file::stat(fd).is_ok_and(|st| st.st_mode & libc::S_IFMT == 0);
    // SAFETY: no pieces.
    anonymous && unsafe { file::writev(fd, core::ptr::null(), 0, -1, 0) }.is_ok() && probe_iterator(fd, false)
}

/// Answers by key: `key << 2 | known << 1 | answer`; a collision forgets the older one.
type Memory = [AtomicU64; 64];
static NOWAIT: Memory = [const { AtomicU64::new(0) }; 64];
static ITERATOR: Memory = [const { AtomicU64::new(0) }; 64];
static DONTCACHE: Memory = [const { AtomicU64::new(0) }; 64];
static POLL: Memory = [const { AtomicU64::new(0) }; 64];
static PSEUDO_FS: Memory = [const { AtomicU64::new(0) }; 64];

fn remembered(memory: &Memory, key: u64, probe: impl FnOnce() -> bool) -> bool {
    let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let entry = &memory[(mixed >> 58) as usize];
    // Relaxed: the word is all there is; it guards no other memory.
    let held = entry.load(Relaxed);
    if held >> 2 == mixed & (u64::MAX >> 2) && held & 2 != 0 {
        return held & 1 != 0;
    }
    let answer = probe();
    entry.store(mixed << 2 | 2 | u64::from(answer), Relaxed);
    answer
}
