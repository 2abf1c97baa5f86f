//! What one process did, out of its counters: the form that JSON and the table share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use nix::errno::Errno;
use serde::Serialize;
use uaio::abi;
use uaio::stats::{ENGINE_NAMES, ENGINES, ERRNOS, MAGIC, OPCODES, Stats, VERSION};

use crate::percentiles::Percentiles;

/// Numbers by name, for what is not 0.
pub type Counts = BTreeMap<&'static str, u64>;

/// One process that made an AIO call.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    pub pid: u32,
    pub program: String,
    /// The engine asked for.
    pub engine: String,
    /// Of the first call, Unix time in seconds.
    pub started: f64,
    pub contexts: Contexts,
    pub calls: Calls,
    pub requests: Requests,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub events: Events,
    pub errors: Errors,
    pub short_submissions: ShortSubmissions,
    /// None where the process keeps no times.
    pub latency: Option<Latencies>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Contexts {
    pub created: u64,
    pub failed: u64,
    pub destroyed: u64,
    pub never_destroyed: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Calls {
    pub io_submit: u64,
    /// And io_pgetevents.
    pub io_getevents: u64,
    pub io_cancel: u64,
}

/// Requests accepted.
#[derive(Clone, Debug, Serialize)]
pub struct Requests {
    pub total: u64,
    pub by_opcode: Counts,
    pub by_engine: Counts,
    pub by_engine_and_opcode: BTreeMap<&'static str, Counts>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Events {
    pub total: u64,
    pub reaped: u64,
    pub never_reaped: u64,
}

/// By errno.
#[derive(Clone, Debug, Serialize)]
pub struct Errors {
    /// Returned by calls.
    pub calls: BTreeMap<String, u64>,
    /// Carried by events.
    pub events: BTreeMap<String, u64>,
}

/// io_submit calls that took fewer requests than they were given.
#[derive(Clone, Debug, Serialize)]
pub struct ShortSubmissions {
    pub total: u64,
    /// Contexts that saw no io_submit after their last one.
    pub never_resubmitted: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Latencies {
    pub io_submit: Percentiles,
    /// From io_submit to the event.
    pub completion: Percentiles,
}

/// Why bytes are not counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStats {
    TooShort,
    Magic,
    Version(u32),
}

impl fmt::Display for NotStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotStats::TooShort => f.write_str("the counters are cut short"),
            NotStats::Magic => f.write_str("these are no counters"),
            NotStats::Version(version) => {
                write!(f, "the counters have version {version}, this uaio reads version {VERSION}")
            }
        }
    }
}

/// The counters in `bytes`.
pub fn parse(bytes: &[u8]) -> Result<Box<Stats>, NotStats> {
    let bytes = bytes.get(..size_of::<Stats>()).ok_or(NotStats::TooShort)?;
    let mut stats = Box::<Stats>::new_uninit();
    // SAFETY: the box has exactly this many bytes; all fields are integers, so any bytes are a valid value.
    let stats = unsafe {
        stats.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        stats.assume_init()
    };
    if stats.magic.load(Relaxed) != MAGIC {
        return Err(NotStats::Magic);
    }
    match stats.version.load(Relaxed) {
        VERSION => Ok(stats),
        other => Err(NotStats::Version(other)),
    }
}

