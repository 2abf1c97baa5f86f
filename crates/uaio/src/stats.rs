//! The counters of one process, in memory that others can read.
//!
//! With `UAIO_STATS=DIR` they are a shared mapping of `DIR/PID.stats`, which outlives any death of the
//! process. Without it they are anonymous memory that starts with [`MAGIC`], which `uaio stat` finds
//! through `/proc/PID/maps`. Every counter is an independent number: all accesses are `Relaxed` and pair
//! with nothing; a reader may see one counter a moment before another.

use core::mem::size_of;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// First 8 bytes of a [`Stats`]: "uaiostat", little endian.
pub const MAGIC: u64 = u64::from_le_bytes(*b"uaiostat");
/// Layout number; a reader refuses another one.
pub const VERSION: u32 = 2;
/// Engines counted, by [`EngineId`].
pub const ENGINES: usize = 6;
/// Opcodes counted, by their `IOCB_CMD_` number.
pub const OPCODES: usize = 9;
/// Errnos counted one by one; larger ones fall into the last.
pub const ERRNOS: usize = 136;
/// Buckets of a [`Latency`].
pub const BUCKETS: usize = 61 * 16;

/// Who executed a request; also the index in [`Stats::requests`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EngineId {
    /// On the caller's thread, inside io_submit.
    Inline = 0,
    /// The io_uring service thread.
    Uring = 1,
    /// The worker threads and their poller.
    Threads = 2,
    /// A real kernel context.
    Kernel = 3,
    /// The seeded engine for tests.
    Scripted = 4,
}

/// Names of the engines, by [`EngineId`]; the last is unused.
pub const ENGINE_NAMES: [&str; ENGINES] = ["inline", "uring", "threads", "kernel", "scripted", "-"];

/// A log-linear histogram of nanoseconds: 16 buckets for each power of two, so about 6 % wide.
#[repr(C)]
#[derive(Debug)]
pub struct Latency {
    /// Number of values in each bucket, see [`bucket_floor`].
    pub counts: [AtomicU64; BUCKETS],
}

/// Smallest value, in nanoseconds, that falls into bucket `index`.
#[must_use]
pub const fn bucket_floor(index: usize) -> u64 {
    if index < 16 {
        return index as u64;
    }
    let (power, step) = (index / 16 - 1, (index % 16) as u64);
    (16 + step) << power
}

const fn bucket_of(ns: u64) -> usize {
    if ns < 16 {
        return ns as usize;
    }
    let power = 59 - ns.leading_zeros() as usize;
    (power + 1) * 16 + ((ns >> power) as usize & 15)
}

impl Latency {
    /// Counts one value of `ns` nanoseconds.
    pub fn record(&self, ns: u64) {
        self.counts[bucket_of(ns)].fetch_add(1, Relaxed);
    }
}

/// All counters of a process. All start at zero, so zeroed memory is a valid value.
#[repr(C)]
#[derive(Debug)]
pub struct Stats {
    /// [`MAGIC`], stored last.
    pub magic: AtomicU64,
    /// [`VERSION`].
    pub version: AtomicU32,
    /// Process id.
    pub pid: AtomicU32,
    /// CLOCK_REALTIME of the first call, nanoseconds.
    pub started_ns: AtomicU64,
    /// Name of the program (`comm`), NUL-padded, as two words.
    pub comm: [AtomicU64; 2],
    /// Engine asked for: 0 auto, 1 + [`EngineId`], 255 off.
    pub engine_asked: AtomicU32,
    /// Whether the two histograms are kept (1) or not (0).
    pub timed: AtomicU32,
    /// Contexts created.
    pub setups: AtomicU64,
    /// io_setup calls that failed.
    pub setup_failures: AtomicU64,
    /// Contexts destroyed.
    pub destroys: AtomicU64,
    /// io_submit calls.
    pub submits: AtomicU64,
    /// io_submit calls that took some but not all requests, or none with EAGAIN.
    pub short_submits: AtomicU64,
    /// Short submissions after which the context has seen no further io_submit: a gauge.
    pub short_pending: AtomicU64,
    /// io_getevents and io_pgetevents calls.
    pub getevents: AtomicU64,
    /// io_cancel calls.
    pub cancels: AtomicU64,
    /// Requests accepted, by engine and opcode.
    pub requests: [[AtomicU64; OPCODES]; ENGINES],
    /// Bytes read, by completed requests.
    pub bytes_read: AtomicU64,
    /// Bytes written, by completed requests.
    pub bytes_written: AtomicU64,
    /// Events stored into rings.
    pub events: AtomicU64,
    /// Events taken out of rings, by call or by the program itself.
    pub reaped: AtomicU64,
    /// Events that calls took from real kernel contexts.
    pub kernel_events: AtomicU64,
    /// Errors that the six calls returned, by errno.
    pub call_errors: [AtomicU64; ERRNOS],
    /// Errors carried by events, by errno.
    pub event_errors: [AtomicU64; ERRNOS],
    /// Duration of io_submit, nanoseconds.
    pub submit_ns: Latency,
    /// From acceptance to the event in the ring, nanoseconds.
    pub complete_ns: Latency,
}

/// Bytes of a [`Stats`] mapping: whole pages.
pub const MAPPING: usize = size_of::<Stats>().div_ceil(4096) * 4096;

impl Stats {
    /// Counts an error that a call returns.
    pub fn call_error(&self, errno: i32) {
        self.call_errors[(errno as usize).min(ERRNOS - 1)].fetch_add(1, Relaxed);
    }

    /// Counts an event with result `res`.
    pub fn event(&self, res: i64) {
        self.events.fetch_add(1, Relaxed);
        if res < 0 {
            self.event_error(res);
        }
    }

    /// Counts the error `res` of an event.
    pub(crate) fn event_error(&self, res: i64) {
        let errno = res.unsigned_abs() as usize;
        self.event_errors[errno.min(ERRNOS - 1)].fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_between_its_bucket_and_the_next() {
        for ns in (0..4096).chain([1 << 20, (1 << 40) + 12345, u64::MAX]) {
            let b = bucket_of(ns);
            assert!(b < BUCKETS && bucket_floor(b) <= ns, "{ns} in {b}");
            assert!(b + 1 == BUCKETS || ns < bucket_floor(b + 1), "{ns} in {b}");
        }
    }
}
