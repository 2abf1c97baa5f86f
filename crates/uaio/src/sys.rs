//! The six calls, one to one: unsafe, raw addresses in, a value or an [`Errno`] out.
//!
//! | call | does | blocks |
//! |---|---|---|
//! | [`io_setup`] | makes a context | no |
//! | [`io_submit`] | accepts requests | where the kernel's does: buffered, extending and synchronous writes are performed inside it |
//! | [`io_getevents`] | takes completions | until `min_nr` are there, or the time is over |
//! | [`io_pgetevents`] | the same, with another signal mask | the same |
//! | [`io_cancel`] | asks for the end of a request | no |
//! | [`io_destroy`] | ends a context | until nothing of its requests is touched any more |
//!
//! All of them may be called by any thread, by several at once on one context, and by signal handlers. None
//! touches libc's `errno` or is a cancellation point. A forked child has none of its parent's contexts: every call
//! with one is [`Errno::EINVAL`] there. What is executed where, the environment decides (`UAIO_ENGINE`); with
//! `UAIO_ENGINE=off` these are the kernel's own calls.
//!
//! Most programs want [`Context`](crate::Context), which owns what these calls only point at.
//!
//! Sources: the manual pages `io_setup(2)` to `io_destroy(2)`, `<linux/aio_abi.h>`, and what Linux 6.18 was seen to
//! do, call by call (the project's conformance cases).
//!
//! ```
//! use uaio::sys::{self, IOCB_CMD_PREAD, IoEvent, Iocb};
//! use std::os::fd::AsRawFd;
//!
//! let file = std::fs::File::open("/proc/self/exe")?;
//! let mut magic = [0u8; 4];
//! let mut ctx = 0;
//! let mut iocb = Iocb {
//!     opcode: IOCB_CMD_PREAD,
//!     fildes: file.as_raw_fd() as u32,
//!     buf: magic.as_mut_ptr() as u64,
//!     nbytes: 4,
//!     ..Iocb::default()
//! };
//! let mut list = [&raw mut iocb];
//! let mut event = IoEvent::default();
//! // SAFETY: the buffer, the iocb and the event outlive the context.
//! unsafe {
//!     sys::io_setup(1, &mut ctx)?;
//!     assert_eq!(sys::io_submit(ctx, 1, list.as_mut_ptr())?, 1);
//!     assert_eq!(sys::io_getevents(ctx, 1, 1, &mut event, std::ptr::null())?, 1);
//!     sys::io_destroy(ctx)?;
//! }
//! assert_eq!((event.res, &magic), (4, b"\x7fELF"));
//! # Ok::<(), std::io::Error>(())
//! ```

pub use crate::abi::{
    AioSigset, ContextId, IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_NOOP, IOCB_CMD_POLL, IOCB_CMD_PREAD,
    IOCB_CMD_PREADV, IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV, IOCB_FLAG_IOPRIO, IOCB_FLAG_RESFD, IoEvent, Iocb, Iovec,
    MAX_RW_COUNT, RING_MAGIC, RWF_APPEND, RWF_ATOMIC, RWF_DONTCACHE, RWF_DSYNC, RWF_HIPRI, RWF_NOAPPEND,
    RWF_NOSIGNAL, RWF_NOWAIT, RWF_SYNC, RingHeader, Timespec, UIO_MAXIOV,
};
use crate::entry;
use crate::errno::{Errno, Result};

fn value(raw: isize) -> Result<usize> {
    usize::try_from(raw).map_err(|_| Errno::from_raw(raw))
}

