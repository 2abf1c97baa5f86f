//! What uaio takes here: one request that has to wait is given to it, and its own counters tell who got it.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use uaio::abi::{IOCB_CMD_POLL, IOCB_CMD_PREAD, Iocb};
use uaio::entry;
use uaio::stats::{ENGINE_NAMES, EngineId, OPCODES, Stats};

use super::finding::{Cause, Finding, State};
use super::{threads, tracer};
use crate::env::DEFAULT_MAX_NR;
use crate::stat::Counters;

const TOPIC: &str = "engine";
/// Values of `UAIO_ENGINE` that are understood.
const KNOWN: [&str; 7] = ["auto", "inline", "uring", "threads", "kernel", "scripted", "off"];

/// `uring` is what was found out about io_uring.
pub fn find(uring: &Finding) -> Finding {
    if std::env::var_os("UAIO_MAX_NR").is_none() {
        // SAFETY: this process has one thread as yet. It is what `uaio run` sets.
        unsafe { std::env::set_var("UAIO_MAX_NR", DEFAULT_MAX_NR.to_string()) };
    }
    let asked = std::env::var("UAIO_ENGINE").ok();
    let by_variable = asked.as_ref().map(|value| format!(" (UAIO_ENGINE={value})")).unwrap_or_default();
    let finding = match asked.as_deref() {
        Some("off") => off(),
        Some("inline") => Finding::ok(TOPIC, "inline executes everything but POLL (UAIO_ENGINE=inline)")
            .details(serde_json::json!({"engine": "inline"})),
        _ => tried(uring, &by_variable),
    };
    match asked.filter(|value| !KNOWN.contains(&value.as_str())) {
        Some(value) => finding.note(format!("UAIO_ENGINE={value} is not known and means auto")),
        None => finding,
    }
}

fn off() -> Finding {
    let cause = Cause::new("asked-off", "UAIO_ENGINE=off asks for the kernel's AIO");
    Finding::trouble(TOPIC, "none: nothing is executed by uaio", cause).fix("unset UAIO_ENGINE")
}

fn tried(uring: &Finding, by_variable: &str) -> Finding {
    // What begins with something else than a POLL is no kernel context's, unless that is forced.
    match wait_once(&[IOCB_CMD_PREAD, IOCB_CMD_POLL]) {
        Ok(engine) => chosen(engine, uring, by_variable),
        Err(("io_setup", libc::ENOSYS)) if !by_variable.is_empty() => {
            let text = format!("an engine is asked for that cannot be had here{by_variable}");
            Finding::trouble(TOPIC, "none: io_setup gives ENOSYS", Cause::new("asked-for-missing", text))
                .fix("unset UAIO_ENGINE")
        }
        Err(("io_setup", libc::EAGAIN)) => {
            let cause = Cause::new("asked-quota", "UAIO_MAX_NR leaves no room for a request");
            Finding::trouble(TOPIC, "none: io_setup gives EAGAIN", cause).fix("unset UAIO_MAX_NR")
        }
        Err(("pipe", libc::EMFILE)) => {
            let cause = Cause::new("descriptors", "RLIMIT_NOFILE leaves this process no descriptor");
            Finding::trouble(TOPIC, "not found out: no request can be tried", cause).fix("ulimit -n 1024")
        }
        Err(("counters", _)) if !std::path::Path::new("/proc/self/maps").exists() => {
            let cause =
                Cause::new("no-proc", "the counters are found through /proc/self/maps, which is not there");
            Finding::trouble(TOPIC, "not found out", cause).fix("mount -t proc proc /proc")
        }
        Err(("io_submit", libc::EAGAIN)) if !threads::can_start() => threads::missing(TOPIC),
        Err((call, errno)) => {
            let errno = nix::errno::Errno::from_raw(errno);
            let cause = Cause::new("unknown", format!("{call} of our own failed: {}", errno.desc()));
            tracer::named(Finding::trouble(TOPIC, "not found out", cause))
        }
    }
}

fn chosen(engine: usize, uring: &Finding, by_variable: &str) -> Finding {
    let name = ENGINE_NAMES[engine];
    let why = match name {
        "threads" if by_variable.is_empty() && uring.state != State::Ok => ": there is no io_uring to be had",
        _ => "",
    };
    let kernels = name != "kernel" && kernel_takes_polls();
    let besides = if kernels { "; kernel contexts take O_DIRECT and POLL" } else { "" };
    let says = format!("{name} takes what has to wait{why}{besides}{by_variable}");
    Finding::ok(TOPIC, says).details(serde_json::json!({"engine": name, "kernel_contexts": kernels}))
}

/// Whether a context that begins with a POLL becomes a kernel context.
fn kernel_takes_polls() -> bool {
    let before = taken_by_kernel();
    wait_once(&[IOCB_CMD_POLL]).is_ok() && taken_by_kernel() > before
}

/// Submits these, one after the other, to a context of their own: a POLL of a pipe into which nobody writes, and reads of
/// nothing from it. Gives the engine that took the POLL, or what failed.
fn wait_once(opcodes: &[u16]) -> Result<usize, (&'static str, i32)> {
    let (reader, _writer) = nix::unistd::pipe().map_err(|errno| ("pipe", errno as i32))?;
    // The way to the library threads needs room for two descriptors. Without it the request would be executed inside
    // io_submit, and wait for ever.
    let room = [(); 2].map(|()| reader.try_clone().map_err(|_| ("pipe", libc::EMFILE)));
    room.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut context = 0;
    // SAFETY: `context` lives across the call, which stores the context there.
    checked("io_setup", unsafe { entry::io_setup(1, &raw mut context) })?;
    let submit = |opcode: &u16| {
        let buf = if *opcode == IOCB_CMD_POLL { libc::POLLIN as u64 } else { 0 };
        let mut iocb = Iocb { opcode: *opcode, fildes: reader.as_raw_fd() as u32, buf, ..Iocb::default() };
        let list = [&raw mut iocb];
        // SAFETY: the list holds one address of an iocb; both live across the call, and neither has a buffer.
        checked("io_submit", unsafe { entry::io_submit(context, 1, list.as_ptr()) })
    };
    let submitted = opcodes.iter().try_for_each(|opcode| submit(opcode).map(drop));
    let taken = submitted.and_then(|_| taken_by().ok_or(("counters", libc::ENODATA)));
    // SAFETY: the context is ours; the POLL is ended by this.
    unsafe { entry::io_destroy(context) };
    taken
}

fn checked(call: &'static str, result: isize) -> Result<isize, (&'static str, i32)> {
    if result < 0 { Err((call, -result as i32)) } else { Ok(result) }
}

/// Our own counters, found like those of any other process.
fn counters() -> Option<Box<Stats>> {
    Counters::find(std::process::id() as i32).ok()?.read().ok()
}

/// The engine that took a POLL. Of a kernel context's requests only the number is known.
fn taken_by() -> Option<usize> {
    let polls = |opcodes: &[AtomicU64; OPCODES]| opcodes[usize::from(IOCB_CMD_POLL)].load(Relaxed) > 0;
    let ours = counters()?.requests.iter().position(polls);
    ours.or_else(|| (taken_by_kernel() > 0).then_some(EngineId::Kernel as usize))
}

fn taken_by_kernel() -> u64 {
    counters()
        .map_or(0, |stats| stats.requests[EngineId::Kernel as usize].iter().map(|count| count.load(Relaxed)).sum())
}