impl From<&Stats> for Process {
    fn from(stats: &Stats) -> Process {
        let [setups, destroys, events, reaped, kernels] =
            [&stats.setups, &stats.destroys, &stats.events, &stats.reaped, &stats.kernel_events].map(load);
        let [events, reaped] = [events, reaped].map(|count| count + kernels);
        Process {
            pid: stats.pid.load(Relaxed),
            program: program(stats),
            engine: engine(stats.engine_asked.load(Relaxed)),
            started: load(&stats.started_ns) as f64 / 1e9,
            contexts: Contexts {
                created: setups,
                failed: load(&stats.setup_failures),
                destroyed: destroys,
                never_destroyed: setups.saturating_sub(destroys),
            },
            calls: Calls {
                io_submit: load(&stats.submits),
                io_getevents: load(&stats.getevents),
                io_cancel: load(&stats.cancels),
            },
            requests: Requests::from(stats),
            bytes_read: load(&stats.bytes_read),
            bytes_written: load(&stats.bytes_written),
            events: Events { total: events, reaped, never_reaped: events.saturating_sub(reaped) },
            errors: Errors { calls: by_errno(&stats.call_errors), events: by_errno(&stats.event_errors) },
            short_submissions: ShortSubmissions {
                total: load(&stats.short_submits),
                never_resubmitted: load(&stats.short_pending),
            },
            latency: latencies(stats),
        }
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

fn program(stats: &Stats) -> String {
    let bytes: Vec<u8> = stats.comm.iter().flat_map(|word| load(word).to_le_bytes()).collect();
    let name = bytes.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

fn engine(asked: u32) -> String {
    match asked {
        0 => "auto".into(),
        255 => "off".into(),
        id => ENGINE_NAMES.get(id as usize - 1).map_or_else(|| format!("number {id}"), |name| (*name).into()),
    }
}

fn opcode_name(opcode: usize) -> &'static str {
    match opcode as u16 {
        abi::IOCB_CMD_PREAD => "PREAD",
        abi::IOCB_CMD_PWRITE => "PWRITE",
        abi::IOCB_CMD_FSYNC => "FSYNC",
        abi::IOCB_CMD_FDSYNC => "FDSYNC",
        abi::IOCB_CMD_POLL => "POLL",
        abi::IOCB_CMD_PREADV => "PREADV",
        abi::IOCB_CMD_PWRITEV => "PWRITEV",
        // Of what a kernel context has got, only the number is known.
        _ => "any",
    }
}

impl From<&Stats> for Requests {
    fn from(stats: &Stats) -> Requests {
        let mut requests = Requests {
            total: 0,
            by_opcode: Counts::new(),
            by_engine: Counts::new(),
            by_engine_and_opcode: BTreeMap::new(),
        };
        for (engine, opcode) in (0..ENGINES).flat_map(|engine| (0..OPCODES).map(move |opcode| (engine, opcode))) {
            let count = load(&stats.requests[engine][opcode]);
            if count > 0 {
                requests.add(ENGINE_NAMES[engine], opcode_name(opcode), count);
            }
        }
        requests
    }
}

impl Requests {
    fn add(&mut self, engine: &'static str, opcode: &'static str, count: u64) {
        self.total += count;
        *self.by_opcode.entry(opcode).or_default() += count;
        *self.by_engine.entry(engine).or_default() += count;
        *self.by_engine_and_opcode.entry(engine).or_default().entry(opcode).or_default() += count;
    }
}

fn by_errno(counters: &[AtomicU64; ERRNOS]) -> BTreeMap<String, u64> {
    let counts = counters.iter().map(load).enumerate().filter(|(_, count)| *count > 0);
    counts.map(|(errno, count)| (errno_name(errno), count)).collect()
}

fn errno_name(errno: usize) -> String {
    match Errno::from_raw(errno as i32) {
        _ if errno == ERRNOS - 1 => "other".into(),
        Errno::UnknownErrno => format!("errno {errno}"),
        known => format!("{known:?}"),
    }
}

fn latencies(stats: &Stats) -> Option<Latencies> {
    let timed = stats.timed.load(Relaxed) != 0;
    timed.then(|| Latencies {
        io_submit: Percentiles::from(&stats.submit_ns),
        completion: Percentiles::from(&stats.complete_ns),
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Counters as a process would leave them, all 0 but the head.
    pub fn counters() -> Box<Stats> {
        let mut bytes = vec![0; size_of::<Stats>()];
        bytes[..8].copy_from_slice(&MAGIC.to_ne_bytes());
        bytes[8..12].copy_from_slice(&VERSION.to_ne_bytes());
        let stats = parse(&bytes).unwrap();
        stats.pid.store(77, Relaxed);
        stats.comm[0].store(u64::from_le_bytes(*b"fio\0\0\0\0\0"), Relaxed);
        stats
    }

    fn bytes(stats: &Stats) -> Vec<u8> {
        let start = std::ptr::from_ref(stats).cast::<u8>();
        // SAFETY: all bytes of the counters; there is no padding, for all 4-byte integers come in pairs.
        unsafe { std::slice::from_raw_parts(start, size_of::<Stats>()) }.to_vec()
    }

    #[test]
    fn magic_version_and_length_are_checked() {
        let stats = counters();
        assert_eq!(parse(&bytes(&stats)).unwrap().pid.load(Relaxed), 77);
        assert_eq!(parse(&bytes(&stats)[1..]).unwrap_err(), NotStats::TooShort);
        stats.version.store(VERSION + 1, Relaxed);
        assert_eq!(parse(&bytes(&stats)).unwrap_err(), NotStats::Version(VERSION + 1));
        stats.magic.store(0, Relaxed);
        assert_eq!(parse(&bytes(&stats)).unwrap_err(), NotStats::Magic);
    }

    #[test]
    fn names_and_differences() {
        let stats = counters();
        stats.engine_asked.store(2, Relaxed);
        stats.setups.store(3, Relaxed);
        stats.destroys.store(1, Relaxed);
        stats.requests[1][0].store(10, Relaxed);
        stats.requests[0][5].store(2, Relaxed);
        stats.call_error(libc::EAGAIN);
        stats.event(-i64::from(libc::EIO));
        stats.event(-4000);
        let process = Process::from(&*stats);
        assert_eq!((process.program.as_str(), process.engine.as_str()), ("fio", "uring"));
        assert_eq!(process.contexts.never_destroyed, 2);
        assert_eq!(process.events.never_reaped, 2);
        assert_eq!(process.requests.total, 12);
        assert_eq!(process.requests.by_engine_and_opcode["uring"]["PREAD"], 10);
        assert_eq!(process.requests.by_opcode["POLL"], 2);
        assert_eq!(process.errors.calls["EAGAIN"], 1);
        assert_eq!(process.errors.events.keys().collect::<Vec<_>>(), ["EIO", "other"]);
        assert!(process.latency.is_none());
    }
}
