//! The sending socket: the one descriptor of ours in the program's table.
//!
//! The program may close it, or give its number to another file, and a thread may have a descriptor table of its own: so
//! it is looked at before each use, and made anew where it is gone.

use core::cell::UnsafeCell;

use super::nap;
use crate::errno::{Errno, Result};
use crate::os::lock::QuietLock;
use crate::os::{file, socket, thread};
use crate::sync::{AtomicI32, AtomicU64, Ordering};

/// Where it goes in the program's table: as high as costs nothing.
const HIGH: u64 = 1000;
/// How often a message is tried, a millisecond apart, while too many files are on their way.
const TRIES: u32 = 100;

#[derive(Debug, Default)]
pub(super) struct Sender {
    /// Held to connect, and to aim.
    lock: QuietLock,
    fd: AtomicI32,
    /// What tells it from another file of the same number.
    cookie: AtomicU64,
    /// Where the library thread listens.
    address: UnsafeCell<Option<socket::Address>>,
}

// SAFETY: `address` is read and written under `lock` only; everything else is atomic.
unsafe impl Sync for Sender {}

impl Sender {
    /// There is none yet.
    pub(super) fn clear(&self) {
        self.fd.store(-1, Ordering::Relaxed);
    }

    /// A library thread listens at `address` from now on.
    pub(super) fn aim(&self, address: socket::Address) {
        let _quiet = self.lock.acquire();
        // SAFETY: under the lock.
        unsafe { *self.address.get() = Some(address) };
    }

    /// Lets go of the socket, if it is still ours.
    pub(super) fn close(&self) {
        let fd = self.fd.swap(-1, Ordering::Relaxed);
        if fd >= 0 && socket::cookie(fd) == Ok(self.cookie.load(Ordering::Relaxed)) {
            file::close(fd);
        }
    }

    /// The socket, if the number still means it in this thread's descriptor table.
    fn own(&self) -> Option<i32> {
        let fd = self.fd.load(Ordering::Relaxed);
        (fd >= 0 && socket::cookie(fd) == Ok(self.cookie.load(Ordering::Relaxed))).then_some(fd)
    }

    /// Connects anew: the program has closed our socket, or the library thread is another one, or the caller has a
    /// descriptor table of its own. The caller holds the lock, and the library thread of process `owner` is up.
    fn reconnect(&self, owner: i32) -> Result<i32> {
        if thread::pid() != owner {
            return Err(Errno::EPERM);
        }
        // SAFETY: under the lock.
        let address = unsafe { *self.address.get() }.ok_or(Errno::EPERM)?;
        let former = self.fd.load(Ordering::Relaxed);
        self.close();
        if former >= 0 && socket::is_connected_to(former, &address) {
            // An older connection of this very table, under the same number.
            file::close(former);
        }
        let floor = thread::descriptor_limit().min(HIGH + 24).saturating_sub(24).max(3) as i32;
        let fd = file::move_up(socket::connect(&address)?, floor);
        self.cookie.store(socket::cookie(fd)?, Ordering::Relaxed);
        self.fd.store(fd, Ordering::Relaxed);
        Ok(fd)
    }

    /// Whether messages get through from this thread's descriptor table.
    pub(super) fn is_connected_from_here(&self, owner: i32) -> bool {
        self.own().is_some() || {
            let _quiet = self.lock.acquire();
            self.own().is_some() || self.reconnect(owner).is_ok()
        }
    }

    /// Sends one message, over a new connection where the old one is gone.
    pub(super) fn send(&self, words: &[u64], fds: &[i32], owner: i32) -> Result<()> {
        let sent = self.own().ok_or(Errno::EPIPE).and_then(|fd| send_patiently(fd, words, fds));
        if !matches!(sent, Err(Errno::EPIPE | Errno::ENOTCONN | Errno::ENOTSOCK | Errno::EBADF)) {
            return sent;
        }
        // One at a time: threads with tables of their own would take the connection from each other.
        let _quiet = self.lock.acquire();
        let sent = self.own().ok_or(Errno::EPIPE).and_then(|fd| send_patiently(fd, words, fds));
        match sent {
            Err(Errno::EPIPE | Errno::ENOTCONN | Errno::ENOTSOCK) => {
                send_patiently(self.reconnect(owner)?, words, fds)
            }
            other => other,
        }
    }
}

/// Sends; too many files on their way (ETOOMANYREFS) is a matter of moments.
fn send_patiently(fd: i32, words: &[u64], fds: &[i32]) -> Result<()> {
    for _ in 0..TRIES {
        match socket::send(fd, words, fds) {
            Err(Errno::ETOOMANYREFS) => nap(),
            other => return other,
        }
    }
    Err(Errno::ETOOMANYREFS)
}
