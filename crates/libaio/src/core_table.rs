//! The one core of the process.
//!
//! `libuaio_preload.so` and `libaio.so.1` each contain a whole uaio. The preload library exports the function
//! `uaio_core`; `libaio.so.1` refers to that name weakly, and so gets the preload library's table where there is one.

use core::ffi::c_int;

use uaio::abi::{AioSigset, IoEvent, Iocb, Timespec};
use uaio::entry;

/// Layout number of [`Core`].
const VERSION: u32 = 1;

/// The six calls of one copy of uaio, with raw results.
#[repr(C)]
pub struct Core {
    /// Layout number, 1; later ones only add fields.
    pub version: u32,
    /// See [`entry::io_setup`].
    pub io_setup: unsafe extern "C" fn(u32, *mut usize) -> isize,
    /// See [`entry::io_destroy`].
    pub io_destroy: unsafe extern "C" fn(usize) -> isize,
    /// See [`entry::io_submit`].
    pub io_submit: unsafe extern "C" fn(usize, isize, *const *mut Iocb) -> isize,
    /// See [`entry::io_cancel`].
    pub io_cancel: unsafe extern "C" fn(usize, *mut Iocb, *mut IoEvent) -> isize,
    /// See [`entry::io_getevents`].
    pub io_getevents: unsafe extern "C" fn(usize, isize, isize, *mut IoEvent, *const Timespec) -> isize,
    /// See [`entry::io_pgetevents`].
    pub io_pgetevents:
        unsafe extern "C" fn(usize, isize, isize, *mut IoEvent, *const Timespec, *const AioSigset) -> isize,
    /// See [`entry::ring_is_empty`].
    pub ring_is_empty: unsafe extern "C" fn(usize, *const Timespec) -> c_int,
}

static OWN: Core = Core {
    version: VERSION,
    io_setup: entry::io_setup,
    io_destroy: entry::io_destroy,
    io_submit: entry::io_submit,
    io_cancel: entry::io_cancel,
    io_getevents: entry::io_getevents,
    io_pgetevents: entry::io_pgetevents,
    ring_is_empty: entry::ring_is_empty,
};

/// The table of this copy.
#[unsafe(no_mangle)]
pub extern "C" fn uaio_own_core() -> *const Core {
    &raw const OWN
}

unsafe extern "C" {
    /// In `symbols.rs`: `uaio_core` of the preload library, or [`uaio_own_core`].
    safe fn uaio_current_core() -> *const Core;
}

/// The core to use.
pub fn current() -> &'static Core {
    // SAFETY: every copy returns the address of a static table of this layout.
    unsafe { &*uaio_current_core() }
}
