//! What a descriptor is: enough to refuse what the kernel refuses, and to know what may wait.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::abi::Iovec;
use crate::abi::{RWF_APPEND, RWF_NOAPPEND, RWF_NOWAIT};
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
    /// EBADF when `fd` is not open, or open with O_PATH.
    pub(crate) fn of(fd: i32) -> Result<Facts> {
        let flags = file::status_flags(fd)?;
        if flags & libc::O_PATH != 0 {
            return Err(Errno::EBADF);
        }
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

    /// The master side of a pseudo-terminal, which polls more than one queue.
    pub(crate) fn is_pty_master(&self) -> bool {
        self.kind == Kind::Stream && self.rdev == libc::makedev(5, 2)
    }

    /// Whether the file tells when it gets ready: most regular files, directories and devices like /dev/null do
    /// not, and a POLL that is not ready at once is EINVAL there. Epoll refuses them with EPERM.
    pub(crate) fn can_be_waited_for(&self) -> bool {
        let surely = self.kind == Kind::Anonymous || (self.kind == Kind::Stream && self.rdev == 0);
        surely || Epoll::new().and_then(|epoll| epoll.add(self.fd, 0, 0)) != Err(Errno::EPERM)
    }

    /// Whether the file takes RWF_NOWAIT, so that the kernel can start a request on it without waiting.
    /// Asked of regular files and block devices; remembered per file system, device and O_DIRECT.
    pub(crate) fn nowait(&self) -> bool {
        let key = self.dev ^ self.rdev.rotate_left(17) ^ (u64::from(self.direct()) << 63);
        remembered(&NOWAIT, key, || self.probe_nowait())
    }

    fn probe_nowait(&self) -> bool {
        if !self.can_read() {
            const KNOWN: [i64; 3] = [0xef53, 0x5846_5342, 0x9123_683e]; // ext4, xfs, btrfs
            return self.kind == Kind::Regular
                && file::file_system(self.fd).is_ok_and(|magic| KNOWN.contains(&magic));
        }
        // Address 1 cannot be written: whatever the file answers, nothing is read.
        let iov = Iovec { base: 1, len: 1 };
        // SAFETY: the one piece names no memory of anybody.
        let answer = unsafe { file::readv(self.fd, &raw const iov, 1, 0, RWF_NOWAIT) };
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

/// EBADF when `fd` is not open, EINVAL when it is no eventfd.
pub(crate) fn check_eventfd(fd: i32) -> Result<()> {
    file::status_flags(fd)?;
    let is_eventfd = file::link_starts_with(fd, b"anon_inode:[eventfd]").unwrap_or_else(|| looks_like_eventfd(fd));
    if is_eventfd { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Without /proc: of the anonymous files only an eventfd can be written and has an iterator just for reading.
fn looks_like_eventfd(fd: i32) -> bool {
    let anonymous = Facts::of(fd).is_ok_and(|f| f.kind == Kind::Anonymous);
    // SAFETY: no pieces.
    anonymous && probe_iterator(fd, false) && unsafe { file::writev(fd, core::ptr::null(), 0, -1, 0) }.is_ok()
}

/// Answers by key: `key << 2 | known << 1 | answer`; a collision forgets the older one.
type Memory = [AtomicU64; 64];
static NOWAIT: Memory = [const { AtomicU64::new(0) }; 64];
static ITERATOR: Memory = [const { AtomicU64::new(0) }; 64];
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
