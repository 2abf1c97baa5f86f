//! Completion-based file I/O: Linux's native AIO (`io_setup` … `io_destroy`) in user space, and a safe API over it.
//!
//! # What completion I/O is
//! With `read(2)` a thread asks and waits. With *readiness* (`epoll`) it waits until asking would not wait, which
//! files never say. With *completion* it hands over a request together with the buffer, goes on, and is told when the
//! request has ended. Until then the buffer belongs to the request: that is what makes completion I/O fast, and
//! what makes it easy to get wrong. Here the compiler keeps track of it:
//!
//! * an operation **owns** its buffer, and the completion gives it back;
//! * dropping a [`Context`] is `io_destroy`: it refuses, cancels, **waits**, and releases, so no buffer is freed while anything
//!   can still touch it; where it cannot be sure, it leaks;
//! * [`Context::scope`] waits too, and that makes borrowed buffers sound.
//!
//! ```
//! use uaio::{Context, Operation};
//!
//! # fn main() -> std::io::Result<()> {
//! let file = std::fs::File::open("/proc/self/exe")?;
//! let context = Context::new(32)?;
//! let ticket = context.submit(Operation::read(&file, vec![0; 4096], 0))?;
//! // … something else …
//! let (bytes, buffer) = ticket.wait().ok()?;
//! assert_eq!((bytes, &buffer[..4]), (4096, &b"\x7fELF"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! # Which type when
//! | you have | use | it costs |
//! |---|---|---|
//! | one thing to wait for | [`Ticket::wait`], [`Ticket::wait_timeout`] | one `io_getevents` for all that has come meanwhile, two if it must sleep |
//! | many, in any order | [`Completions`], an iterator; [`Completions::next_batch`] | the same; several are taken under one lock, and no search |
//! | a batch | [`Context::submit_all`] | one `io_submit` for each 32, one allocation in all |
//! | borrowed buffers | [`Context::scope`] | one allocation more when the scope is the first; blocks at its end |
//! | tasks, any executor | `ticket.await`, `Completions` as a `Stream` | a small thread of the context's while tasks wait |
//! | tasks on tokio | `uaio::tokio::drive` (feature `tokio`) | an eventfd, no thread |
//! | an event loop of your own | [`Builder::eventfd`], [`Context::dispatch`] | an eventfd write for each completion |
//! | `O_DIRECT` | [`AlignedBuf`], or [`BufferPool`] | with the pool an operation allocates nothing |
//! | error paths to test | [`Builder::faults`] | the engine `scripted`: what it does not make fail is real I/O |
//! | the raw calls | [`sys`] | nothing, and all the care is yours |
//!
//! An operation costs an uncontended lock at submit, or one for a batch, and at most one more when it is taken ([`Completions`]
//! takes up to 64 under one), and no allocation unless its buffer type is larger than 6 words (one then) or it has more than 8
//! pieces (one then; the room is kept). The calls underneath need not look at this library's own memory, as those of [`sys`] have
//! to at their caller's, and that about pays for it: with 32 in flight the CPU time of the process per request is within 5 % of
//! [`sys`]'s, from the page cache, from devices and from `/dev/zero`, with buffers from a pool as well (`cargo bench --bench
//! api_cost`). A context allocates about 400 bytes for each operation that it can have, once.
//!
//! # What is executed where
//! As with the kernel's AIO, `submit` itself performs what would not wait (reads from the page cache), and buffered,
//! extending and synchronous writes; so an accepted write to a file survives the process's end. What would wait goes to a
//! library thread: with io_uring, or, where that is forbidden, to worker threads. [`Builder::engine`] forces one,
//! `UAIO_ENGINE` does for contexts that do not. Threads are started when first needed and end when idle.
//!
//! # Threads, forks, forgetting
//! Everything is `Send` and `Sync` as far as its buffers are. One rule for completions: **whoever waits reaps**, and tells the others;
//! a context nobody waits for is reaped when it runs out of room. In a forked child the parent's contexts are inert
//! ([`Errno::EINVAL`]), and contexts of its own work. `mem::forget` of anything is sound.
//!
//! # Why there is no borrowed async
//! A future can be forgotten at any `.await`, and its borrows end then, without a destructor that could wait. The operation would
//! still write into the buffer. A scope's frame cannot be forgotten: only it can lend to an operation.
//!
//! # Features
//! `stream` (default): [`Completions`] is a `futures_core::Stream`. `tokio`: `uaio::tokio::drive`.
//!
//! Linux only, kernel 5.11 or later; Rust 1.95 or later. No C compiler, no build script.

// A model does without what stands for the kernel elsewhere.
#![cfg_attr(any(loom, miri), allow(dead_code))]
#![deny(missing_docs)]

#[cfg(not(target_os = "linux"))]
compile_error!("uaio implements Linux AIO and needs Linux system calls");

#[cfg(target_os = "linux")]
#[doc(hidden)]
pub mod abi;
#[cfg(target_os = "linux")]
mod api;
#[cfg(target_os = "linux")]
mod config;
#[cfg(target_os = "linux")]
mod context;
#[cfg(target_os = "linux")]
mod counters;
#[cfg(target_os = "linux")]
mod engine;
#[cfg(target_os = "linux")]
#[doc(hidden)]
pub mod entry;
#[cfg(target_os = "linux")]
pub mod errno;
#[cfg(target_os = "linux")]
mod facts;
#[cfg(target_os = "linux")]
#[doc(hidden)]
pub mod fault;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod hints;
#[cfg(target_os = "linux")]
mod inbox;
#[cfg(all(target_os = "linux", any(loom, miri)))]
#[doc(hidden)]
pub mod model;
#[cfg(target_os = "linux")]
mod os;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod request;
#[cfg(target_os = "linux")]
mod ring;
#[cfg(target_os = "linux")]
mod service;
#[cfg(target_os = "linux")]
mod slot;
#[cfg(target_os = "linux")]
#[doc(hidden)]
pub mod stats;
#[cfg(target_os = "linux")]
mod submit;
#[cfg(target_os = "linux")]
mod sync;
#[cfg(target_os = "linux")]
pub mod sys;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
mod timers;
#[cfg(target_os = "linux")]
mod wait;

#[cfg(all(target_os = "linux", feature = "tokio"))]
pub use api::tokio;
#[cfg(target_os = "linux")]
pub use api::{
    AlignedBuf, Batch, BufferPool, Builder, Cancel, Closing, Completion, Completions, Context, Ended, Engine,
    Faults, FaultsError, IntoIoFile, IoBuf, IoBufMut, IoFile, Operation, PoolBuf, Priority, Readiness, Rejected,
    RwFlags, Scope, ScopedTicket, Ticket,
};
#[cfg(target_os = "linux")]
pub use errno::Errno;

/// The README's examples are run as tests.
#[cfg(all(doctest, target_os = "linux"))]
#[doc = include_str!("../README.md")]
struct ReadMe;
