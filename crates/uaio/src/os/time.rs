//! Clocks, in nanoseconds.

use crate::abi::Timespec;
use crate::errno::{Errno, Result};
use crate::os::raw::sys;

/// A time that no wait reaches: about 146 years after boot.
const FAR_SECONDS: i64 = i64::MAX / 2_000_000_000;

/// CLOCK_MONOTONIC, nanoseconds since boot.
pub(crate) fn now_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// CLOCK_REALTIME, nanoseconds since 1970.
pub(crate) fn wall_ns() -> u64 {
    clock_ns(libc::CLOCK_REALTIME)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `ts` is valid; libc answers these clocks from the vDSO and cannot fail, so errno stays.
    unsafe { libc::clock_gettime(clock, &raw mut ts) };
    ts.tv_sec as u64 * 1_000_000_000 + ts.tv_nsec as u64
}

/// When a wait ends, on CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<u64>);

impl Deadline {
    /// Never.
    pub(crate) const NEVER: Deadline = Deadline(None);

    #[cfg(any(loom, miri))]
    pub(crate) fn is_never(self) -> bool {
        self.0.is_none()
    }

    /// `ns` nanoseconds from now.
    pub(crate) fn after_ns(ns: u64) -> Deadline {
        Deadline(now_ns().checked_add(ns))
    }

    /// As the kernel reads a relative time-out: unnormalised nanoseconds count, negative totals never end
    /// (spec 3).
    pub(crate) fn from_timeout(t: Timespec) -> Deadline {
        let total = i128::from(t.sec) * 1_000_000_000 + i128::from(t.nsec);
        match u64::try_from(total) {
            Ok(ns) if ns < i64::MAX as u64 => Deadline::after_ns(ns),
            _ => Deadline::NEVER,
        }
    }

    /// The absolute time for a futex.
    pub(crate) fn absolute(self) -> Timespec {
        match self.0 {
            Some(ns) => Timespec { sec: (ns / 1_000_000_000) as i64, nsec: (ns % 1_000_000_000) as i64 },
            None => Timespec { sec: FAR_SECONDS, nsec: 0 },
        }
    }

    /// What is left of it, for calls that take a relative time; `None`: no limit.
    pub(crate) fn remaining(self) -> Option<Timespec> {
        let left = self.0?.saturating_sub(now_ns());
        Some(Timespec { sec: (left / 1_000_000_000) as i64, nsec: (left % 1_000_000_000) as i64 })
    }

    /// Whether it has passed.
    pub(crate) fn passed(self) -> bool {
        self.0.is_some_and(|ns| ns <= now_ns())
    }
}

/// A timer descriptor: it becomes readable when [`timer_fire`] is called, and never by itself.
pub(crate) fn timer_create() -> Result<i32> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: makes a descriptor, reads no memory.
    unsafe { sys!(SYS_timerfd_create, libc::CLOCK_MONOTONIC, flags) }.map(|fd| fd as i32)
}

fn timer_set(fd: i32, first_ns: i64) -> Result<()> {
    let spec = [Timespec::default(), Timespec { sec: 0, nsec: first_ns }];
    // SAFETY: `spec` has the layout of itimerspec. A descriptor that is no timer gives EINVAL.
    unsafe { sys!(SYS_timerfd_settime, fd, libc::TFD_TIMER_ABSTIME, spec.as_ptr(), 0) }.map(drop)
}

/// Makes the timer readable. Harmless when `fd` has become another kind of file.
pub(crate) fn timer_fire(fd: i32) {
    let _ = timer_set(fd, 1);
}

/// Makes the timer unreadable; an error says that `fd` is no timer any more.
pub(crate) fn timer_clear(fd: i32) -> Result<()> {
    timer_set(fd, 0).map_err(|_| Errno::EBADF)
}