/// `int io_setup(unsigned nr_events, aio_context_t *ctxp)`: makes a context for at least `nr_events` requests
/// and stores its id, the address of its ring ([`RingHeader`]), to `*ctxp`.
///
/// Checked in this order; `*ctxp` stays as it was when the call fails:
///
/// * [`EFAULT`](Errno::EFAULT): `ctxp` cannot be read.
/// * [`EINVAL`](Errno::EINVAL): `*ctxp` is not 0, `nr_events` is 0, or is over 4194304.
/// * [`EAGAIN`](Errno::EAGAIN): the quota, `fs.aio-max-nr` of the host or `UAIO_MAX_NR`, is used up. It is
///   counted per process, in requests as asked for.
/// * [`ENOMEM`](Errno::ENOMEM): no memory, or 32768 contexts exist.
/// * [`ENOSYS`](Errno::ENOSYS): `UAIO_ENGINE` forces an engine that this place does not have.
/// * [`EFAULT`](Errno::EFAULT): `ctxp` cannot be written.
///
/// Does not block. Costs about a microsecond when an earlier context's memory can be used again. Source: `io_setup(2)`.
///
/// # Safety
/// What `ctxp` points at may be overwritten: 8 bytes (4 where pointers have 4).
pub unsafe fn io_setup(nr_events: u32, ctxp: *mut ContextId) -> Result<()> {
    // SAFETY: the caller's promise.
    value(unsafe { entry::io_setup(nr_events, ctxp) }).map(drop)
}

/// `int io_submit(aio_context_t ctx, long nr, struct iocb **iocbpp)`: accepts up to `nr` requests, in order, until
/// one is refused; returns how many. At least one is accepted, or the first one's error is returned.
///
/// Of the call: [`EINVAL`](Errno::EINVAL): no such context, or `nr` < 0. Of each request, in this order:
///
/// * [`EFAULT`](Errno::EFAULT): its pointer or its iocb cannot be read.
/// * [`EINVAL`](Errno::EINVAL): `reserved2` is not 0, `buf` or `nbytes` does not fit an address.
/// * [`EAGAIN`](Errno::EAGAIN): no room; requests in flight and events not taken count.
/// * [`EBADF`](Errno::EBADF): `fildes` is not open. [`EBADF`](Errno::EBADF) or [`EINVAL`](Errno::EINVAL):
///   `resfd` is not open, or no eventfd.
/// * [`EFAULT`](Errno::EFAULT): `key` cannot be written.
/// * [`EINVAL`](Errno::EINVAL): unknown opcode; a bad priority or offset; nonzero fields that FSYNC, FDSYNC and POLL do not
///   use; a file that cannot do it.
/// * [`EPERM`](Errno::EPERM): a real-time priority without the right to it.
/// * [`EOPNOTSUPP`](Errno::EOPNOTSUPP): `RWF_` flags that are unknown or that the file does not support.
/// * [`EBADF`](Errno::EBADF): not open for reading, or for writing.
/// * [`EFAULT`](Errno::EFAULT): a buffer outside of the address space; an iovec array that cannot be read.
/// * [`ENOMEM`](Errno::ENOMEM): no memory for an iovec array of more than 8 entries.
///
/// All other errors come as the event's `res`. The iocbs, the iovec arrays and the descriptors are free when this returns;
/// files and eventfds are held until the event. `nbytes` over [`MAX_RW_COUNT`] is cut. Buffered, extending and synchronous
/// writes, and what would not wait, are performed inside the call. Source: `io_submit(2)`.
///
/// # Safety
/// The memory that an accepted request reads or writes must be valid until its event has been taken or
/// [`io_destroy`] has returned, and nobody else may write to it (nor, for reads, look at it) until then.
pub unsafe fn io_submit(ctx: ContextId, nr: isize, iocbpp: *const *mut Iocb) -> Result<usize> {
    // SAFETY: the caller's promise.
    value(unsafe { entry::io_submit(ctx, nr, iocbpp) })
}

