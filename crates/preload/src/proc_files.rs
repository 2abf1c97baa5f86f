//! /proc/sys/fs/aio-max-nr and /proc/sys/fs/aio-nr, as they are for this process.
//!
//! Programs read them and refuse to start before they ever call io_setup. Only reading these two exact paths is
//! answered by us. The real call comes first, so whatever it does with a bad pointer stays as it is.

use core::ffi::{CStr, c_char, c_int, c_void};

use crate::real::Real;

type Open = unsafe extern "C" fn(*const c_char, c_int, c_int) -> c_int;
type OpenAt = unsafe extern "C" fn(c_int, *const c_char, c_int, c_int) -> c_int;
type Fopen = unsafe extern "C" fn(*const c_char, *const c_char) -> *mut libc::FILE;

pub(crate) static REAL: [Real; 10] = [
    Real::new(c"open"),
    Real::new(c"open64"),
    Real::new(c"__open_2"),
    Real::new(c"__open64_2"),
    Real::new(c"openat"),
    Real::new(c"openat64"),
    Real::new(c"__openat_2"),
    Real::new(c"__openat64_2"),
    Real::new(c"fopen"),
    Real::new(c"fopen64"),
];

unsafe extern "C" {
    /// Ours, which passes other numbers on.
    fn syscall(number: libc::c_long, ...) -> libc::c_long;
}

/// What the file at `path` has to say, if it is one of the two.
///
/// # Safety
/// `path` is NUL-terminated: the kernel has read it.
unsafe fn answer(path: *const c_char) -> Option<u64> {
    // SAFETY: the caller's promise.
    match unsafe { CStr::from_ptr(path) }.to_bytes() {
        b"/proc/sys/fs/aio-max-nr" => Some(uaio::entry::aio_max_nr()),
        b"/proc/sys/fs/aio-nr" => Some(uaio::entry::aio_nr()),
        _ => None,
    }
}

fn errno() -> c_int {
    // SAFETY: libc's address of the calling thread's errno.
    unsafe { *libc::__errno_location() }
}

fn set_errno(value: c_int) {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = value };
}

/// Replaces what a real open returned by our answer, where the path is one of ours.
///
/// # Safety
/// The real call was made with `path`.
unsafe fn replace(fd: c_int, path: *const c_char, flags: c_int, before: c_int) -> c_int {
    if uaio::entry::is_off() || (fd < 0 && errno() == libc::EFAULT) || flags & libc::O_ACCMODE != libc::O_RDONLY {
        return fd;
    }
    // SAFETY: the kernel has read the path.
    let Some(value) = (unsafe { answer(path) }) else { return fd };
    let (kept, ours) = (errno(), file_with(value, flags));
    match ours {
        None => set_errno(kept),
        Some(_) => set_errno(before),
    }
    match ours {
        None => fd,
        Some(ours) if fd < 0 => ours,
        Some(ours) => {
            let cloexec = flags & libc::O_CLOEXEC;
            // SAFETY: both descriptors are open, and `fd` was opened for this call.
            unsafe {
                libc::dup3(ours, fd, cloexec);
                libc::close(ours);
            }
            fd
        }
    }
}

/// A read-only file that holds `value` and a line feed.
fn file_with(value: u64, flags: c_int) -> Option<c_int> {
    let mut text = [0u8; 24];
    let len = decimal(value, &mut text);
    let cloexec = if flags & libc::O_CLOEXEC != 0 { libc::MFD_CLOEXEC } else { 0 };
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: a name of ours, a buffer of ours, and a descriptor that is ours until it is returned.
    unsafe {
        let fd = libc::memfd_create(c"aio-nr".as_ptr(), cloexec | libc::MFD_ALLOW_SEALING);
        if fd < 0 {
            return None;
        }
        libc::pwrite(fd, text.as_ptr().cast(), len, 0);
        libc::fcntl(fd, libc::F_ADD_SEALS, seals);
        Some(fd)
    }
}

fn decimal(value: u64, out: &mut [u8; 24]) -> usize {
    let digits = value.checked_ilog10().map_or(1, |log| log as usize + 1);
    let mut rest = value;
    for place in out[..digits].iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out[digits] = b'\n';
    digits + 1
}

/// # Safety
/// As open.
unsafe fn open_as(real: &Real, path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    let before = errno();
    // SAFETY: the caller's call, by libc's function or, before the library is initialised, by the kernel's.
    unsafe {
        let fd = match real.known() {
            known if known.is_null() => {
                syscall(libc::SYS_openat, libc::AT_FDCWD, path, flags as usize, mode as usize) as c_int
            }
            known => core::mem::transmute::<*mut c_void, Open>(known)(path, flags, mode),
        };
        replace(fd, path, flags, before)
    }
}

/// # Safety
/// As openat.
unsafe fn openat_as(real: &Real, dir: c_int, path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    let before = errno();
    // SAFETY: as in `open_as`.
    unsafe {
        let fd = match real.known() {
            known if known.is_null() => {
                syscall(libc::SYS_openat, dir as isize, path, flags as usize, mode as usize) as c_int
            }
            known => core::mem::transmute::<*mut c_void, OpenAt>(known)(dir, path, flags, mode),
        };
        replace(fd, path, flags, before)
    }
}

/// # Safety
/// As fopen.
unsafe fn fopen_as(real: &Real, path: *const c_char, mode: *const c_char) -> *mut libc::FILE {
    let before = errno();
    let real = real.get();
    if real.is_null() {
        set_errno(libc::ENOSYS);
        return core::ptr::null_mut();
    }
    // SAFETY: the caller's call; afterwards libc has read both strings, unless it said EFAULT.
    unsafe {
        let file = core::mem::transmute::<*mut c_void, Fopen>(real)(path, mode);
        let reads = *mode == b'r' as c_char && !CStr::from_ptr(mode).to_bytes().contains(&b'+');
        if uaio::entry::is_off() || !reads || (file.is_null() && errno() == libc::EFAULT) {
            return file;
        }
        let Some(value) = answer(path) else { return file };
        let cloexec = if CStr::from_ptr(mode).to_bytes().contains(&b'e') { libc::O_CLOEXEC } else { 0 };
        let Some(fd) = file_with(value, cloexec) else { return file };
        if !file.is_null() {
            libc::fclose(file);
        }
        set_errno(before);
        libc::fdopen(fd, mode)
    }
}

macro_rules! open {
    ($($name:ident = $index:literal),*) => {$(
        /// # Safety
        /// As libc's function of this name.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
            // SAFETY: the caller's call.
            unsafe { open_as(&REAL[$index], path, flags, mode) }
        }
    )*};
}

macro_rules! openat {
    ($($name:ident = $index:literal),*) => {$(
        /// # Safety
        /// As libc's function of this name.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(dir: c_int, path: *const c_char, flags: c_int, mode: c_int) -> c_int {
            // SAFETY: the caller's call.
            unsafe { openat_as(&REAL[$index], dir, path, flags, mode) }
        }
    )*};
}

macro_rules! fopen {
    ($($name:ident = $index:literal),*) => {$(
        /// # Safety
        /// As libc's function of this name.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(path: *const c_char, mode: *const c_char) -> *mut libc::FILE {
            // SAFETY: the caller's call.
            unsafe { fopen_as(&REAL[$index], path, mode) }
        }
    )*};
}

open!(open = 0, open64 = 1, __open_2 = 2, __open64_2 = 3);
openat!(openat = 4, openat64 = 5, __openat_2 = 6, __openat64_2 = 7);
fopen!(fopen = 8, fopen64 = 9);
