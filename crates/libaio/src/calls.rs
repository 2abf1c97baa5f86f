//! libaio's functions. What each does beyond the raw call is libaio's own rule (io(3), spec 7).

use core::ffi::{c_int, c_long};

use uaio::abi::{AioSigset, IoEvent, Iocb, Timespec};
use uaio::errno::Errno;

use crate::core_table::current;

const EINVAL: c_int = Errno::EINVAL.negated() as c_int;

/// `io_callback_t`.
type Callback = unsafe extern "C" fn(ctx: usize, iocb: *mut Iocb, res: c_long, res2: c_long);

unsafe extern "C" {
    /// The exported function, which another library may have replaced: libaio calls itself by name.
    fn io_getevents(
        ctx: usize,
        min_nr: c_long,
        nr: c_long,
        events: *mut IoEvent,
        timeout: *const Timespec,
    ) -> c_int;
}

/// # Safety
/// As `entry::io_setup`.
#[unsafe(no_mangle)]
unsafe extern "C" fn uaio_lib_io_setup(maxevents: c_int, ctxp: *mut usize) -> c_int {
    // SAFETY: the caller's call.
    unsafe { (current().io_setup)(maxevents as u32, ctxp) as c_int }
}

/// # Safety
/// As `entry::io_destroy`.
#[unsafe(no_mangle)]
unsafe extern "C" fn uaio_lib_io_destroy(ctx: usize) -> c_int {
    // SAFETY: the caller's call.
    unsafe { (current().io_destroy)(ctx) as c_int }
}

/// # Safety
/// As `entry::io_submit`.
#[unsafe(no_mangle)]
unsafe extern "C" fn uaio_lib_io_submit(ctx: usize, nr: c_long, iocbpp: *const *mut Iocb) -> c_int {
    // SAFETY: the caller's call.
    unsafe { (current().io_submit)(ctx, nr as isize, iocbpp) as c_int }
}

/// # Safety
/// As `entry::io_cancel`.
#[unsafe(no_mangle)]
unsafe extern "C" fn uaio_lib_io_cancel(ctx: usize, iocb: *mut Iocb, event: *mut IoEvent) -> c_int {
    // SAFETY: the caller's call.
    unsafe { (current().io_cancel)(ctx, iocb, event) as c_int }
}

/// The form of LIBAIO_0.1: no event.
///
/// # Safety
/// As `entry::io_cancel`.
#[unsafe(no_mangle)]
unsafe extern "C" fn uaio_lib_io_cancel_0_1(ctx: usize, iocb: *mut Iocb) -> c_int {
    let mut event = IoEvent::default();
    // SAFETY: the caller's call.
    unsafe { uaio_lib_io_cancel(ctx, iocb, &raw mut event) }
}

/// # Safety
/// As `entry::io_getevents`.
#[unsafe(no_mangle)]
unsafe extern "C" fn uaio_lib_io_getevents(
    ctx: usize,
    min_nr: c_long,
    nr: c_long,
    events: *mut IoEvent,
    timeout: *const Timespec,
) -> c_int {
    let core = current();
    // SAFETY: the caller's call.
    unsafe {
        if (core.ring_is_empty)(ctx, timeout) != 0 {
            return 0;
        }
        (core.io_getevents)(ctx, min_nr as isize, nr as isize, events, timeout) as c_int
    }
}

/// The form of LIBAIO_0.1: waits for one event.
///
/// # Safety
/// As `entry::io_getevents`.
#[unsafe(no_mangle)]
unsafe extern "C" fn uaio_lib_io_getevents_0_1(
    ctx: usize,
    nr: c_long,
    events: *mut IoEvent,
    timeout: *const Timespec,
) -> c_int {
    // SAFETY: the caller's call.
    unsafe { io_getevents(ctx, 1, nr, events, timeout) }
}

/// # Safety
/// As `entry::io_pgetevents`; `sigmask` is NULL or the address of a signal mask.
#[unsafe(no_mangle)]
unsafe extern "C" fn uaio_lib_io_pgetevents(
    ctx: usize,
    min_nr: c_long,
    nr: c_long,
    events: *mut IoEvent,
    timeout: *const Timespec,
    sigmask: *const u64,
) -> c_int {
    let core = current();
    let set = AioSigset { sigmask: sigmask as usize, sigsetsize: 8 };
    // SAFETY: the caller's call.
    unsafe {
        if (core.ring_is_empty)(ctx, timeout) != 0 {
            return 0;
        }
        (core.io_pgetevents)(ctx, min_nr as isize, nr as isize, events, timeout, &raw const set) as c_int
    }
}

/// As io_setup, with the context set to 0 first; -EINVAL without touching it when `maxevents` is not positive.
///
/// # Safety
/// `ctxp` can be written when `maxevents` is positive.
#[unsafe(no_mangle)]
unsafe extern "C" fn uaio_lib_io_queue_init(maxevents: c_int, ctxp: *mut usize) -> c_int {
    if maxevents <= 0 {
        return EINVAL;
    }
    // SAFETY: the caller's promise, which libaio takes too.
    unsafe {
        ctxp.write(0);
        uaio_lib_io_setup(maxevents, ctxp)
    }
}

/// Calls the callback of every event that is there.
///
/// # Safety
/// The `data` of every event is a callback (`io_set_callback`).
#[unsafe(no_mangle)]
unsafe extern "C" fn uaio_lib_io_queue_run(ctx: usize) -> c_int {
    let now = Timespec::default();
    let mut event = IoEvent::default();
    loop {
        // SAFETY: one event and a time of ours.
        let got = unsafe { io_getevents(ctx, 0, 1, &raw mut event, &raw const now) };
        if got != 1 {
            return got;
        }
        // SAFETY: the caller's promise.
        unsafe {
            let callback: Callback = core::mem::transmute(event.data as usize);
            callback(ctx, event.obj as usize as *mut Iocb, event.res as c_long, event.res2 as c_long);
        }
    }
}

/// Asks for no events: returns at once, as libaio's does.
///
/// # Safety
/// As `entry::io_getevents`.
#[unsafe(no_mangle)]
unsafe extern "C" fn uaio_lib_io_queue_wait(ctx: usize, timeout: *const Timespec) -> c_int {
    // SAFETY: the caller's call.
    unsafe { io_getevents(ctx, 0, 0, core::ptr::null_mut(), timeout) }
}

/// Run at exit (`symbols.rs`): accepted writes are performed. Everything works on afterwards.
#[unsafe(no_mangle)]
extern "C" fn uaio_lib_at_exit() {
    uaio::entry::drain();
}
