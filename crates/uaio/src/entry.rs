//! The six calls, with raw results: a value, or a negated errno. Every front end ends here.
//!
//! None of them touches libc's errno. All may be called from any thread, from several at once on one
//! context, and from signal handlers. With `UAIO_ENGINE=off` they are the kernel's.

use core::sync::atomic::Ordering::Relaxed;

use crate::abi::{ContextId, IoEvent, Iocb, nr};
use crate::context::{Call, Context};
use crate::counters;
use crate::engine::scripted::Scripted;
use crate::engine::{Engine, kernel};
use crate::errno::{Errno, Result};
use crate::os::probe::Pages;
use crate::os::{kernel_aio, probe};
use crate::process::{self, Process};
use crate::slot::{Slot, State};
use crate::stats::{EngineId, Stats};
use crate::submit::Submission;
use crate::table::Awake;

pub(crate) mod own;
mod reap;

pub use reap::{io_getevents, io_pgetevents, ring_is_empty};

/// The counters of this very process: a forked child has none before its own first io_setup.
fn stats() -> Option<&'static Stats> {
    process::get().and_then(|_| counters::stats())
}

/// The raw form of a result; errors are counted.
fn raw(result: Result<usize>) -> isize {
    match result {
        Ok(value) => value as isize,
        Err(e) => {
            if let Some(stats) = stats() {
                stats.call_error(e.code());
            }
            e.negated()
        }
    }
}

/// `io_setup(2)`: makes a context for at least `nr_events` requests and stores its address to `*ctxp`.
///
/// 0, or: EFAULT (`ctxp`), EINVAL (`*ctxp` is not 0, `nr_events` is 0 or over 4194304), EAGAIN (the quota
/// `UAIO_MAX_NR` is used up), ENOMEM, ENOSYS (a forced engine is not available here). Spec 1.
///
/// # Safety
/// `ctxp` may be any address; what is there is overwritten.
pub unsafe extern "C" fn io_setup(nr_events: u32, ctxp: *mut ContextId) -> isize {
    if process::is_off() {
        // SAFETY: the caller's call.
        return unsafe { kernel_aio::call(nr::IO_SETUP, [nr_events as usize, ctxp as usize, 0, 0, 0, 0]) };
    }
    // SAFETY: the caller's promise.
    let result = unsafe { set_up(nr_events, ctxp) };
    if let Some(stats) = stats() {
        let counter = if result.is_ok() { &stats.setups } else { &stats.setup_failures };
        counter.fetch_add(1, Relaxed);
    }
    raw(result)
}

/// # Safety
/// As [`io_setup`].
unsafe fn set_up(nr_events: u32, ctxp: *mut ContextId) -> Result<usize> {
    if !probe::readable(ctxp as usize, size_of::<ContextId>()) {
        return Err(Errno::EFAULT);
    }
    // SAFETY: readable a moment ago.
    if unsafe { ctxp.read_unaligned() } != 0 || nr_events == 0 {
        return Err(Errno::EINVAL);
    }
    let process = process::get_or_make()?;
    process.check_engine()?;
    let (address, call) = set_up_for(process, nr_events, |context| process.offer_to_kernel(context))?;
    if !probe::writable(ctxp as usize, size_of::<ContextId>()) {
        let _ = end(process, call);
        return Err(Errno::EFAULT);
    }
    // SAFETY: writable a moment ago.
    unsafe { ctxp.write_unaligned(address) };
    Ok(0)
}

