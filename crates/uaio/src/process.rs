//! Everything that belongs to one process, behind one pointer that a fork wipes.
//!
//! A forked child finds no state: its parent's contexts are EINVAL to it, it touches no inherited lock, ring
//! or descriptor, and its own first io_setup makes a new state. What it inherited is left alone. A
//! CLONE_VM child shares the memory, and so the contexts, as with the kernel.

use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU8, Ordering};

use crate::config::{self, Choice, Config};
use crate::context::Context;
use crate::counters;
use crate::engine::kernel;
use crate::engine::kernel::parking::Parking;
use crate::engine::scripted::Scripted;
use crate::errno::{Errno, Result};
use crate::os::{mem, thread};
use crate::service::Service;
use crate::stats::EngineId;
use crate::table::Table;
use crate::timers;

/// The state of a process. Never unmapped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) config: Config,
    /// With the engine `scripted`: for contexts that name no engine.
    pub(crate) script: Option<Scripted>,
    pub(crate) table: Table,
    pub(crate) service: Service,
    /// The other kind of library thread, for contexts of the Rust API that name their engine.
    other: Service,
    pub(crate) parking: Parking,
    timers: timers::Timers,
}

/// The page that a fork wipes.
struct Anchor {
    process: AtomicPtr<Process>,
    /// Where the kernel cannot wipe: the process that wrote `process`; else 0.
    pid: AtomicI32,
}

/// Set once, and inherited: a child has the page too, but finds it zeroed.
static ANCHOR: AtomicPtr<Anchor> = AtomicPtr::new(core::ptr::null_mut());

/// Whether everything goes to the kernel: 0 not known yet, 1 no, 2 yes.
static OFF: AtomicU8 = AtomicU8::new(0);

/// Whether `UAIO_ENGINE` is `off`.
pub(crate) fn is_off() -> bool {
    // Relaxed: the value is all there is, and every thread computes the same.
    match OFF.load(Ordering::Relaxed) {
        0 => {
            let off = Config::read().choice == Choice::Off;
            OFF.store(1 + u8::from(off), Ordering::Relaxed);
            off
        }
        known => known == 2,
    }
}

/// The state of this process, if it has one.
#[inline]
pub(crate) fn get() -> Option<&'static Process> {
    // Acquire, twice: pair with the Releases in `anchor` and `get_or_make`.
    // SAFETY: null, or a page that stays.
    let anchor = unsafe { ANCHOR.load(Ordering::Acquire).as_ref() }?;
    let pid = anchor.pid.load(Ordering::Relaxed);
    if pid != 0 && pid != thread::pid() {
        return None;
    }
    // SAFETY: null, or a state that stays.
    unsafe { anchor.process.load(Ordering::Acquire).as_ref() }
}

/// The state of this process. ENOMEM.
pub(crate) fn get_or_make() -> Result<&'static Process> {
    if let Some(process) = get() {
        return Ok(process);
    }
    let anchor = anchor()?;
    let made = make()?;
    let inherited = anchor.process.load(Ordering::Relaxed);
    let stale = if anchor.pid.load(Ordering::Relaxed) == 0 { core::ptr::null_mut() } else { inherited };
    // AcqRel: one winner, whose state the losers use. A loser leaves its own behind, untouched memory.
    match anchor.process.compare_exchange(stale, made, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            if anchor.pid.load(Ordering::Relaxed) != 0 {
                anchor.pid.store(thread::pid(), Ordering::Relaxed);
            }
            // SAFETY: made a moment ago, never unmapped.
            let process = unsafe { &*made };
            process.announce();
            Ok(process)
        }
        // SAFETY: the winner's state, never unmapped.
        Err(winner) => Ok(unsafe { &*winner }),
    }
}

