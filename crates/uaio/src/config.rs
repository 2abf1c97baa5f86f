//! The `UAIO_` settings, read once per process.

use core::ffi::CStr;

use crate::engine::scripted::LOG_MAX;
use crate::engine::uring::Mask;
use crate::fault::Script;
use crate::stats::EngineId;

/// Longest `UAIO_STATS` directory, bytes with NUL.
const DIR_MAX: usize = 512;
/// Quota where the host's cannot be read.
const DEFAULT_MAX_NR: u64 = 65536;

/// Which engine executes what may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A kernel context where the first requests suit it; else io_uring, else worker threads.
    Auto,
    /// This one or none.
    Forced(EngineId),
    /// The kernel's AIO; nothing is ours.
    Off,
}

/// When an O_DIRECT overwrite is handed to a library thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    /// io_submit returns once the write can no longer be lost, where the engine can tell.
    Safe,
    /// io_submit does not wait for that.
    Async,
    /// Never: every write is performed inside io_submit.
    Inline,
}

/// All settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub(crate) choice: Choice,
    pub(crate) writes: Writes,
    /// io_cancel ends whatever it can.
    pub(crate) cancel_extended: bool,
    /// `fs.aio-max-nr` of this process, in requests.
    pub(crate) max_nr: u64,
    /// NUL-terminated; empty when unset.
    pub(crate) stats_dir: [u8; DIR_MAX],
    /// What a test takes away from io_uring.
    pub(crate) uring_mask: Mask,
}

impl Config {
    /// From the environment; in an AT_SECURE process from the host alone.
    pub(crate) fn read() -> Config {
        let max_nr = variable(c"UAIO_MAX_NR").and_then(number).unwrap_or_else(host_max_nr);
        let cancel_extended = variable(c"UAIO_CANCEL").is_some_and(|value| value.to_bytes() == b"extended");
        let uring_mask = Mask::new(variable(c"UAIO_URING_MASK").unwrap_or_default().to_bytes());
        Config { choice: choice(), writes: writes(), cancel_extended, max_nr, stats_dir: stats_dir(), uring_mask }
    }
}

fn choice() -> Choice {
    match variable(c"UAIO_ENGINE").map(CStr::to_bytes) {
        Some(b"off") => Choice::Off,
        Some(b"inline") => Choice::Forced(EngineId::Inline),
        Some(b"uring") => Choice::Forced(EngineId::Uring),
        Some(b"kernel") => Choice::Forced(EngineId::Kernel),
        Some(b"threads") => Choice::Forced(EngineId::Threads),
        Some(b"scripted") => Choice::Forced(EngineId::Scripted),
        Some(b"auto") | None if variable(c"UAIO_FAULT").is_some() => Choice::Forced(EngineId::Scripted),
        _ => Choice::Auto,
    }
}

/// The script of the engine `scripted`, and where its decisions are noted. None: it cannot be read.
pub(crate) fn script() -> Option<(Script, [u8; LOG_MAX])> {
    let text = variable(c"UAIO_FAULT").unwrap_or_default().to_str().ok()?;
    let mut log = [0; LOG_MAX];
    if let Some(path) = variable(c"UAIO_FAULT_LOG").map(CStr::to_bytes).filter(|path| path.len() < LOG_MAX) {
        log[..path.len()].copy_from_slice(path);
    }
    Some((text.parse().ok()?, log))
}

fn writes() -> Writes {
    match variable(c"UAIO_WRITES").map(CStr::to_bytes) {
        Some(b"async") => Writes::Async,
        Some(b"inline") => Writes::Inline,
        _ => Writes::Safe,
    }
}

fn stats_dir() -> [u8; DIR_MAX] {
    let mut dir = [0; DIR_MAX];
    if let Some(value) = variable(c"UAIO_STATS") {
        let bytes = value.to_bytes();
        // Room for "/4294967295.stats" and the NUL.
        if bytes.len() + 24 < DIR_MAX {
            dir[..bytes.len()].copy_from_slice(bytes);
        }
    }
    dir
}

fn variable(name: &CStr) -> Option<&'static CStr> {
    // SAFETY: getauxval takes any number.
    #[cfg(not(miri))]
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return None;
    }
    // SAFETY: `name` is NUL-terminated. The value is copied out of the environment by our callers at once,
    // as any program that reads a variable at its start does.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    // SAFETY: getenv gives NULL or a NUL-terminated string.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) })
}

fn number(text: &CStr) -> Option<u64> {
    text.to_str().ok()?.trim().parse().ok()
}

fn host_max_nr() -> u64 {
    use crate::os::file;
    let mut text = [0u8; 32];
    let got = file::open(b"/proc/sys/fs/aio-max-nr\0", libc::O_RDONLY, 0).and_then(|fd| {
        let got = file::read_start(fd, &mut text);
        file::close(fd);
        got
    });
    got.ok()
        .and_then(|n| core::str::from_utf8(&text[..n]).ok())
        .and_then(|t| t.trim().parse().ok())
        .unwrap_or(DEFAULT_MAX_NR)
}