/// `int io_getevents(aio_context_t ctx, long min_nr, long nr, struct io_event *events, struct timespec *timeout)`: takes
/// up to `nr` completions, oldest first; waits until there are `min_nr`, or until `timeout` has passed. Returns how
/// many were taken, which may be fewer than `min_nr`, or 0.
///
/// * [`EFAULT`](Errno::EFAULT): `timeout` cannot be read, or `events` cannot be written (no event is lost).
/// * [`EINVAL`](Errno::EINVAL): no such context; `min_nr` < 0 or > `nr`; the context was destroyed meanwhile.
/// * [`EINTR`](Errno::EINTR): a signal handler ran, with or without `SA_RESTART`, and nothing was taken.
///
/// `timeout`: relative, seconds and nanoseconds; null waits without limit, {0, 0} does not wait, a negative one waits
/// without limit. Source: `io_getevents(2)`.
///
/// # Safety
/// `events` has room for `nr` events, or cannot be written at all.
pub unsafe fn io_getevents(
    ctx: ContextId,
    min_nr: isize,
    nr: isize,
    events: *mut IoEvent,
    timeout: *const Timespec,
) -> Result<usize> {
    // SAFETY: the caller's promise.
    value(unsafe { entry::io_getevents(ctx, min_nr, nr, events, timeout) })
}

/// `int io_pgetevents(…, const struct __aio_sigset *sig)`: [`io_getevents`] with another signal mask while it
/// runs; changing the mask and falling asleep are one step. A null `sigset`, or one whose `sigmask` is 0, changes nothing.
///
/// As [`io_getevents`], and [`EFAULT`](Errno::EFAULT): `sigset` or its mask cannot be read;
/// [`EINVAL`](Errno::EINVAL): `sigsetsize` is not 8. Source: `io_getevents(2)`, `pselect(2)`.
///
/// # Safety
/// As [`io_getevents`].
pub unsafe fn io_pgetevents(
    ctx: ContextId,
    min_nr: isize,
    nr: isize,
    events: *mut IoEvent,
    timeout: *const Timespec,
    sigset: *const AioSigset,
) -> Result<usize> {
    // SAFETY: the caller's promise.
    value(unsafe { entry::io_pgetevents(ctx, min_nr, nr, events, timeout, sigset) })
}

/// `int io_cancel(aio_context_t ctx, struct iocb *iocb, struct io_event *result)`: asks for the end of the request
/// that was submitted with `iocb`. It can end POLLs only, as the kernel's can.
///
/// * [`EINPROGRESS`](Errno::EINPROGRESS): that is success: the request ends soon, and its event comes through the ring with
///   `res` 0. Current kernels and this library never return `Ok` and never touch `result`; old kernels do.
/// * [`EFAULT`](Errno::EFAULT): `iocb` cannot be read.
/// * [`EINVAL`](Errno::EINVAL): no such context; `key` is not 0; no such request, or not one that can be cancelled.
///
/// Source: `io_cancel(2)`.
///
/// # Safety
/// `result` has room for one event, or cannot be written.
pub unsafe fn io_cancel(ctx: ContextId, iocb: *mut Iocb, result: *mut IoEvent) -> Result<()> {
    // SAFETY: the caller's promise.
    value(unsafe { entry::io_cancel(ctx, iocb, result) }).map(drop)
}

/// `int io_destroy(aio_context_t ctx)`: ends a context. Nobody can submit to it any more and who waits in
/// [`io_getevents`] returns; POLLs, waiting pipes and sockets and reads that were not started are
/// cancelled; accepted writes to files and fsyncs are performed; then it returns. No events are left to be
/// taken; eventfds count all the same.
///
/// [`EINVAL`](Errno::EINVAL): no such context, or another thread destroys it, which may still go on.
///
/// Blocks as long as the device needs for what was started; not interrupted by signals. After success nothing of this library or of the kernel touches
/// any buffer, iovec, file or eventfd of the context's requests. Source: `io_destroy(2)`.
///
/// # Safety
/// None beyond what [`io_submit`] asks for: after this call that promise is over.
pub unsafe fn io_destroy(ctx: ContextId) -> Result<()> {
    // SAFETY: the caller's promise.
    value(unsafe { entry::io_destroy(ctx) }).map(drop)
}
