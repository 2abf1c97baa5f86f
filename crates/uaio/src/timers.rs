//! Descriptors that io_pgetevents sleeps on.
//!
//! Changing the signal mask and falling asleep must be one step, and no futex call does that: ppoll does,
//! on a descriptor. It is a timer, because setting a timer is harmless when the program has closed the
//! number and uses it for something else. They are few, close-on-exec, kept for re-use, and have numbers
//! out of the program's way.

use core::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use crate::abi::Timespec;
use crate::errno::Result;
use crate::os::{file, thread, time};

/// Timers kept for re-use.
const KEPT: usize = 16;
/// The highest number that costs nothing: a higher one would make every fork copy a larger table.
const HIGH: i32 = 1000;
/// How long a sleeper sleeps at most before it looks again, for those that found no place to be woken.
const LOOK_AGAIN_NS: u64 = 10_000_000;

/// `fd + 1` of idle timers. Part of the process's state, for a forked child shares its parent's timers and
/// must not touch them.
#[derive(Debug, Default)]
pub(crate) struct Idle([AtomicI32; KEPT]);

static IDLE: AtomicPtr<Idle> = AtomicPtr::new(core::ptr::null_mut());

/// Keeps idle timers in `idle` from now on.
pub(crate) fn open(idle: &'static Idle) {
    // Release: pairs with the Acquire in `places`.
    IDLE.store(core::ptr::from_ref(idle).cast_mut(), Ordering::Release);
}

fn places() -> &'static [AtomicI32] {
    // SAFETY: null, or what `open` was given, which stays.
    unsafe { IDLE.load(Ordering::Acquire).as_ref() }.map_or(&[], |idle| &idle.0)
}

/// A timer for one sleep.
#[derive(Debug)]
pub(crate) struct Timer(i32);

/// An idle timer, or a new one. EMFILE, ENFILE.
pub(crate) fn borrow() -> Result<Timer> {
    for place in places() {
        // Acquire: pairs with the Release in `drop`.
        let fd = place.swap(0, Ordering::Acquire) - 1;
        if fd >= 0 && time::timer_clear(fd).is_ok() {
            return Ok(Timer(fd));
        }
    }
    let floor = (thread::descriptor_limit().min(HIGH as u64 + 24) as i32 - 24).max(3);
    Ok(Timer(file::move_up(time::timer_create()?, floor)))
}

impl Timer {
    pub(crate) fn fd(&self) -> i32 {
        self.0
    }

    /// How long to sleep in one go; `placed`: somebody will fire the timer.
    pub(crate) fn bound(&self, deadline: time::Deadline, placed: bool) -> Option<Timespec> {
        if placed {
            return deadline.remaining();
        }
        let most = Timespec { sec: 0, nsec: LOOK_AGAIN_NS as i64 };
        match deadline.remaining() {
            Some(left) if (left.sec, left.nsec) < (most.sec, most.nsec) => Some(left),
            _ => Some(most),
        }
    }

    /// The program has closed it: it is not ours to close or to keep.
    pub(crate) fn lost(mut self) {
        self.0 = -1;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if self.0 < 0 {
            return;
        }
        for place in places() {
            // Release: pairs with the Acquire in `borrow`.
            if place.compare_exchange(0, self.0 + 1, Ordering::Release, Ordering::Relaxed).is_ok() {
                return;
            }
        }
        file::close(self.0);
    }
}
