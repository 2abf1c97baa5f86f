//! The six calls, ours or the kernel's. The kernel's are made directly: under `uaio run` the C library's
//! `syscall` would be ours.

use std::ptr;

use syscalls::{Errno, Sysno, syscall};
use uaio::abi::{IoEvent, Iocb, Timespec};
use uaio::entry;

use crate::failure::Failure;

/// Whose calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    Kernel,
    Ours,
}

/// A context. Dropping it destroys it.
#[derive(Debug)]
pub struct Context {
    calls: Calls,
    id: usize,
}

/// A call, and the error that it gave.
fn refused(call: &str, errno: Errno) -> Failure {
    Failure::plain(format!("{call}: {}", errno.name().unwrap_or("unknown error")))
}

/// As a system call returns it.
fn raw(result: isize) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| Errno::new(-result as i32))
}

impl Context {
    /// io_setup for `nr` requests.
    pub fn new(calls: Calls, nr: usize) -> Result<Context, Failure> {
        let mut id = 0usize;
        let made = match calls {
            // SAFETY: `id` holds 0 and lives across the call, which stores the new context there.
            Calls::Kernel => unsafe { syscall!(Sysno::io_setup, nr, &raw mut id) },
            // SAFETY: as above.
            Calls::Ours => raw(unsafe { entry::io_setup(nr as u32, &raw mut id) }),
        };
        made.map_err(|errno| refused("io_setup", errno))?;
        Ok(Context { calls, id })
    }

    /// io_submit, as often as it takes until all are accepted.
    ///
    /// # Safety
    /// What the iocbs name lives and is left alone until their events, or until the context is destroyed.
    pub unsafe fn submit(&self, iocbs: &[*mut Iocb]) -> Result<(), Failure> {
        let mut rest = iocbs;
        while !rest.is_empty() {
            let taken = match self.calls {
                // SAFETY: the caller's promise.
                Calls::Kernel => unsafe { syscall!(Sysno::io_submit, self.id, rest.len(), rest.as_ptr()) },
                // SAFETY: the caller's promise.
                Calls::Ours => raw(unsafe { entry::io_submit(self.id, rest.len() as isize, rest.as_ptr()) }),
            };
            rest = &rest[taken.map_err(|errno| refused("io_submit", errno))?..];
        }
        Ok(())
    }

    /// io_getevents without a time-out; returns how many came, at least `min`.
    pub fn events(&self, min: usize, events: &mut [IoEvent]) -> Result<usize, Failure> {
        loop {
            match self.collect(min, events, ptr::null()) {
                Err(Errno::EINTR) => {}
                done => return done.map_err(|errno| refused("io_getevents", errno)),
            }
        }
    }

    /// What has completed by now.
    pub fn events_now(&self, events: &mut [IoEvent]) -> Result<usize, Failure> {
        self.collect(0, events, &Timespec::default()).map_err(|errno| refused("io_getevents", errno))
    }

    fn collect(&self, min: usize, events: &mut [IoEvent], timeout: *const Timespec) -> Result<usize, Errno> {
        let (nr, to) = (events.len(), events.as_mut_ptr());
        match self.calls {
            // SAFETY: there is room for `nr` events, and the time-out is NULL or lives across the call.
            Calls::Kernel => unsafe { syscall!(Sysno::io_getevents, self.id, min, nr, to, timeout) },
            // SAFETY: as above.
            Calls::Ours => raw(unsafe { entry::io_getevents(self.id, min as isize, nr as isize, to, timeout) }),
        }
    }

    /// io_destroy.
    pub fn destroy(self) -> Result<(), Failure> {
        let result = self.end();
        std::mem::forget(self);
        result.map_err(|errno| refused("io_destroy", errno))
    }

    /// Leaves it to the end of the process.
    pub fn leave(self) {
        std::mem::forget(self);
    }

    fn end(&self) -> Result<(), Errno> {
        match self.calls {
            // SAFETY: any number may be given.
            Calls::Kernel => unsafe { syscall!(Sysno::io_destroy, self.id) }.map(drop),
            // SAFETY: as above.
            Calls::Ours => raw(unsafe { entry::io_destroy(self.id) }).map(drop),
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
