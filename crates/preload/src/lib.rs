//! The LD_PRELOAD library.
//!
//! It exports libaio's functions (from `uaio-libaio`), libc's `syscall` for the six calls, the opens of the two files
//! in /proc that programs read before they use AIO, and the ways out of a process, so that accepted writes are
//! performed first. Everything else of the program's goes where it always went.

mod children;
mod proc_files;
mod real;
mod syscall;
mod ways_out;

use uaio_libaio::core_table;

/// The one core of the process, which the linker exports as `uaio_core` for `libaio.so.1` to find.
#[unsafe(no_mangle)]
extern "C" fn uaio_preload_core() -> *const core_table::Core {
    core_table::uaio_own_core()
}
