//! The engine `kernel`: a real kernel context whose ring takes the place of ours, at the address that the program knows.
//!
//! An event of ours in its ring would be overwritten by the next completion, so every request of such a context goes to the
//! kernel, and every call but io_destroy: results, order and errors are the kernel's own. The kernel's io_destroy takes
//! some 30 ms; where nobody waits and nothing is in flight any more, ours parks the ring at another address instead
//! (`parking.rs`), for the next context or for a library thread that destroys it.

pub(crate) mod choice;
pub(crate) mod parking;

use crate::abi::{AioSigset, IoEvent, RingHeader, Timespec, nr};
use crate::context::{Call, Context, Wait};
use crate::counters;
use crate::errno::{Errno, Result};
use crate::os::lock::SignalsHeld;
use crate::os::raw::check;
use crate::os::time::Deadline;
use crate::os::{kernel_aio, probe};

use crate::table::{Awake, Table};

use parking::{Parked, Parking};

/// Events that are thrown away at once.
const DISCARDED: usize = 64;

/// How long io_destroy waits for the next completion before it takes what is in flight for POLLs, which only the kernel can end:
/// where O_DIRECT requests were the first, where nothing is known, and where POLLs or eventfds were among them.
pub(crate) const PATIENCE_WITH_FILES_NS: u32 = 50_000_000;
pub(crate) const PATIENCE_NS: u32 = 2_000_000;
pub(crate) const NO_PATIENCE_NS: u32 = 0;

/// Lays a kernel context under `context`, of which nothing is in flight.
///
/// EAGAIN (the host's quota), ENOSYS, EPERM, ENOMEM of the kernel's io_setup; EINVAL: the program has done something to
/// the mapping.
pub(crate) fn adopt(parking: &'static Parking, context: &'static Context, patience_ns: u32) -> Result<()> {
    let (ring, bytes) = (&context.ring, context.ring.bytes());
    // This thread may be a signal handler that interrupted itself on its way to sleep for events of ours: it would not be woken.
    if ring.producer.acquire().is_none() || !ring.is_whole() {
        return Err(Errno::EINVAL);
    }
    let found = parking.take(ring.nr());
    let parked = found.map_or_else(|| set_up(context), Ok)?;
    // SAFETY: the program's mapping of our ring is whole, and a kernel context's ring of the same size takes its place.
    if let Err(why) = unsafe { kernel_aio::move_ring(parked.at, bytes, ring.user()) } {
        kernel_aio::destroy(parked.at);
        return Err(why);
    }
    context.give_to_kernel(parked.id, parked.tail, patience_ns);
    Ok(())
}

/// A kernel context of the size of `context`, somewhere.
fn set_up(context: &Context) -> Result<Parked> {
    let at = kernel_aio::set_up(context.nr_events.load(core::sync::atomic::Ordering::Relaxed))?;
    let parked = Parked::at(at);
    if parked.nr != context.ring.nr() {
        // Another kernel's idea of how large a ring is.
        kernel_aio::destroy(at);
        return Err(Errno::ENOSYS);
    }
    Ok(parked)
}

/// io_submit.
///
/// # Safety
/// As io_submit.
pub(crate) unsafe fn submit(call: &Call, count: usize, iocbpp: usize) -> Result<usize> {
    let context = call.0;
    // SAFETY: the caller's promise.
    let accepted =
        check(unsafe { kernel_aio::call(nr::IO_SUBMIT, [context.ring.user(), count, iocbpp, 0, 0, 0]) })?;
    context.lane.count_accepted(accepted as u64);
    counters::count_kernels(accepted as u64);
    Ok(accepted)
}

/// io_getevents or io_pgetevents, `number`, with the caller's own arguments after the context.
///
/// # Safety
/// As the call.
#[allow(clippy::needless_pass_by_value)]
pub(crate) unsafe fn collect(
    wait: Wait,
    number: usize,
    [min, max, events, timeout, mask]: [usize; 5],
) -> Result<usize> {
    // SAFETY: the caller's promise.
    let taken = check(unsafe { kernel_aio::call(number, [wait.address(), min, max, events, timeout, mask]) });
    counters::count_taken_of_kernels(taken.unwrap_or(0) as u64);
    taken
}

