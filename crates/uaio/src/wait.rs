//! io_getevents: taking events, and sleeping until there are enough (spec 3).

use crate::context::{Call, Context};
use crate::engine::kernel;
use crate::errno::{Errno, Result};
use crate::os::lock::SignalsHeld;
use crate::os::time::Deadline;
use crate::os::{file, futex};
use crate::ring;
use crate::service::Service;
use crate::timers;

/// What io_getevents and io_pgetevents ask for.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Return once so many are there.
    pub(crate) least: usize,
    /// Take no more than so many.
    pub(crate) most: usize,
    /// Where they go.
    pub(crate) events: usize,
    /// That is memory of this library's own, which can be written.
    pub(crate) ours: bool,
    /// `None`: one look.
    pub(crate) deadline: Option<Deadline>,
    /// io_pgetevents' signal mask.
    pub(crate) mask: Option<u64>,
    /// Whose threads may have to wake a sleeper.
    pub(crate) service: &'static Service,
}

impl Wanted {
    /// What is still missing when `got` are there.
    fn need(&self, got: usize) -> u32 {
        u32::try_from(self.least - got).unwrap_or(u32::MAX - 1)
    }
}

/// Collects events. A sleeper is not inside the call: io_destroy need not wait for it, and a thread that
/// never comes back (cancelled, or gone by longjmp) holds nothing.
pub(crate) fn collect(call: Call, wanted: &Wanted) -> Result<usize> {
    let context = call.0;
    let generation = context.generation();
    let mut call = Some(call);
    let mut got = 0;
    // Woken, but perhaps for a sleeper that needs fewer: what is there is taken only if it is enough.
    let mut woken = false;
    // Whether the program still has the ring.
    let mut looked = false;
    // A sleep with a mask is many: a signal that comes between two of them must end the next.
    let mut held = None;
    loop {
        // What was collected before the context went away counts.
        if call.is_none() {
            return if got > 0 { Ok(got) } else { Err(Errno::EINVAL) };
        }
        if let Some(call) = call.take_if(|_| context.lane.is_kernels()) {
            let place = (wanted.least, wanted.most, wanted.events);
            return kernel::go_on_collecting(call, place, wanted.deadline, wanted.mask);
        }
        if !woken || context.ring.in_ring() >= wanted.need(got) {
            match take(context, wanted, got) {
                Ok(more) => got += more,
                Err(_) if got > 0 => return Ok(got),
                Err(e) => return Err(e),
            }
            woken = false;
        }
        // Decision A6: who is answered at once is not asked whether the ring is still there.
        let idle = got == 0 || (got < wanted.least && wanted.deadline.is_some());
        if !looked && idle {
            looked = true;
            if !ring::is_readable(context.ring.user()) {
                return if got > 0 { Ok(got) } else { Err(Errno::EINVAL) };
            }
        }
        let Some(deadline) = wanted.deadline.filter(|_| got < wanted.least) else { break };
        let enough = if woken { wanted.need(got) } else { 1 };
        held = held.or_else(|| wanted.mask.map(|_| SignalsHeld::hold()));
        match sleep(context, wanted, got, enough, deadline, &mut call) {
            Ok(slept) => {
                woken = slept;
                call = call.or_else(|| context.enter_again(generation));
            }
            Err(e) => return last_look(context, generation, wanted, got, e),
        }
    }
    finish_with_mask(wanted, got)
}

fn take(context: &Context, wanted: &Wanted, got: usize) -> Result<usize> {
    let place = wanted.events.wrapping_add(got * size_of::<crate::abi::IoEvent>());
    // None: this is a signal handler inside its own thread's io_getevents.
    let taken = context.ring.take(wanted.most - got, place, wanted.ours).unwrap_or(Err(Errno::EINTR))?;
    if taken > 0 {
        context.wait_until_told();
        // An engine ends what it gets of a dead context, also while this thread is still inside: that is no result (decision A17).
        if context.is_dead() {
            return Err(Errno::EINVAL);
        }
    }
    Ok(taken)
}

/// The wait is over for another reason than events: what has come meanwhile is taken all the same.
fn last_look(
    context: &'static Context,
    generation: u32,
    wanted: &Wanted,
    got: usize,
    why: Errno,
) -> Result<usize> {
    let Some(_call) = context.enter_again(generation) else {
        return if got > 0 { Ok(got) } else { Err(Errno::EINVAL) };
    };
    let total = got + take(context, wanted, got).unwrap_or(0);
    match why {
        _ if total > 0 => Ok(total),
        Errno::ETIMEDOUT => finish_with_mask(wanted, 0),
        _ => Err(why),
    }
}

/// Gives signals that only io_pgetevents' mask lets through their chance, also when nothing was waited for.
fn finish_with_mask(wanted: &Wanted, got: usize) -> Result<usize> {
    let Some(mask) = &wanted.mask else { return Ok(got) };
    match file::sleep_masked(-1, Some(crate::abi::Timespec::default()), mask) {
        Err(Errno::EINTR) if got == 0 => Err(Errno::EINTR),
        _ => Ok(got),
    }
}

/// Sleeps until there may be what is needed, unless `enough` is there now. Ok: look again (true: it has slept);
/// ETIMEDOUT, EINTR. Leaves `call` when it does sleep.
fn sleep(
    context: &Context,
    wanted: &Wanted,
    got: usize,
    enough: u32,
    deadline: Deadline,
    call: &mut Option<Call>,
) -> Result<bool> {
    let need = wanted.need(got);
    let Some(mask) = &wanted.mask else {
        let Some(bed) = context.note_sleeper(need, enough, None)? else { return Ok(false) };
        *call = None;
        return match futex::wait(bed.word, bed.value, deadline) {
            Ok(()) | Err(Errno::EAGAIN) => Ok(true),
            Err(e) => Err(e),
        };
    };
    // No descriptor to be had: shorter sleeps instead.
    let timer = timers::borrow().unwrap_or(None);
    if let Some(timer) = timer.as_ref().filter(|timer| !timer.is_introduced()) {
        wanted.service.introduce(timer);
    }
    let index = timer.as_ref().map(|timer| timer.index());
    let Some(bed) = context.note_sleeper(need, enough, index)? else { return Ok(false) };
    *call = None;
    let slept = timers::sleep(timer.as_ref(), bed.placed, deadline, mask);
    index.inspect(|index| context.forget_timer(*index));
    slept.map(|()| true)
}
