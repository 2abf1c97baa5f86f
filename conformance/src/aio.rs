//! The six calls of one implementation, with raw results: a value, or a negated errno.

use uaio::abi::{AioSigset, IoEvent, Iocb, Timespec, nr};
use uaio::entry;

/// Whose AIO is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The kernel's, by system calls.
    Kernel,
    /// uaio in this process, on the named engine.
    Core(String),
    /// Whatever libc's `syscall` leads to: the kernel, or a preload library.
    Syscall,
    /// A libaio.so.1.
    Libaio(String),
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        match text.split_once('=').unwrap_or((text, "")) {
            ("kernel", "") => Ok(Target::Kernel),
            ("core", engine) => Ok(Target::Core(if engine.is_empty() { "auto" } else { engine }.into())),
            ("syscall", "") => Ok(Target::Syscall),
            ("libaio", path) if !path.is_empty() => Ok(Target::Libaio(path.into())),
            _ => Err(format!("{text} is no target: kernel, core, syscall, libaio=PATH")),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Kernel => f.write_str("kernel"),
            Target::Core(engine) => write!(f, "core, engine {engine}"),
            Target::Syscall => f.write_str("syscall"),
            Target::Libaio(path) => write!(f, "libaio={path}"),
        }
    }
}

type Setup = unsafe extern "C" fn(u32, *mut usize) -> isize;
type Destroy = unsafe extern "C" fn(usize) -> isize;
type Submit = unsafe extern "C" fn(usize, isize, *const *mut Iocb) -> isize;
type Cancel = unsafe extern "C" fn(usize, *mut Iocb, *mut IoEvent) -> isize;
type Getevents = unsafe extern "C" fn(usize, isize, isize, *mut IoEvent, *const Timespec) -> isize;
type Pgetevents =
    unsafe extern "C" fn(usize, isize, isize, *mut IoEvent, *const Timespec, *const AioSigset) -> isize;

/// The six calls.
#[derive(Clone, Copy)]
pub struct Calls {
    pub io_setup: Setup,
    pub io_destroy: Destroy,
    pub io_submit: Submit,
    pub io_cancel: Cancel,
    pub io_getevents: Getevents,
    pub io_pgetevents: Pgetevents,
}

impl Calls {
    /// Of `target`, or why not. To be called in the process that runs the case: an engine is chosen once per process.
    pub fn of(target: &Target) -> Result<Calls, String> {
        match target {
            Target::Kernel => Ok(KERNEL),
            Target::Core(engine) => {
                // SAFETY: the process of a case has one thread at this time.
                unsafe { std::env::set_var("UAIO_ENGINE", engine) };
                Ok(CORE)
            }
            Target::Syscall => Ok(SYSCALL),
            Target::Libaio(path) if cfg!(target_feature = "crt-static") => {
                Err(format!("{path} cannot be loaded: this program is statically linked"))
            }
            Target::Libaio(path) => libaio::open(path),
        }
    }
}

const CORE: Calls = Calls {
    io_setup: entry::io_setup,
    io_destroy: entry::io_destroy,
    io_submit: entry::io_submit,
    io_cancel: entry::io_cancel,
    io_getevents: entry::io_getevents,
    io_pgetevents: entry::io_pgetevents,
};

macro_rules! six_calls {
    ($name:ident, $module:ident, $call:path) => {
        const $name: Calls = Calls {
            io_setup: $module::setup,
            io_destroy: $module::destroy,
            io_submit: $module::submit,
            io_cancel: $module::cancel,
            io_getevents: $module::getevents,
            io_pgetevents: $module::pgetevents,
        };

        mod $module {
            use super::*;
            pub unsafe extern "C" fn setup(n: u32, c: *mut usize) -> isize {
                unsafe { $call(nr::IO_SETUP, [n as usize, c as usize, 0, 0, 0, 0]) }
            }
            pub unsafe extern "C" fn destroy(c: usize) -> isize {
                unsafe { $call(nr::IO_DESTROY, [c, 0, 0, 0, 0, 0]) }
            }
            pub unsafe extern "C" fn submit(c: usize, n: isize, p: *const *mut Iocb) -> isize {
                unsafe { $call(nr::IO_SUBMIT, [c, n as usize, p as usize, 0, 0, 0]) }
            }
            pub unsafe extern "C" fn cancel(c: usize, i: *mut Iocb, r: *mut IoEvent) -> isize {
                unsafe { $call(nr::IO_CANCEL, [c, i as usize, r as usize, 0, 0, 0]) }
            }
            pub unsafe extern "C" fn getevents(
                c: usize,
                m: isize,
                n: isize,
                e: *mut IoEvent,
                t: *const Timespec,
            ) -> isize {
                unsafe { $call(nr::IO_GETEVENTS, [c, m as usize, n as usize, e as usize, t as usize, 0]) }
            }
            pub unsafe extern "C" fn pgetevents(
                c: usize,
                m: isize,
                n: isize,
                e: *mut IoEvent,
                t: *const Timespec,
                s: *const AioSigset,
            ) -> isize {
                unsafe {
                    $call(nr::IO_PGETEVENTS, [c, m as usize, n as usize, e as usize, t as usize, s as usize])
                }
            }
        }
    };
}

