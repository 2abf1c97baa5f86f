//! epoll, for the poller of the worker threads.

use crate::errno::Result;
use crate::os::raw::sys;
use crate::os::{file, thread};

/// Ready descriptors of one wait.
pub(crate) const EVENTS: usize = 64;

/// An epoll descriptor.
#[derive(Debug)]
pub(crate) struct Epoll(i32);

impl Epoll {
    pub(crate) fn new() -> Result<Epoll> {
        // SAFETY: reads no memory.
        unsafe { sys!(SYS_epoll_create1, libc::EPOLL_CLOEXEC) }.map(|fd| Epoll(fd as i32))
    }

    fn control(&self, op: i32, fd: i32, events: u32, data: u64) -> Result<()> {
        let event = libc::epoll_event { events, u64: data };
        // SAFETY: the event outlives the call.
        unsafe { sys!(SYS_epoll_ctl, self.0, op, fd, &raw const event) }.map(drop)
    }

    /// Watches `fd`. EPERM: the file cannot be polled; EEXIST.
    pub(crate) fn add(&self, fd: i32, events: u32, data: u64) -> Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, events, data)
    }

    /// Watches `fd` for something else.
    pub(crate) fn change(&self, fd: i32, events: u32, data: u64) -> Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, events, data)
    }

    /// Watches `fd` no longer.
    pub(crate) fn remove(&self, fd: i32) {
        let _ = self.control(libc::EPOLL_CTL_DEL, fd, 0, 0);
    }

    /// The data of what is ready, after `timeout_ms` at most. EINTR, or what a filter says.
    pub(crate) fn wait(&self, timeout_ms: i32, ready: &mut [u64; EVENTS]) -> Result<usize> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        // SAFETY: the array is valid for EVENTS entries; no mask.
        let count = unsafe { sys!(SYS_epoll_pwait, self.0, events.as_mut_ptr(), EVENTS, timeout_ms, 0, 8) }?;
        for (place, event) in ready.iter_mut().zip(&events[..count]) {
            *place = event.u64;
        }
        Ok(count)
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        file::close(self.0);
    }
}

/// Whether two descriptors of this table are the same open file. False where nothing can tell.
pub(crate) fn same_file(a: i32, b: i32) -> bool {
    const F_DUPFD_QUERY: i32 = 1027;
    // SAFETY: reads no memory.
    match unsafe { sys!(SYS_fcntl, a, F_DUPFD_QUERY, b) } {
        Ok(same) => same == 1,
        Err(_) => {
            let me = thread::task();
            file::is_same((me, a), (me, b)) == Ok(true)
        }
    }
}
