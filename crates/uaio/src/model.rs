//! The doors through which the models of `tests/model_*.rs` reach the protocols, and what stands in for the kernel there.
//!
//! Exists under `--cfg loom` only. The code behind the doors is the library's own: atomics come from loom, a futex is
//! loom's mutex and condition variable, and mapped memory is allocated. `docs/models.md` tells what the models show.

pub(crate) mod atomic;
mod doors;
pub(crate) mod futex;
pub(crate) mod memory;

use std::sync::atomic::{AtomicUsize, Ordering};

pub use doors::{Context, Exclusive, Quiet, Request, Stack, Table};

loom::thread_local! {
    static ID: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(64);
        NEXT.fetch_add(64, Ordering::Relaxed)
    };
}

/// As the real one: all of loom's threads share one thread pointer.
pub(crate) fn thread_id() -> usize {
    ID.with(|id| *id)
}
