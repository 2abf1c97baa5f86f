//! The doors through which the models of `tests/model_*.rs` reach the protocols, and what stands in for the kernel there.
//!
//! Exists under `--cfg loom` and under Miri only. The code behind the doors is the library's own: the atomics are loom's or
//! Miri's, a futex is a mutex and a condition variable, and mapped memory is allocated. `docs/models.md` tells what
//! the models show.

#[cfg(loom)]
pub(crate) mod atomic;
mod doors;
pub(crate) mod futex;
pub(crate) mod memory;

use std::sync::atomic::{AtomicUsize, Ordering};

pub use doors::{Context, Exclusive, InFlight, Inside, Quiet, Request, Stack, Table};

use crate::sync::UnsafeCell;

#[cfg(loom)]
pub(crate) use loom::thread::yield_now;
#[cfg(miri)]
pub(crate) use std::thread::yield_now;

#[cfg(loom)]
use loom::thread_local;

fn next_id() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(64);
    NEXT.fetch_add(64, Ordering::Relaxed)
}

thread_local! {
    static ID: usize = next_id();
}

/// As the real one: all of loom's threads share one thread pointer, and Miri has none.
pub(crate) fn thread_id() -> usize {
    ID.with(|id| *id)
}

/// A look at what is in the cell, counted as one.
#[track_caller]
pub(crate) fn look<T>(cell: &UnsafeCell<T>) -> *const T {
    #[cfg(loom)]
    return cell.look();
    #[cfg(miri)]
    cell.get()
}
