//! The exported names and their versions, as libaio 0.3.113 has them.
//!
//! Each is a jump to a function of `calls.rs`. They are assembly because a name can have two versions.

use core::arch::global_asm;

#[cfg(target_arch = "x86_64")]
macro_rules! jump {
    () => {
        "jmp"
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! jump {
    () => {
        "b"
    };
}

macro_rules! export {
    ($name:literal, $target:literal) => {
        global_asm!(
            ".pushsection .text.uaio.exports,\"ax\",%progbits",
            concat!(".globl ", $name),
            concat!(".type ", $name, ", %function"),
            concat!($name, ":"),
            concat!(jump!(), " ", $target),
            concat!(".size ", $name, ", . - ", $name),
            ".popsection",
        );
    };
    ($alias:literal, $target:literal, $version:literal) => {
        export!($alias, $target);
        global_asm!(concat!(".symver ", $alias, ", ", $version));
    };
}

// The preload library exports `uaio_core`; where there is none, this copy's own core is the one.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".pushsection .text.uaio.exports,\"ax\",@progbits",
    ".weak uaio_core",
    "uaio_current_core:",
    "mov uaio_core@GOTPCREL(%rip), %rax",
    "test %rax, %rax",
    "je 1f",
    "jmp *%rax",
    "1: jmp uaio_own_core",
    ".popsection",
    options(att_syntax)
);
#[cfg(target_arch = "aarch64")]
global_asm!(
    ".pushsection .text.uaio.exports,\"ax\",%progbits",
    ".weak uaio_core",
    "uaio_current_core:",
    "adrp x16, :got:uaio_core",
    "ldr x16, [x16, :got_lo12:uaio_core]",
    "cbz x16, 1f",
    "br x16",
    "1: b uaio_own_core",
    ".popsection",
);
global_asm!(".globl uaio_current_core");

// What was accepted is performed before the process ends; _exit, exec and signals only the preload library sees coming.
global_asm!(".pushsection .fini_array,\"aw\",%fini_array", ".p2align 3", ".quad uaio_lib_at_exit", ".popsection");

export!("io_setup", "uaio_lib_io_setup");
export!("io_destroy", "uaio_lib_io_destroy");
export!("io_submit", "uaio_lib_io_submit");
export!("io_pgetevents", "uaio_lib_io_pgetevents");
export!("io_queue_init", "uaio_lib_io_queue_init");
export!("io_queue_run", "uaio_lib_io_queue_run");
export!("io_queue_release", "uaio_lib_io_destroy");

#[cfg(not(feature = "static"))]
mod versions {
    use super::global_asm;

    export!("uaio_cancel_0_4", "uaio_lib_io_cancel", "io_cancel@@LIBAIO_0.4");
    export!("uaio_cancel_0_1", "uaio_lib_io_cancel_0_1", "io_cancel@LIBAIO_0.1");
    export!("uaio_getevents_0_4", "uaio_lib_io_getevents", "io_getevents@@LIBAIO_0.4");
    export!("uaio_getevents_0_1", "uaio_lib_io_getevents_0_1", "io_getevents@LIBAIO_0.1");
    export!("uaio_queue_wait_0_4", "uaio_lib_io_queue_wait", "io_queue_wait@@LIBAIO_0.4");
    export!("uaio_queue_wait_0_1", "uaio_lib_io_queue_wait", "io_queue_wait@LIBAIO_0.1");
}

#[cfg(feature = "static")]
mod plain {
    use super::global_asm;

    export!("io_cancel", "uaio_lib_io_cancel");
    export!("io_getevents", "uaio_lib_io_getevents");
    export!("io_queue_wait", "uaio_lib_io_queue_wait");
}
