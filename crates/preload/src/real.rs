//! libc's own functions behind those that we export.
//!
//! They are looked up when the library is initialised, never inside a call: a lookup may allocate, and a call may
//! come from inside malloc.

use core::ffi::{CStr, c_void};
use core::sync::atomic::{AtomicPtr, Ordering};

/// A function of libc, found by name.
pub(crate) struct Real {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

impl Real {
    /// Not looked up yet.
    pub(crate) const fn new(name: &'static CStr) -> Real {
        Real { name, found: AtomicPtr::new(core::ptr::null_mut()) }
    }

    /// The function's address, or null when it is not known (yet).
    pub(crate) fn known(&self) -> *mut c_void {
        // Relaxed: an address of code guards no data, and every lookup finds the same.
        self.found.load(Ordering::Relaxed)
    }

    /// The function's address, looked up if need be; null when libc has none.
    pub(crate) fn get(&self) -> *mut c_void {
        if self.known().is_null() {
            // SAFETY: the name is NUL-terminated.
            let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
            self.found.store(found, Ordering::Relaxed);
        }
        self.known()
    }
}

/// Run by the dynamic linker before the library's constructors (DT_INIT).
#[unsafe(no_mangle)]
extern "C" fn uaio_preload_init() {
    let (files, out, children) = (&crate::proc_files::REAL, &crate::ways_out::REAL, &crate::children::REAL);
    for real in files.iter().chain(out).chain(children) {
        real.get();
    }
    crate::children::remember_environment();
}
