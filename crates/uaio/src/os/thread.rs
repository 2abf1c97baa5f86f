//! Threads and process identity.

use core::ptr::null_mut;

use crate::errno::{Errno, Result};
#[cfg(not(miri))]
use crate::os::lock::{block_signals, restore_signals};
use crate::os::raw::sys;

/// Stack of a library thread, bytes.
const STACK: usize = 128 << 10;

/// Process id.
pub(crate) fn pid() -> i32 {
    // SAFETY: reads no memory.
    unsafe { sys!(SYS_getpid) }.unwrap_or(0) as i32
}

/// As the real one.
#[cfg(miri)]
pub(crate) fn spawn(body: extern "C" fn(*mut libc::c_void) -> *mut libc::c_void, argument: usize) -> Result<()> {
    let thread = std::thread::Builder::new().spawn(move || {
        body(argument as *mut _);
    });
    thread.map(drop).or(Err(Errno::EAGAIN))
}

/// Starts a detached library thread that runs `body(argument)`.
///
/// It blocks every signal but libc's own two, and has the default scheduling policy and all CPUs whatever
/// its creator has. EAGAIN or EPERM when no thread can be had.
#[cfg(not(miri))]
pub(crate) fn spawn(body: extern "C" fn(*mut libc::c_void) -> *mut libc::c_void, argument: usize) -> Result<()> {
    let mask = block_signals();
    // SAFETY: the attribute object is initialised before its use and destroyed after it; `body` is a
    // function, and `argument` is what it expects.
    let ret = unsafe {
        let mut attr: libc::pthread_attr_t = core::mem::zeroed();
        libc::pthread_attr_init(&raw mut attr);
        libc::pthread_attr_setstacksize(&raw mut attr, STACK);
        libc::pthread_attr_setdetachstate(&raw mut attr, libc::PTHREAD_CREATE_DETACHED);
        let mut thread = core::mem::zeroed();
        let ret = libc::pthread_create(&raw mut thread, &raw const attr, body, argument as *mut _);
        libc::pthread_attr_destroy(&raw mut attr);
        ret
    };
    restore_signals(mask);
    if ret == 0 { Ok(()) } else { Err(Errno::from_raw(ret as isize)) }
}

/// First thing in a library thread: its name, no inherited priority, no inherited CPU set.
pub(crate) fn settle(name: &[u8; 16]) {
    // SAFETY: `name` is NUL-terminated within 16 bytes.
    let _ = unsafe { sys!(SYS_prctl, libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
    let priority = 0i32;
    // SAFETY: `priority` has the layout of sched_param.
    let _ = unsafe { sys!(SYS_sched_setscheduler, 0, libc::SCHED_OTHER, &raw const priority) };
    let all = [u8::MAX; 128];
    // SAFETY: the set is valid for its length.
    let _ = unsafe { sys!(SYS_sched_setaffinity, 0, all.len(), all.as_ptr()) };
}

/// Leaves the program's descriptor table: this thread, and those that it starts, get an empty one.
pub(crate) fn leave_descriptor_table() -> Result<()> {
    // SAFETY: nothing in this thread uses a descriptor of the old table.
    unsafe { sys!(SYS_close_range, 0, u32::MAX, libc::CLOSE_RANGE_UNSHARE) }.map(drop)
}

/// The soft limit on descriptors.
pub(crate) fn descriptor_limit() -> u64 {
    let mut limit = [0u64; 2];
    // SAFETY: the array has the layout of rlimit64.
    match unsafe { sys!(SYS_prlimit64, 0, libc::RLIMIT_NOFILE, null_mut::<u8>(), limit.as_mut_ptr()) } {
        Ok(_) => limit[0],
        Err(_) => 1024,
    }
}

/// RLIMIT_NOFILE, raised for a moment: the process has one limit for all its descriptor tables.
#[derive(Debug)]
pub(crate) struct RaisedLimit {
    before: [u64; 2],
    soft: u64,
}

impl RaisedLimit {
    /// None: the hard limit is too low.
    pub(crate) fn new(soft: u64) -> Option<RaisedLimit> {
        let before = exchange_limit(None)?;
        let soft = soft.min(before[1]);
        exchange_limit(Some([soft, before[1]])).map(|_| RaisedLimit { before, soft })
    }
}

impl Drop for RaisedLimit {
    fn drop(&mut self) {
        // Unless the program has set another one meanwhile.
        if exchange_limit(None) == Some([self.soft, self.before[1]]) {
            exchange_limit(Some(self.before));
        }
    }
}

fn exchange_limit(new: Option<[u64; 2]>) -> Option<[u64; 2]> {
    let (mut old, new) = ([0u64; 2], new.as_ref().map_or(core::ptr::null(), |new| new.as_ptr()));
    // SAFETY: null or an array with the layout of rlimit64, and another one to be written.
    unsafe { sys!(SYS_prlimit64, 0, libc::RLIMIT_NOFILE, new, old.as_mut_ptr()) }.ok().map(|_| old)
}

/// The program's name.
pub(crate) fn comm() -> [u8; 16] {
    let mut name = [0u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes.
    let _ = unsafe { sys!(SYS_prctl, libc::PR_GET_NAME, name.as_mut_ptr(), 0, 0, 0) };
    name
}

/// Processors that can ever be online, as the kernel's AIO counts them.
pub(crate) fn possible_cpus() -> u32 {
    let mut text = [0u8; 64];
    let read = super::file::open(b"/sys/devices/system/cpu/possible\0", libc::O_RDONLY, 0).and_then(|fd| {
        let got = super::file::read_start(fd, &mut text);
        super::file::close(fd);
        got
    });
    let last = read.ok().and_then(|n| last_cpu(&text[..n]));
    last.map_or_else(configured_cpus, |cpu| cpu + 1)
}

fn last_cpu(list: &[u8]) -> Option<u32> {
    let end = core::str::from_utf8(list).ok()?.trim_end().rsplit(['-', ',']).next()?;
    end.parse().ok()
}

fn configured_cpus() -> u32 {
    let mut set = [0u8; 128];
    // SAFETY: the buffer is valid for its length.
    match unsafe { sys!(SYS_sched_getaffinity, 0, set.len(), set.as_mut_ptr()) } {
        Ok(bytes) => set[..bytes].iter().map(|b| b.count_ones()).sum::<u32>().max(1),
        Err(_) => 1,
    }
}

/// Thread id.
pub(crate) fn task() -> i32 {
    // SAFETY: reads no memory.
    unsafe { sys!(SYS_gettid) }.unwrap_or(0) as i32
}
