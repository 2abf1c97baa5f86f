//! libc's `syscall`.
//!
//! It may be called inside malloc, before any constructor, in signal handlers and in children of vfork. So a number
//! that is not ours is passed on as libc does it: no stack frame, nothing of ours touched, errno on error.

use core::arch::global_asm;
use core::ffi::{c_int, c_long};

use uaio::abi::{AioSigset, IoEvent, Iocb, Timespec, nr};
use uaio_libaio::core_table::current;

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".pushsection .text.uaio.syscall,\"ax\",@progbits",
    ".globl syscall",
    ".type syscall, @function",
    "syscall:",
    "lea -206(%rdi), %rax",
    "cmp $4, %rax",
    "jbe 2f",
    "cmp $333, %rdi",
    "je 2f",
    "mov %rdi, %rax",
    "mov %rsi, %rdi",
    "mov %rdx, %rsi",
    "mov %rcx, %rdx",
    "mov %r8, %r10",
    "mov %r9, %r8",
    "mov 8(%rsp), %r9",
    "syscall",
    "cmp $-4095, %rax",
    "jae 1f",
    "ret",
    "1:",
    "mov %rax, %rdi",
    "jmp uaio_set_errno",
    "2:",
    // The seventh argument of the caller becomes the seventh of the handler: it is where it was.
    "jmp uaio_syscall",
    ".size syscall, . - syscall",
    ".popsection",
    options(att_syntax)
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".pushsection .text.uaio.syscall,\"ax\",%progbits",
    ".globl syscall",
    ".type syscall, %function",
    "syscall:",
    "cmp x0, #4",
    "b.ls 2f",
    "cmp x0, #292",
    "b.eq 2f",
    "mov x8, x0",
    "mov x0, x1",
    "mov x1, x2",
    "mov x2, x3",
    "mov x3, x4",
    "mov x4, x5",
    "mov x5, x6",
    "svc 0",
    "cmn x0, #4095",
    "b.cs 1f",
    "ret",
    "1: b uaio_set_errno",
    "2: b uaio_syscall",
    ".size syscall, . - syscall",
    ".popsection",
);

/// -1, with the errno of a raw result.
#[unsafe(no_mangle)]
extern "C" fn uaio_set_errno(raw: isize) -> c_long {
    // SAFETY: libc's address of the calling thread's errno.
    unsafe { *libc::__errno_location() = -(raw as c_int) };
    -1
}

/// One of the six calls, as libc's `syscall` answers it.
///
/// # Safety
/// As the call of that number.
#[unsafe(no_mangle)]
unsafe extern "C" fn uaio_syscall(
    number: usize,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    let core = current();
    // SAFETY: the caller's call; the arguments are those of the system call, in its order.
    let raw = unsafe {
        match number {
            nr::IO_SETUP => (core.io_setup)(a as u32, b as *mut usize),
            nr::IO_DESTROY => (core.io_destroy)(a),
            nr::IO_SUBMIT => (core.io_submit)(a, b as isize, c as *const *mut Iocb),
            nr::IO_CANCEL => (core.io_cancel)(a, b as *mut Iocb, c as *mut IoEvent),
            nr::IO_GETEVENTS => {
                (core.io_getevents)(a, b as isize, c as isize, d as *mut IoEvent, e as *const Timespec)
            }
            _ => (core.io_pgetevents)(
                a,
                b as isize,
                c as isize,
                d as *mut IoEvent,
                e as *const Timespec,
                f as *const AioSigset,
            ),
        }
    };
    if (-4095..0).contains(&raw) { uaio_set_errno(raw) } else { raw as c_long }
}