/// As [`collect`], for a thread that has slept here before the kernel got the context.
pub(crate) fn go_on_collecting(
    call: Call,
    (least, most, events): (usize, usize, usize),
    deadline: Option<Deadline>,
    mask: Option<u64>,
) -> Result<usize> {
    let wait = Wait::begin(call.0, call.0.ring.user()).ok_or(Errno::EINVAL)?;
    drop(call);
    let left = match deadline {
        Some(deadline) => deadline.remaining(),
        None => Some(Timespec::default()),
    };
    let timeout = left.as_ref().map_or(0, |left| core::ptr::from_ref(left) as usize);
    let set = mask.as_ref().map(|mask| AioSigset { sigmask: core::ptr::from_ref(mask) as usize, sigsetsize: 8 });
    let set = set.as_ref().map_or(0, |set| core::ptr::from_ref(set) as usize);
    let number = if mask.is_some() { nr::IO_PGETEVENTS } else { nr::IO_GETEVENTS };
    // SAFETY: the time and the mask live here; the events are the program's.
    unsafe { collect(wait, number, [least, most, events, timeout, set]) }
}

/// io_cancel.
pub(crate) fn cancel(call: &Call, iocb: usize, result: usize) -> Result<()> {
    // SAFETY: any numbers are valid arguments of the kernel's.
    check(unsafe { kernel_aio::call(nr::IO_CANCEL, [call.0.ring.user(), iocb, result, 0, 0, 0]) }).map(drop)
}

/// Ends what is in flight for a dead context. Afterwards nothing of it touches the program's memory.
pub(crate) fn end(table: &Table, parking: &'static Parking, context: &Context, awake: Awake) {
    let (at, bytes) = (context.ring.user(), context.ring.bytes());
    let (parked, kept) = table.alone(|| {
        // What lies there from now on is somebody else's.
        context.ring.set_user(0);
        let parked = park(at, bytes);
        // A thread on its way to io_submit has this name: no other kernel context gets it meanwhile, whose requests that
        // thread would count as this one's.
        let kept = awake == Awake::Perhaps && parked.is_some() && kernel_aio::reserve_at(at, bytes);
        (parked, kept)
    });
    match parked {
        // Unless the program has written to the header: the kernel does not believe it either.
        Some(parked)
            if parked.nr == context.ring.nr() && awake == Awake::Yes && come_to_rest(&parked, context) =>
        {
            parking.keep(parked.at);
        }
        // A sleeper, a POLL, or an eventfd: only the kernel can end them, or see that they are told.
        Some(parked) => kernel_aio::destroy(parked.at),
        None => kernel_aio::destroy(at),
    }
    if kept {
        context.wait_until_unused();
        kernel_aio::unreserve(at, bytes);
    }
}

/// Takes the ring away from the program: from now on only this library knows the kernel context's name.
///
/// None: the program has cut or protected it, or there is no telling.
fn park(at: usize, bytes: usize) -> Option<Parked> {
    if !kernel_aio::is_one_mapping(at, bytes) || !probe::writable(at, size_of::<RingHeader>()) {
        return None;
    }
    let place = kernel_aio::reserve(bytes).ok()?;
    // SAFETY: `place` was reserved for this a moment ago, and nobody else knows it.
    match unsafe { kernel_aio::move_ring(at, bytes, place) } {
        Ok(()) => Some(Parked::at(place)),
        Err(_) => {
            kernel_aio::unreserve(place, bytes);
            None
        }
    }
}

/// Waits for what is in flight. False: something does not end, or its end is not to be seen.
fn come_to_rest(parked: &Parked, context: &Context) -> bool {
    // No signal of the program's ends this: io_destroy is not interruptible.
    let _held = SignalsHeld::hold();
    let lane = &context.lane;
    let mut events = [IoEvent::default(); DISCARDED];
    loop {
        // Also what the program had not reaped.
        parked.discard();
        let flying = parked.in_flight(lane.accepted());
        if flying == 0 {
            return true;
        }
        if lane.patience_ns() == u64::from(NO_PATIENCE_NS) {
            return false;
        }
        let wanted = flying.min(DISCARDED as u32) as usize;
        if kernel_aio::wait(parked.at, wanted, &mut events, lane.patience_ns()) == 0 {
            return parked.in_flight(lane.accepted()) == 0;
        }
    }
}
