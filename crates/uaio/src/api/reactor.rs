//! The thread that waits on behalf of tasks, where nobody else drives the context.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::shared::Shared;
use crate::os::lock::{block_signals, restore_signals};

/// It ends after so long without a task that waits.
const IDLE: Duration = Duration::from_secs(1);

/// Makes sure that tasks are woken. False: no thread can be had.
pub(crate) fn start(shared: &Arc<Shared>) -> bool {
    if shared.is_driven() {
        return true;
    }
    let mut state = shared.lock();
    if state.reactor {
        drop(state);
        shared.asked.notify_all();
        return true;
    }
    state.reactor = true;
    drop(state);
    let waiting = Arc::clone(shared);
    // Signals are the program's threads' matter.
    let mask = block_signals();
    let started = std::thread::Builder::new().name("uaio-wake".into()).spawn(move || run(&waiting)).is_ok();
    restore_signals(mask);
    shared.lock().reactor &= started;
    started
}

fn run(shared: &Shared) {
    loop {
        // It reaps as any waiting thread does.
        shared.wait_until(None, |state| (state.wakers == 0).then_some(()));
        let mut state = shared.lock();
        while state.wakers == 0 {
            if state.closed {
                state.reactor = false;
                return;
            }
            let (back, waited) = shared.asked.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = back;
            if waited.timed_out() && state.wakers == 0 {
                state.reactor = false;
                return;
            }
        }
    }
}
