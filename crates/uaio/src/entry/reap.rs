//! io_getevents and io_pgetevents: their arguments, in the kernel's order.

use core::sync::atomic::Ordering::Relaxed;

use super::{is_kernels, raw, stats};
use crate::abi::{AioSigset, ContextId, IoEvent, RING_MAGIC, RingHeader, Timespec, nr};
use crate::context::Wait;
use crate::engine::kernel;
use crate::errno::{Errno, Result};
use crate::os::time::Deadline;
use crate::os::{kernel_aio, probe};
use crate::process;
use crate::wait::{self, Wanted};

/// `io_getevents(2)`: takes up to `nr` events, waiting for `min_nr` until `timeout` has passed.
///
/// The number taken, or: EFAULT (`timeout`, `events`), EINVAL (`ctx`, `min_nr` < 0 or > `nr`; the context
/// was destroyed), EINTR (a signal handler ran and nothing was taken). Spec 3.
///
/// # Safety
/// `events` has room for `nr` events, or is an address that cannot be written.
pub unsafe extern "C" fn io_getevents(
    ctx: ContextId,
    min_nr: isize,
    nr: isize,
    events: *mut IoEvent,
    timeout: *const Timespec,
) -> isize {
    if is_kernels(ctx) {
        let args = [ctx, min_nr as usize, nr as usize, events as usize, timeout as usize, 0];
        // SAFETY: the caller's call.
        return unsafe { kernel_aio::call(nr::IO_GETEVENTS, args) };
    }
    count_getevents();
    if let Some(wait) = kernels(ctx) {
        let args = [min_nr as usize, nr as usize, events as usize, timeout as usize, 0];
        // SAFETY: the caller's call.
        return raw(unsafe { kernel::collect(wait, nr::IO_GETEVENTS, args) });
    }
    raw(timeout_of(timeout).and_then(|time| collect(ctx, min_nr, nr, events, time, None)))
}

/// `io_pgetevents(2)`: as [`io_getevents`], with another signal mask while it runs.
///
/// Also EFAULT (`sigset` or the mask), EINVAL (a mask whose size is not 8).
///
/// # Safety
/// As [`io_getevents`]; `sigset` may be any address.
pub unsafe extern "C" fn io_pgetevents(
    ctx: ContextId,
    min_nr: isize,
    nr: isize,
    events: *mut IoEvent,
    timeout: *const Timespec,
    sigset: *const AioSigset,
) -> isize {
    if is_kernels(ctx) {
        let args = [ctx, min_nr as usize, nr as usize, events as usize, timeout as usize, sigset as usize];
        // SAFETY: the caller's call.
        return unsafe { kernel_aio::call(nr::IO_PGETEVENTS, args) };
    }
    count_getevents();
    if let Some(wait) = kernels(ctx) {
        let args = [min_nr as usize, nr as usize, events as usize, timeout as usize, sigset as usize];
        // SAFETY: the caller's call.
        return raw(unsafe { kernel::collect(wait, nr::IO_PGETEVENTS, args) });
    }
    let checked = timeout_of(timeout).and_then(|time| mask_of(sigset).map(|mask| (time, mask)));
    raw(checked.and_then(|(time, mask)| collect(ctx, min_nr, nr, events, time, mask)))
}

/// A wait in the kernel, if `ctx` is a kernel context's.
fn kernels(ctx: ContextId) -> Option<Wait> {
    Wait::begin(process::get()?.table.peek(ctx)?, ctx)
}

pub(super) fn count_getevents() {
    if let Some(stats) = stats() {
        stats.getevents.fetch_add(1, Relaxed);
    }
}

fn timeout_of(timeout: *const Timespec) -> Result<Option<Timespec>> {
    if timeout.is_null() {
        return Ok(None);
    }
    if !probe::readable(timeout as usize, size_of::<Timespec>()) {
        return Err(Errno::EFAULT);
    }
    // SAFETY: readable a moment ago.
    Ok(Some(unsafe { timeout.read_unaligned() }))
}

fn mask_of(sigset: *const AioSigset) -> Result<Option<u64>> {
    if sigset.is_null() {
        return Ok(None);
    }
    if !probe::readable(sigset as usize, size_of::<AioSigset>()) {
        return Err(Errno::EFAULT);
    }
    // SAFETY: readable a moment ago.
    let set = unsafe { sigset.read_unaligned() };
    if set.sigmask == 0 {
        return Ok(None);
    }
    if set.sigsetsize != 8 {
        return Err(Errno::EINVAL);
    }
    if !probe::readable(set.sigmask, 8) {
        return Err(Errno::EFAULT);
    }
    // SAFETY: readable a moment ago.
    Ok(Some(unsafe { (set.sigmask as *const u64).read_unaligned() }))
}

fn collect(
    ctx: ContextId,
    min_nr: isize,
    nr: isize,
    events: *mut IoEvent,
    timeout: Option<Timespec>,
    mask: Option<u64>,
) -> Result<usize> {
    let process = process::get().ok_or(Errno::EINVAL)?;
    let call = process.table.find_to_reap(ctx)?;
    if min_nr < 0 || min_nr > nr {
        return Err(Errno::EINVAL);
    }
    let (least, most, deadline) = (min_nr as usize, nr as usize, deadline(timeout));
    let wanted =
        Wanted { least, most, events: events as usize, ours: false, deadline, mask, service: &process.service };
    wait::collect(call, &wanted)
}

/// None: one look.
pub(super) fn deadline(timeout: Option<Timespec>) -> Option<Deadline> {
    match timeout {
        Some(Timespec { sec: 0, nsec: 0 }) => None,
        Some(time) => Some(Deadline::from_timeout(time)),
        None => Some(Deadline::NEVER),
    }
}

/// libaio's short cut: 1 when `timeout` is {0, 0} and the ring at `ctx` is empty, so that io_getevents may return
/// 0 without looking at its other arguments. Also true of a ring that a forked child has inherited.
///
/// # Safety
/// Both may be any addresses.
pub unsafe extern "C" fn ring_is_empty(ctx: ContextId, timeout: *const Timespec) -> core::ffi::c_int {
    if timeout.is_null()
        || ctx == 0
        || !ctx.is_multiple_of(8)
        || timeout_of(timeout) != Ok(Some(Timespec::default()))
    {
        return 0;
    }
    // The ring of a kernel context is unmapped by io_destroy, in whatever thread: the call itself tells.
    let known = process::get().and_then(|process| process.table.peek(ctx));
    if known.is_some_and(|context| context.lane.is_kernels()) || !probe::readable(ctx, size_of::<RingHeader>()) {
        return 0;
    }
    // SAFETY: readable a moment ago; the program and the producer may write to it meanwhile.
    let header = unsafe { (ctx as *const RingHeader).read_volatile() };
    core::ffi::c_int::from(header.magic == RING_MAGIC && header.head == header.tail)
}