fn set_up_for(
    process: &'static Process,
    nr_events: u32,
    furnish: impl FnOnce(&'static Context) -> Result<()>,
) -> Result<(usize, Call)> {
    let (address, call) = process.table.set_up(nr_events, furnish)?;
    if let Some(script) = &process.script {
        script.born(call.0.id.load(Relaxed));
    }
    Ok((address, call))
}

/// io_setup for the Rust API: with an engine of the context's own, or a script, and reads that io_cancel can end.
///
/// # Safety
/// The script stays where it is until io_destroy of the context has returned.
pub(crate) unsafe fn set_up_wishing(
    nr_events: u32,
    engine: Option<EngineId>,
    script: Option<&Scripted>,
) -> Result<ContextId> {
    if nr_events == 0 {
        return Err(Errno::EINVAL);
    }
    let process = process::get_or_make()?;
    match engine {
        Some(EngineId::Uring) if !crate::os::kernel_uring::allowed() => return Err(Errno::ENOSYS),
        Some(_) => {}
        None => process.check_engine()?,
    }
    let (address, _) = set_up_for(process, nr_events, |context| {
        context.wish(engine);
        if let Some(script) = script {
            // SAFETY: the caller's promise.
            unsafe { context.follow(script) };
        }
        Ok(())
    })?;
    if let Some(stats) = stats() {
        stats.setups.fetch_add(1, Relaxed);
    }
    Ok(address)
}

/// What io_destroy cancels, with the context left alive: polls, waiting streams, reads not started.
pub(crate) fn cancel_all(ctx: ContextId) -> Result<()> {
    let process = process::get().ok_or(Errno::EINVAL)?;
    let call = process.table.find(ctx)?;
    if call.0.busy() {
        let service = process.service_of(call.0);
        let _hold = service.hold();
        (&service).cancel_all(call.0);
    }
    Ok(())
}

/// Whether `ctx` is the kernel's: everything is with `UAIO_ENGINE=off`, but contexts that name their engine.
fn is_kernels(ctx: ContextId) -> bool {
    process::is_off() && process::get().is_none_or(|process| process.table.find(ctx).is_err())
}

/// `io_destroy(2)`: cancels what can be cancelled, waits for the rest, then lets go.
///
/// 0, or EINVAL (no such context, or another thread destroys it). After 0 nothing of ours touches any
/// buffer, iovec, file or eventfd of its requests. Not interrupted by signals. Spec 5.
///
/// # Safety
/// `ctx` may be any number.
pub unsafe extern "C" fn io_destroy(ctx: ContextId) -> isize {
    if is_kernels(ctx) {
        // SAFETY: the caller's call.
        return unsafe { kernel_aio::call(nr::IO_DESTROY, [ctx, 0, 0, 0, 0, 0]) };
    }
    let result = destroy(ctx);
    if result.is_ok()
        && let Some(stats) = stats()
    {
        stats.destroys.fetch_add(1, Relaxed);
    }
    raw(result)
}

fn destroy(ctx: ContextId) -> Result<usize> {
    let process = process::get().ok_or(Errno::EINVAL)?;
    end(process, process.table.find(ctx)?)
}

/// io_destroy of the context in `call`.
fn end(process: &'static Process, call: Call) -> Result<usize> {
    kernel::choice::close(&process.parking, call.0);
    let end_requests = |context: &'static Context, awake: Awake| {
        if context.lane.is_kernels() {
            return kernel::end(&process.table, &process.parking, context, awake);
        }
        let service = process.service_of(context);
        let _hold = service.hold();
        (&service).cancel_all(context);
        context.wait_until_idle();
    };
    process.table.destroy(call, end_requests).map(|()| 0)
}

/// `io_submit(2)`: accepts up to `nr` requests, in order, until one is refused.
///
/// The number accepted, or why the first was refused: EINVAL (`ctx`, `nr` < 0, the request), EFAULT,
/// EAGAIN (no room), EBADF, EOPNOTSUPP, EPERM, ENOMEM. Spec 2 lists the checks in their order.
///
/// # Safety
/// What the requests name must stay valid until their events; the iocbs, the iovec arrays and the
/// descriptors are free when this returns.
pub unsafe extern "C" fn io_submit(ctx: ContextId, nr: isize, iocbpp: *const *mut Iocb) -> isize {
    if is_kernels(ctx) {
        // SAFETY: the caller's call.
        return unsafe { kernel_aio::call(nr::IO_SUBMIT, [ctx, nr as usize, iocbpp as usize, 0, 0, 0]) };
    }
    // SAFETY: the caller's promise.
    raw(unsafe { timed_submit(ctx, nr, iocbpp as usize, Pages::new()) })
}

/// # Safety
/// As [`io_submit`].
unsafe fn timed_submit(ctx: ContextId, nr: isize, iocbpp: usize, pages: Pages) -> Result<usize> {
    let started = counters::clock_ns();
    // SAFETY: the caller's promise.
    let result = unsafe { submit(ctx, nr, iocbpp, pages) };
    if let Some(stats) = stats().filter(|_| started != 0) {
        stats.submit_ns.record(crate::os::time::now_ns() - started);
    }
    result
}

/// # Safety
/// As [`io_submit`].
unsafe fn submit(ctx: ContextId, nr: isize, iocbpp: usize, pages: Pages) -> Result<usize> {
    let asked = usize::try_from(nr).map_err(|_| Errno::EINVAL)?;
    let process = process::get().ok_or(Errno::EINVAL)?;
    let call = process.table.find(ctx)?;
    if call.0.lane.is_open() && asked > 0 {
        kernel::choice::decide(&process.parking, call.0, asked, iocbpp);
    }
    let nr = asked.min(call.0.ring.nr() as usize);
    let result = if call.0.lane.is_kernels() {
        // SAFETY: the caller's promise.
        unsafe { kernel::submit(&call, asked, iocbpp) }
    } else {
        // SAFETY: the caller's promise.
        unsafe { Submission::new(process, call.0, pages).run(nr, iocbpp) }
    };
    count_submit(call.0, nr, result);
    result
}

