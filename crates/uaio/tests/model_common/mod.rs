//! How a model is explored.
#![allow(dead_code)]

#[cfg(loom)]
pub use loom::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};
#[cfg(miri)]
pub use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

/// Miri chooses the order of the threads, by its seed.
#[cfg(miri)]
pub fn explore(_preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    (0..3).for_each(|_| model());
}

#[cfg(loom)]
/// Runs `model` in every order of its threads with at most `preemptions` switches that a thread did not ask for
/// (LOOM_MAX_PREEMPTIONS overrides it), and with every value that a load may see there.
pub fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.max_branches = 100_000;
    let (runs, from) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let counted = runs.clone();
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    eprintln!("{name}: {} executions in {:.1} s", runs.load(Ordering::Relaxed), from.elapsed().as_secs_f32());
}
