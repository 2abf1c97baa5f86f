//! Programs that this one starts with an environment of its own making.
//!
//! `uaio run` is meant for a program and all that it starts. A child that gets an environment without LD_PRELOAD
//! would be on the kernel, unlike its siblings; so where there is none, ours is added, with the UAIO_ settings that
//! this process was started with. An LD_PRELOAD of the program's own making is left as it is.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::real::Real;

type Execve = unsafe extern "C" fn(*const c_char, *const *const c_char, Environment) -> c_int;
type Fexecve = unsafe extern "C" fn(c_int, *const *const c_char, Environment) -> c_int;
type Execveat = unsafe extern "C" fn(c_int, *const c_char, *const *const c_char, Environment, c_int) -> c_int;
type Spawn = unsafe extern "C" fn(
    *mut libc::pid_t,
    *const c_char,
    *const c_void,
    *const c_void,
    *const *const c_char,
    Environment,
) -> c_int;

type Environment = *const *const c_char;

pub(crate) static REAL: [Real; 6] = [
    Real::new(c"execve"),
    Real::new(c"execvpe"),
    Real::new(c"fexecve"),
    Real::new(c"execveat"),
    Real::new(c"posix_spawn"),
    Real::new(c"posix_spawnp"),
];

/// Our variables, as this process was started with them: NUL-terminated, one after the other. A copy, for programs
/// write over their environment (setproctitle).
static mut OURS: [u8; OURS_BYTES] = [0; OURS_BYTES];
static OURS_LEN: AtomicUsize = AtomicUsize::new(0);
const OURS_BYTES: usize = 8192;
/// Variables of a child's environment to which ours can be added; a larger one is left as it is.
const MOST: usize = 2000;
/// Room for ours and the final null.
const SPACE: usize = MOST + 16;

const PRELOAD: &[u8] = b"LD_PRELOAD=";

unsafe extern "C" {
    static environ: Environment;
}

/// Takes the copy. Called once, when the library is initialised, before any other thread exists.
pub(crate) fn remember_environment() {
    let mut len = 0;
    // SAFETY: libc has set `environ` by now: null, or a null-terminated array of strings.
    let mut at = unsafe { environ };
    // SAFETY: as above; the buffer is ours alone.
    unsafe {
        while !at.is_null() && !(*at).is_null() {
            let bytes = CStr::from_ptr(*at).to_bytes_with_nul();
            let ours = bytes.starts_with(PRELOAD) || bytes.starts_with(b"UAIO_");
            if ours && len + bytes.len() <= OURS_BYTES {
                let place = (&raw mut OURS).cast::<u8>().add(len);
                core::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
                len += bytes.len();
            }
            at = at.add(1);
        }
    }
    // Release: pairs with the Acquire in `ours`.
    OURS_LEN.store(len, Ordering::Release);
}

fn ours() -> impl Iterator<Item = &'static [u8]> {
    let len = OURS_LEN.load(Ordering::Acquire);
    // SAFETY: written before `OURS_LEN`, never again.
    let all = unsafe { core::slice::from_raw_parts((&raw const OURS).cast::<u8>(), len) };
    all.split_inclusive(|b| *b == 0).take(SPACE - MOST - 1)
}

/// Whether the string at `text` begins with `prefix`. A bad pointer does not, and is left for the kernel to refuse.
fn begins_with(text: *const c_char, prefix: &[u8]) -> bool {
    // The byte-wise look never reads beyond the string's end.
    (0..prefix.len()).all(|i| {
        let at = text.wrapping_add(i);
        // SAFETY: looked at a moment ago.
        uaio::entry::is_readable(at as usize, 1) && unsafe { *at.cast::<u8>() } == prefix[i]
    })
}

/// The environment for a child: `given`, or a copy in `space` with ours added.
fn complete(given: Environment, space: &mut [*const c_char; SPACE]) -> Environment {
    let mut count = 0;
    loop {
        let at = given.wrapping_add(count);
        if count == MOST || !uaio::entry::is_readable(at as usize, size_of::<*const c_char>()) {
            return given;
        }
        // SAFETY: looked at a moment ago.
        let text = unsafe { *at };
        if text.is_null() {
            break;
        }
        if begins_with(text, PRELOAD) {
            return given;
        }
        space[count] = text;
        count += 1;
    }
    let theirs = count;
    for variable in ours() {
        let name = &variable[..=variable.iter().position(|b| *b == b'=').unwrap_or(0)];
        if !space[..theirs].iter().any(|text| begins_with(*text, name)) {
            space[count] = variable.as_ptr().cast();
            count += 1;
        }
    }
    space[count] = core::ptr::null();
    space.as_ptr()
}

/// # Safety
/// As execve; also used for execvpe, which has the same arguments.
unsafe fn execve_as(real: &Real, path: *const c_char, argv: *const *const c_char, envp: Environment) -> c_int {
    uaio::entry::drain();
    let mut space = [core::ptr::null(); SPACE];
    // SAFETY: the caller's call, by libc's function.
    unsafe { core::mem::transmute::<*mut c_void, Execve>(real.get())(path, argv, complete(envp, &mut space)) }
}

/// # Safety
/// As libc's function of this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn execve(path: *const c_char, argv: *const *const c_char, envp: Environment) -> c_int {
    // SAFETY: the caller's call.
    unsafe { execve_as(&REAL[0], path, argv, envp) }
}

/// # Safety
/// As libc's function of this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn execvpe(file: *const c_char, argv: *const *const c_char, envp: Environment) -> c_int {
    // SAFETY: the caller's call.
    unsafe { execve_as(&REAL[1], file, argv, envp) }
}

/// # Safety
/// As libc's function of this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn fexecve(fd: c_int, argv: *const *const c_char, envp: Environment) -> c_int {
    uaio::entry::drain();
    let mut space = [core::ptr::null(); SPACE];
    // SAFETY: the caller's call, by libc's function.
    unsafe { core::mem::transmute::<*mut c_void, Fexecve>(REAL[2].get())(fd, argv, complete(envp, &mut space)) }
}

/// # Safety
/// As libc's function of this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn execveat(
    dir: c_int,
    path: *const c_char,
    argv: *const *const c_char,
    envp: Environment,
    flags: c_int,
) -> c_int {
    uaio::entry::drain();
    let mut space = [core::ptr::null(); SPACE];
    let real = REAL[3].get();
    if real.is_null() {
        return crate::ways_out::no_such_function();
    }
    // SAFETY: the caller's call, by libc's function.
    unsafe {
        core::mem::transmute::<*mut c_void, Execveat>(real)(dir, path, argv, complete(envp, &mut space), flags)
    }
}

macro_rules! spawn {
    ($($name:ident = $index:literal),*) => {$(
        /// # Safety
        /// As libc's function of this name.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            pid: *mut libc::pid_t,
            path: *const c_char,
            actions: *const c_void,
            attributes: *const c_void,
            argv: *const *const c_char,
            envp: Environment,
        ) -> c_int {
            let mut space = [core::ptr::null(); SPACE];
            let real = REAL[$index].get();
            let envp = complete(envp, &mut space);
            // SAFETY: the caller's call, by libc's function.
            unsafe { core::mem::transmute::<*mut c_void, Spawn>(real)(pid, path, actions, attributes, argv, envp) }
        }
    )*};
}

spawn!(posix_spawn = 4, posix_spawnp = 5);