fn count_submit(context: &crate::context::Context, nr: usize, result: Result<usize>) {
    let Some(stats) = stats() else { return };
    stats.submits.fetch_add(1, Relaxed);
    let short = match result {
        Ok(accepted) => accepted < nr,
        Err(e) => e == Errno::EAGAIN,
    };
    if short {
        stats.short_submits.fetch_add(1, Relaxed);
    }
    if short || context.short.load(Relaxed) != 0 {
        let before = context.short.swap(u32::from(short), Relaxed);
        stats.short_pending.fetch_add(u64::from(short), Relaxed);
        stats.short_pending.fetch_sub(u64::from(before), Relaxed);
    }
}

/// `io_cancel(2)`: asks for the end of the POLL that was submitted with `iocb`; with `UAIO_CANCEL=extended`, of
/// whatever was.
///
/// EINPROGRESS: its event comes through the ring, with res 0 if it is a POLL; else with -ECANCELED, or with what has
/// become of it if that was too late. EFAULT (`iocb` cannot be read), EINVAL (no such context or request, or one that
/// cannot be cancelled). `result` is not used. Spec 4.
///
/// # Safety
/// All arguments may be any numbers.
pub unsafe extern "C" fn io_cancel(ctx: ContextId, iocb: *mut Iocb, result: *mut IoEvent) -> isize {
    if is_kernels(ctx) {
        // SAFETY: the caller's call.
        return unsafe { kernel_aio::call(nr::IO_CANCEL, [ctx, iocb as usize, result as usize, 0, 0, 0]) };
    }
    if let Some(stats) = stats() {
        stats.cancels.fetch_add(1, Relaxed);
    }
    raw(cancel(ctx, iocb as usize, result as usize).map(|()| 0))
}

fn cancel(ctx: ContextId, iocb: usize, result: usize) -> Result<()> {
    let key = iocb.wrapping_add(core::mem::offset_of!(Iocb, key));
    if !probe::readable(key, 4) {
        return Err(Errno::EFAULT);
    }
    // SAFETY: readable a moment ago.
    if unsafe { (key as *const u32).read_unaligned() } != 0 {
        return Err(Errno::EINVAL);
    }
    let process = process::get().ok_or(Errno::EINVAL)?;
    let call = process.table.find(ctx)?;
    if call.0.lane.is_kernels() {
        return kernel::cancel(&call, iocb, result);
    }
    process.table.look_at_ring(&call)?;
    let any = process.config.cancel_extended || call.0.cancels_any();
    // The word is read first: if the slot is another request's by the time of the second look, marking fails. It
    // fails too when the request has just reached its engine: then it is looked for again.
    let live = |slot: &'static Slot| {
        let word = slot.word();
        let waits = matches!(State::of(word), State::Sent | State::Taken);
        (waits && slot.is_named(iocb as u64, any)).then_some((slot, word))
    };
    let oldest = || call.0.slots.used().filter_map(live).min_by_key(|(_, word)| *word).ok_or(Errno::EINVAL);
    oldest()?;
    // There is a request with an engine: this starts nothing.
    let service = process.service_of(call.0);
    let _hold = service.hold();
    // What cannot be told to the engine must not be announced.
    if !service.is_reachable() {
        return Err(Errno::EINVAL);
    }
    let (slot, word) = loop {
        let (slot, word) = oldest()?;
        if slot.mark_cancelled(word) {
            break (slot, word);
        }
    };
    (&service).cancel_one(slot, word >> 2);
    Err(Errno::EINPROGRESS)
}

/// Performs what was accepted and must not be lost: waits for queued writes and fsyncs. For the front ends,
/// before the process ends or executes another program.
pub extern "C" fn drain() {
    if let Some(process) = process::get() {
        process.services().iter().for_each(|service| service.drain());
    }
}

/// What `/proc/sys/fs/aio-max-nr` says to this process, in requests.
#[must_use]
pub fn aio_max_nr() -> u64 {
    match process::get() {
        Some(process) => process.table.max_nr(),
        None => crate::config::Config::read().max_nr,
    }
}

/// What `/proc/sys/fs/aio-nr` says to this process, in requests.
#[must_use]
pub fn aio_nr() -> u64 {
    process::get().map_or(0, |process| process.table.nr())
}

/// Whether `UAIO_ENGINE` is `off`: everything is the kernel's.
#[must_use]
pub fn is_off() -> bool {
    process::is_off()
}

/// Whether `len` bytes at `address` can be read now. For front ends that must look at a program's pointers.
#[must_use]
pub fn is_readable(address: usize, len: usize) -> bool {
    probe::readable(address, len)
}
