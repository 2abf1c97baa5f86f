//! Linux native AIO in user space.
//!
//! `io_setup`, `io_submit`, `io_getevents`, `io_pgetevents`, `io_cancel` and `io_destroy` as the kernel defines
//! them, over io_uring, worker threads, or the caller's own thread. The front ends (`libuaio_preload.so`,
//! `libaio.so.1`) are thin layers over [`entry`].

// A model does without what stands for the kernel elsewhere.
#![cfg_attr(any(loom, miri), allow(dead_code))]

#[cfg(not(target_os = "linux"))]
compile_error!("uaio implements Linux AIO and needs Linux system calls");

pub mod abi;
mod config;
mod context;
mod counters;
mod engine;
pub mod entry;
pub mod errno;
mod facts;
mod files;
mod inbox;
#[cfg(any(loom, miri))]
pub mod model;
mod os;
mod process;
mod request;
mod ring;
mod service;
mod slot;
pub mod stats;
mod submit;
mod sync;
mod table;
mod timers;
mod wait;