six_calls!(KERNEL, kernel, super::raw);
six_calls!(SYSCALL, by_libc, super::through_libc);

/// The `syscall` instruction: libc's function may lead elsewhere.
///
/// # Safety
/// As the call.
unsafe fn raw(number: usize, a: [usize; 6]) -> isize {
    let ret: isize;
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("syscall", inlateout("rax") number as isize => ret, in("rdi") a[0], in("rsi") a[1],
            in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _);
    }
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!("svc 0", in("x8") number, inlateout("x0") a[0] as isize => ret, in("x1") a[1],
            in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") a[5]);
    }
    ret
}

/// # Safety
/// As the call.
unsafe fn through_libc(number: usize, a: [usize; 6]) -> isize {
    let ret = unsafe { libc::syscall(number as libc::c_long, a[0], a[1], a[2], a[3], a[4], a[5]) };
    if ret == -1 { -(std::io::Error::last_os_error().raw_os_error().unwrap() as isize) } else { ret as isize }
}

/// A libaio.so.1: int results, and a signal mask in place of the block of io_pgetevents.
mod libaio {
    use super::*;
    use std::sync::OnceLock;

    static FOUND: OnceLock<[usize; 6]> = OnceLock::new();

    pub fn open(path: &str) -> Result<Calls, String> {
        let path = std::ffi::CString::new(path).map_err(|e| e.to_string())?;
        let names = [c"io_setup", c"io_destroy", c"io_submit", c"io_cancel", c"io_getevents", c"io_pgetevents"];
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        if handle.is_null() {
            return Err(unsafe { std::ffi::CStr::from_ptr(libc::dlerror()) }.to_string_lossy().into_owned());
        }
        let found = names.map(|name| unsafe { libc::dlsym(handle, name.as_ptr()) } as usize);
        if found.contains(&0) {
            return Err(format!("{path:?} has not all six functions"));
        }
        FOUND.set(found).map_err(|_| "a process tries one libaio".to_string())?;
        Ok(Calls {
            io_setup: setup,
            io_destroy: destroy,
            io_submit: submit,
            io_cancel: cancel,
            io_getevents: getevents,
            io_pgetevents: pgetevents,
        })
    }

    fn found(index: usize) -> usize {
        FOUND.get().unwrap()[index]
    }

    unsafe extern "C" fn setup(n: u32, c: *mut usize) -> isize {
        let f: extern "C" fn(i32, *mut usize) -> i32 = unsafe { std::mem::transmute(found(0)) };
        f(n as i32, c) as isize
    }
    unsafe extern "C" fn destroy(c: usize) -> isize {
        let f: extern "C" fn(usize) -> i32 = unsafe { std::mem::transmute(found(1)) };
        f(c) as isize
    }
    unsafe extern "C" fn submit(c: usize, n: isize, p: *const *mut Iocb) -> isize {
        let f: extern "C" fn(usize, isize, *const *mut Iocb) -> i32 = unsafe { std::mem::transmute(found(2)) };
        f(c, n, p) as isize
    }
    unsafe extern "C" fn cancel(c: usize, i: *mut Iocb, r: *mut IoEvent) -> isize {
        let f: extern "C" fn(usize, *mut Iocb, *mut IoEvent) -> i32 = unsafe { std::mem::transmute(found(3)) };
        f(c, i, r) as isize
    }
    unsafe extern "C" fn getevents(c: usize, m: isize, n: isize, e: *mut IoEvent, t: *const Timespec) -> isize {
        let f: extern "C" fn(usize, isize, isize, *mut IoEvent, *const Timespec) -> i32 =
            unsafe { std::mem::transmute(found(4)) };
        f(c, m, n, e, t) as isize
    }
    unsafe extern "C" fn pgetevents(
        c: usize,
        m: isize,
        n: isize,
        e: *mut IoEvent,
        t: *const Timespec,
        s: *const AioSigset,
    ) -> isize {
        let f: extern "C" fn(usize, isize, isize, *mut IoEvent, *const Timespec, usize) -> i32 =
            unsafe { std::mem::transmute(found(5)) };
        let mask = if s.is_null() { 0 } else { unsafe { (*s).sigmask } };
        f(c, m, n, e, t, mask) as isize
    }
}
