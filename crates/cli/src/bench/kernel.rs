//! The kernel's AIO, called directly: under `uaio run` the C library's `syscall` would be ours.

use std::fmt;

use syscalls::{Errno, Sysno, syscall};

/// A context of the kernel's.
#[derive(Debug)]
pub struct Context(usize);

/// Why the kernel gives none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAvailable(Errno);

impl fmt::Display for NotAvailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.name().unwrap_or("unknown");
        write!(f, "kernel AIO not available: io_setup gives {name}")
    }
}

impl NotAvailable {
    /// For tests.
    #[cfg(test)]
    pub fn from_raw(errno: i32) -> NotAvailable {
        NotAvailable(Errno::new(errno))
    }
}

impl Context {
    /// io_setup for `nr` requests.
    pub fn new(nr: u32) -> Result<Context, NotAvailable> {
        let mut id = 0usize;
        // SAFETY: `id` holds 0 and lives across the call, which stores the new context there.
        unsafe { syscall!(Sysno::io_setup, nr as usize, &raw mut id) }.map_err(NotAvailable)?;
        Ok(Context(id))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is ours alone and has no request in flight.
        let _ = unsafe { syscall!(Sysno::io_destroy, self.0) };
    }
}
