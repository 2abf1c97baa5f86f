//! Every system call that the library makes, as direct system calls.
//!
//! libc's `syscall` may be ours (the preload replaces it), so nothing here calls it. Nothing here reads or
//! writes errno, allocates, or keeps state.

pub(crate) mod epoll;
pub(crate) mod eventfd;
pub(crate) mod file;
pub(crate) mod futex;
pub(crate) mod kernel_aio;
pub(crate) mod kernel_uring;
pub(crate) mod lock;
pub(crate) mod mem;
#[cfg(miri)]
pub(crate) mod miri;
pub(crate) mod probe;
pub(crate) mod raw;
#[cfg_attr(miri, path = "socket_miri.rs")]
pub(crate) mod socket;
pub(crate) mod thread;
pub(crate) mod time;
