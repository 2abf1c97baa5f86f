//! Where this process counts what it does.
//!
//! A forked child has no contexts and counts nothing until its own first io_setup gives it counters of its
//! own, so the pointer that it inherits is never used.

use core::sync::atomic::{AtomicPtr, Ordering, Ordering::Relaxed};

use crate::abi::{IOCB_CMD_NOOP, IOCB_CMD_PREAD, IOCB_CMD_PREADV, IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV};
use crate::config::Config;
use crate::os::{file, mem, thread, time};
use crate::request::{Op, Request};
use crate::stats::{EngineId, MAGIC, MAPPING, Stats, VERSION};

static STATS: AtomicPtr<Stats> = AtomicPtr::new(core::ptr::null_mut());

/// Maps the counters: a file in `UAIO_STATS`, else anonymous memory. Without memory nothing is counted.
pub(crate) fn open(config: &Config, pid: i32, asked: u32) {
    let file = map_stats_file(&config.stats_dir, pid);
    let timed = file.is_some();
    let Some(base) = file.or_else(|| mem::map_private(MAPPING).ok()) else { return };
    // SAFETY: the mapping is large enough, aligned and zeroed, which is a valid value; it is never unmapped.
    let stats = unsafe { &*base.cast::<Stats>() };
    stats.version.store(VERSION, Relaxed);
    stats.pid.store(pid as u32, Relaxed);
    stats.started_ns.store(time::wall_ns(), Relaxed);
    let comm = thread::comm();
    for (word, bytes) in stats.comm.iter().zip(comm.as_chunks::<8>().0) {
        word.store(u64::from_le_bytes(*bytes), Relaxed);
    }
    stats.engine_asked.store(asked, Relaxed);
    stats.timed.store(u32::from(timed), Relaxed);
    stats.magic.store(MAGIC, Relaxed);
    // Release: pairs with the Acquire in `stats`.
    STATS.store(base.cast(), Ordering::Release);
}

fn map_stats_file(dir: &[u8], pid: i32) -> Option<*mut u8> {
    let len = dir.iter().position(|b| *b == 0).filter(|len| *len > 0)?;
    let mut path = [0u8; 544];
    path[..len].copy_from_slice(&dir[..len]);
    let end = len + write_name(&mut path[len..], pid);
    debug_assert_eq!(path[end], 0);
    let fd = file::open(&path[..=end], libc::O_RDWR | libc::O_CREAT | libc::O_NOFOLLOW, 0o600).ok()?;
    let mapped = file::set_len(fd, MAPPING).and_then(|()| mem::map_file(fd, MAPPING)).ok();
    file::close(fd);
    mapped
}

/// Writes "/PID.stats"; returns its length.
fn write_name(out: &mut [u8], pid: i32) -> usize {
    let digits = pid.ilog10() as usize + 1;
    out[0] = b'/';
    let mut rest = pid;
    for place in out[1..=digits].iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out[digits + 1..digits + 7].copy_from_slice(b".stats");
    digits + 7
}

/// The counters, once there are some.
pub(crate) fn stats() -> Option<&'static Stats> {
    // Acquire: pairs with the Release in `open`.
    // SAFETY: null, or the mapping of `open`, which stays.
    unsafe { STATS.load(Ordering::Acquire).as_ref() }
}

/// The time for a latency, or 0 when none are kept.
pub(crate) fn clock_ns() -> u64 {
    match stats() {
        Some(stats) if stats.timed.load(Relaxed) != 0 => time::now_ns(),
        _ => 0,
    }
}

/// A request was accepted, and `engine` has it.
pub(crate) fn count_request(engine: EngineId, opcode: u16) {
    if let Some(stats) = stats() {
        stats.requests[engine as usize][usize::from(opcode)].fetch_add(1, Relaxed);
    }
}

/// What has been executed on one thread, until it is counted: one addition for many requests.
#[derive(Debug)]
pub(crate) struct Tally {
    engine: EngineId,
    opcode: u16,
    requests: u64,
    read: u64,
    written: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Tally { engine: EngineId::Inline, opcode: 0, requests: 0, read: 0, written: 0 }
    }
}

impl Tally {
    /// `engine` has executed a request, accepted at `started_ns`, with this result.
    pub(crate) fn add(&mut self, engine: EngineId, opcode: u16, res: i64, started_ns: u64) {
        if (engine, opcode) != (self.engine, self.opcode) {
            self.count();
            (self.engine, self.opcode) = (engine, opcode);
        }
        self.requests += 1;
        match (opcode, u64::try_from(res)) {
            (IOCB_CMD_PREAD | IOCB_CMD_PREADV, Ok(bytes)) => self.read += bytes,
            (IOCB_CMD_PWRITE | IOCB_CMD_PWRITEV, Ok(bytes)) => self.written += bytes,
            (_, Ok(_)) => {}
            (_, Err(_)) => stats().map_or((), |stats| stats.event_error(res)),
        }
        if started_ns != 0
            && let Some(stats) = stats()
        {
            stats.complete_ns.record(time::now_ns() - started_ns);
        }
    }

    /// Counts them.
    pub(crate) fn count(&mut self) {
        let Some(stats) = stats().filter(|_| self.requests > 0) else { return };
        stats.requests[self.engine as usize][usize::from(self.opcode)].fetch_add(self.requests, Relaxed);
        stats.events.fetch_add(self.requests, Relaxed);
        for (counter, bytes) in [(&stats.bytes_read, self.read), (&stats.bytes_written, self.written)] {
            if bytes > 0 {
                counter.fetch_add(bytes, Relaxed);
            }
        }
        (self.requests, self.read, self.written) = (0, 0, 0);
    }
}

/// A request ends with `res`; its event is about to be stored.
pub(crate) fn count_completion(request: &Request, res: i64) {
    let Some(stats) = stats() else { return };
    stats.event(res);
    if let Ok(bytes) = u64::try_from(res) {
        match request.op {
            Op::Read => stats.bytes_read.fetch_add(bytes, Relaxed),
            Op::Write => stats.bytes_written.fetch_add(bytes, Relaxed),
            Op::Fsync | Op::Fdatasync | Op::Poll => 0,
        };
    }
    if request.started_ns != 0 {
        stats.complete_ns.record(time::now_ns() - request.started_ns);
    }
}

/// Whether requests are timed: somebody wants to know how long they take, and of what kind they are.
pub(crate) fn are_timed() -> bool {
    stats().is_some_and(|stats| stats.timed.load(Relaxed) != 0)
}

/// A kernel context has accepted `count` requests, of whatever kind.
pub(crate) fn count_kernels(count: u64) {
    if let Some(stats) = stats() {
        stats.requests[EngineId::Kernel as usize][usize::from(IOCB_CMD_NOOP)].fetch_add(count, Relaxed);
    }
}

/// `count` events were taken from a kernel context by a call.
pub(crate) fn count_taken_of_kernels(count: u64) {
    if let Some(stats) = stats() {
        stats.kernel_events.fetch_add(count, Relaxed);
    }
}

/// `count` events have left a ring.
pub(crate) fn count_reaped(count: u64) {
    if count != 0
        && let Some(stats) = stats()
    {
        stats.reaped.fetch_add(count, Relaxed);
    }
}
