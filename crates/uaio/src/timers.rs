//! Descriptors that io_pgetevents sleeps on.
//!
//! Changing the signal mask and falling asleep must be one step, and no futex call does that: ppoll does,
//! on a descriptor. It is a timer, because setting a timer is harmless when the program has closed the
//! number and uses it for something else. There are few, close-on-exec, kept for re-use, with numbers out
//! of the program's way. Library threads have a descriptor table of their own, so each timer is introduced
//! there too (`Service::introduce`); a wake-up that comes before the introduction is owed until then.

use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};

use crate::abi::Timespec;
use crate::errno::{Errno, Result};
use crate::os::{file, thread, time};

/// Timers, and so threads that sleep with a mask and are woken at once.
const TIMERS: usize = 16;
/// The highest number that costs nothing: a higher one would make every fork copy a larger table.
const HIGH: u64 = 1000;
/// How long a sleeper sleeps in one go that nobody can wake.
const LOOK_AGAIN_NS: i64 = 10_000_000;

/// `fd + 1`, or 0.
#[derive(Debug, Default)]
struct Entry {
    program: AtomicI32,
    library: AtomicI32,
    /// 1: fired by a library thread that could not reach it yet.
    owed: AtomicU32,
    /// 1: somebody sleeps on it, or is about to.
    borrowed: AtomicU32,
}

/// All timers. Part of the process's state, for a forked child shares its parent's and must not touch them.
#[derive(Debug, Default)]
pub(crate) struct Timers([Entry; TIMERS]);

static CURRENT: AtomicPtr<Timers> = AtomicPtr::new(core::ptr::null_mut());

/// Makes `timers` those of this process.
pub(crate) fn open(timers: &'static Timers) {
    // Release: pairs with the Acquire in `entries`.
    CURRENT.store(core::ptr::from_ref(timers).cast_mut(), Ordering::Release);
}

fn entries() -> &'static [Entry] {
    // SAFETY: null, or what `open` was given, which stays.
    unsafe { CURRENT.load(Ordering::Acquire).as_ref() }.map_or(&[], |timers| &timers.0)
}

/// Whose descriptor table the running thread has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Program,
    Library,
}

/// Wakes who sleeps on timer `index`.
pub(crate) fn fire(index: usize, side: Side) {
    let Some(entry) = entries().get(index) else { return };
    if side == Side::Program {
        return fire_fd(&entry.program);
    }
    // SeqCst, here and in `introduced`: one of the two sees the other's store.
    entry.owed.store(1, Ordering::SeqCst);
    if entry.library.load(Ordering::SeqCst) != 0 && entry.owed.swap(0, Ordering::SeqCst) == 1 {
        fire_fd(&entry.library);
    }
}

fn fire_fd(place: &AtomicI32) {
    let fd = place.load(Ordering::Relaxed) - 1;
    if fd >= 0 {
        time::timer_fire(fd);
    }
}

/// A library thread has got timer `index` as `fd` of its table.
pub(crate) fn introduced(index: usize, fd: i32) {
    let Some(entry) = entries().get(index) else { return file::close(fd) };
    let former = entry.library.swap(fd + 1, Ordering::SeqCst);
    if former > 0 {
        file::close(former - 1);
    }
    if entry.owed.swap(0, Ordering::SeqCst) == 1 {
        time::timer_fire(fd);
    }
}

/// The library's table is gone, and what was in it.
pub(crate) fn library_gone() {
    for entry in entries() {
        entry.library.store(0, Ordering::SeqCst);
    }
}

/// The timers that a new library thread must learn: index and descriptor.
pub(crate) fn to_introduce() -> impl Iterator<Item = (usize, i32)> {
    let fd = |entry: &Entry| entry.program.load(Ordering::Acquire) - 1;
    entries().iter().map(fd).enumerate().filter(|(_, fd)| *fd >= 0)
}

/// A timer for one sleep.
#[derive(Debug)]
pub(crate) struct Timer {
    index: usize,
    fd: i32,
}

/// An idle timer. None: all are in use. EMFILE, ENFILE.
pub(crate) fn borrow() -> Result<Option<Timer>> {
    for (index, entry) in entries().iter().enumerate() {
        // Acquire: pairs with the Release in `drop`.
        if entry.borrowed.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            let mut timer = Timer { index, fd: entry.program.load(Ordering::Relaxed) - 1 };
            if timer.fd < 0 || time::timer_clear(timer.fd).is_err() {
                timer.fd = create()?;
                entry.library.store(0, Ordering::SeqCst);
                entry.program.store(timer.fd + 1, Ordering::Release);
            }
            entry.owed.store(0, Ordering::SeqCst);
            return Ok(Some(timer));
        }
    }
    Ok(None)
}

fn create() -> Result<i32> {
    let floor = thread::descriptor_limit().min(HIGH + 24).saturating_sub(24).max(3);
    Ok(file::move_up(time::timer_create()?, floor as i32))
}

impl Timer {
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Its number in the program's table.
    pub(crate) fn fd(&self) -> i32 {
        self.fd
    }

    /// Whether library threads can fire it.
    pub(crate) fn is_introduced(&self) -> bool {
        entries()[self.index].library.load(Ordering::SeqCst) != 0
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `borrow`.
        entries()[self.index].borrowed.store(0, Ordering::Release);
    }
}

/// Sleeps with `mask` until `timer` fires or `deadline` passes. Ok: look again; ETIMEDOUT, EINTR.
///
/// `woken`: somebody will fire it. Without that, or without a timer, the sleep is a short one; and even then it is bounded,
/// for a thread with a descriptor table of its own may have a timer that library threads know under another's number.
pub(crate) fn sleep(timer: Option<&Timer>, woken: bool, deadline: time::Deadline, mask: &u64) -> Result<()> {
    let longest = if woken { Timespec { sec: 1, nsec: 0 } } else { Timespec { sec: 0, nsec: LOOK_AGAIN_NS } };
    let bound = match deadline.remaining() {
        Some(left) if (left.sec, left.nsec) < (longest.sec, longest.nsec) => Some(left),
        _ => Some(longest),
    };
    match file::sleep_masked(timer.map_or(-1, Timer::fd), bound, mask) {
        Ok(false) if deadline.passed() => Err(Errno::ETIMEDOUT),
        Ok(_) | Err(Errno::EBADF) => Ok(()),
        Err(why) => Err(why),
    }
}
