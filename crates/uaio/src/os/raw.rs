//! The `syscall` instruction.

#[cfg(not(miri))]
use core::arch::asm;

use crate::errno::{Errno, Result};

#[cfg(miri)]
pub(crate) use super::miri::syscall6;

/// Makes system call `nr` and returns the kernel's raw answer.
///
/// # Safety
/// The arguments must be what the call demands: the kernel reads and writes the memory that they name.
#[cfg(not(miri))]
#[inline]
pub(crate) unsafe fn syscall6(nr: usize, a: [usize; 6]) -> isize {
    let ret: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller answers for the arguments; rcx and r11 are the only registers clobbered.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") nr as isize => ret,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the caller answers for the arguments; only x0 is written.
    unsafe {
        asm!(
            "svc 0",
            in("x8") nr,
            inlateout("x0") a[0] as isize => ret,
            in("x1") a[1], in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") a[5],
            options(nostack)
        );
    }
    ret
}

/// Splits a raw answer into value and error.
#[inline]
pub(crate) fn check(ret: isize) -> Result<usize> {
    if (-4095..0).contains(&ret) { Err(Errno::from_raw(ret)) } else { Ok(ret as usize) }
}

/// Fills up to six arguments.
#[inline]
pub(crate) fn six<const N: usize>(given: [usize; N]) -> [usize; 6] {
    core::array::from_fn(|i| if i < N { given[i] } else { 0 })
}

/// `sys!(SYS_read, fd, ptr, len)`: a system call as `Result<usize>`. Unsafe as [`syscall6`] is.
macro_rules! sys {
    ($nr:ident $(, $arg:expr)*) => {{
        #[allow(clippy::cast_lossless, clippy::unnecessary_cast)]
        let given = [$($arg as usize),*];
        crate::os::raw::check(crate::os::raw::syscall6(libc::$nr as usize, crate::os::raw::six(given)))
    }};
}
pub(crate) use sys;
