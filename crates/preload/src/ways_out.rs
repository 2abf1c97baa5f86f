//! The ways out of a process, and into another program: accepted writes are performed first.
//!
//! Each name is a trampoline that saves the argument registers, drains, and jumps to libc's function with
//! everything as it was; so the variadic ones need no special care. Those that take an environment are in
//! `children.rs`.

use core::arch::global_asm;
use core::ffi::c_void;

use crate::real::Real;

/// In the order of the trampolines below.
pub(crate) static REAL: [Real; 8] = [
    Real::new(c"_exit"),
    Real::new(c"_Exit"),
    Real::new(c"quick_exit"),
    Real::new(c"execv"),
    Real::new(c"execvp"),
    Real::new(c"execl"),
    Real::new(c"execlp"),
    Real::new(c"execle"),
];

/// Drains; returns the address of libc's function `index`.
#[unsafe(no_mangle)]
extern "C" fn uaio_way_out(index: usize) -> *mut c_void {
    uaio::entry::drain();
    match REAL[index].get() {
        found if found.is_null() => no_such_function as *mut c_void,
        found => found,
    }
}

/// In place of a function that libc does not have.
pub(crate) extern "C" fn no_such_function() -> core::ffi::c_int {
    // SAFETY: libc's address of the calling thread's errno.
    unsafe { *libc::__errno_location() = libc::ENOSYS };
    -1
}

#[cfg(target_arch = "x86_64")]
macro_rules! way_out {
    ($name:literal, $index:literal) => {
        global_asm!(
            ".pushsection .text.uaio.exports,\"ax\",@progbits",
            concat!(".globl ", $name),
            concat!(".type ", $name, ", @function"),
            concat!($name, ":"),
            "push %rdi; push %rsi; push %rdx; push %rcx; push %r8; push %r9; push %rax",
            concat!("mov $", $index, ", %edi"),
            "call uaio_way_out",
            "mov %rax, %r11",
            "pop %rax; pop %r9; pop %r8; pop %rcx; pop %rdx; pop %rsi; pop %rdi",
            "jmp *%r11",
            concat!(".size ", $name, ", . - ", $name),
            ".popsection",
            options(att_syntax)
        );
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! way_out {
    ($name:literal, $index:literal) => {
        global_asm!(
            ".pushsection .text.uaio.exports,\"ax\",%progbits",
            concat!(".globl ", $name),
            concat!(".type ", $name, ", %function"),
            concat!($name, ":"),
            "stp x29, x30, [sp, #-80]!",
            "stp x0, x1, [sp, #16]",
            "stp x2, x3, [sp, #32]",
            "stp x4, x5, [sp, #48]",
            "stp x6, x7, [sp, #64]",
            concat!("mov x0, #", $index),
            "bl uaio_way_out",
            "mov x16, x0",
            "ldp x0, x1, [sp, #16]",
            "ldp x2, x3, [sp, #32]",
            "ldp x4, x5, [sp, #48]",
            "ldp x6, x7, [sp, #64]",
            "ldp x29, x30, [sp], #80",
            "br x16",
            concat!(".size ", $name, ", . - ", $name),
            ".popsection",
        );
    };
}

way_out!("_exit", "0");
way_out!("_Exit", "1");
way_out!("quick_exit", "2");
way_out!("execv", "3");
way_out!("execvp", "4");
way_out!("execl", "5");
way_out!("execlp", "6");
way_out!("execle", "7");
