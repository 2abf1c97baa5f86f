//! Where this process counts what it does.
//!
//! A forked child has no contexts and counts nothing until its own first io_setup gives it counters of its
//! own, so the pointer that it inherits is never used.

use core::sync::atomic::{AtomicPtr, Ordering, Ordering::Relaxed};

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

/// `count` events have left a ring.
pub(crate) fn count_reaped(count: u64) {
    if count != 0
        && let Some(stats) = stats()
    {
        stats.reaped.fetch_add(count, Relaxed);
    }
}