fn anchor() -> Result<&'static Anchor> {
    let known = ANCHOR.load(Ordering::Acquire);
    if !known.is_null() {
        // SAFETY: a page that stays.
        return Ok(unsafe { &*known });
    }
    let page: *mut Anchor = mem::map_private(4096)?.cast();
    // SAFETY: zeroed memory is a valid anchor; the page stays, or is unmapped below before anybody sees it.
    let anchor = unsafe { &*page };
    if mem::wipe_on_fork(page.cast(), 4096).is_err() {
        anchor.pid.store(thread::pid(), Ordering::Relaxed);
    }
    // AcqRel: pairs with the Acquire in `get`.
    match ANCHOR.compare_exchange(core::ptr::null_mut(), page, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Ok(anchor),
        Err(winner) => {
            mem::unmap(page as usize, 4096);
            // SAFETY: a page that stays.
            Ok(unsafe { &*winner })
        }
    }
}

fn make() -> Result<*mut Process> {
    let config = Config::read();
    let script = match config.choice {
        Choice::Forced(EngineId::Scripted) => {
            // A script that cannot be read is an engine that is not available; `uaio run` says what is wrong with it.
            let (script, log) = config::script().ok_or(Errno::ENOSYS)?;
            Some(Scripted::new(script, log)?)
        }
        _ => None,
    };
    let place: *mut Process = mem::map_private(size_of::<Process>())?.cast();
    let (table, service, timers) = (Table::default(), Service::default(), timers::Timers::default());
    let (other, parking) = (Service::default(), Parking::default());
    // SAFETY: the mapping has room for a state and nobody else knows it.
    unsafe { place.write(Process { config, script, table, service, other, parking, timers }) };
    // SAFETY: written a line above.
    let process = unsafe { &*place };
    process.table.open(&config, thread::possible_cpus())?;
    process.service.configure(&config, thread::pid());
    process.other.configure_as_other(&process.service);
    process.parking.configure(thread::pid());
    Ok(place)
}

impl Process {
    /// The state is in force.
    fn announce(&'static self) {
        timers::open(&self.timers);
        let asked = match self.config.choice {
            Choice::Auto => 0,
            Choice::Forced(engine) => 1 + engine as u32,
            Choice::Off => 255,
        };
        counters::open(&self.config, thread::pid(), asked);
    }

    /// The library threads of `context`.
    pub(crate) fn service_of(&self, context: &Context) -> &Service {
        let fits = |service: &Service| {
            let kind = service.forced_kind();
            let scripted = kind == EngineId::Threads && context.wants(EngineId::Scripted);
            !context.has_wish() || context.wants(kind) || scripted
        };
        if fits(&self.service) || !fits(&self.other) { &self.service } else { &self.other }
    }

    /// The kernel may have `context`, of which nobody knows yet: with `auto`, its first requests decide; forced, at once.
    ///
    /// EAGAIN, ENOSYS, EPERM, ENOMEM: as the kernel's io_setup.
    pub(crate) fn offer_to_kernel(&'static self, context: &'static Context) -> Result<()> {
        match self.config.choice {
            Choice::Forced(EngineId::Kernel) => return kernel::adopt(&self.parking, context, kernel::PATIENCE_NS),
            // What the kernel executes is not timed, and not cancelled.
            Choice::Auto if !self.config.cancel_extended && !counters::are_timed() => context.lane.open(),
            _ => {}
        }
        Ok(())
    }

    /// The script that `context` follows. The caller is inside a call with it. One that names its engine does not follow
    /// the process's.
    pub(crate) fn script_of(&'static self, context: &Context) -> Option<&'static Scripted> {
        if context.has_wish() { context.script() } else { self.script.as_ref() }
    }

    /// All library threads.
    pub(crate) fn services(&self) -> [&Service; 2] {
        [&self.service, &self.other]
    }

    /// ENOSYS when an engine is forced that this place does not have.
    pub(crate) fn check_engine(&self) -> Result<()> {
        match self.config.choice {
            Choice::Forced(EngineId::Uring) if !crate::os::kernel_uring::allowed() => Err(Errno::ENOSYS),
            _ => Ok(()),
        }
    }
}
