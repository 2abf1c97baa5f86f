//! The end of a context, waited for on a thread or in a task.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as Task, Poll, Waker};

use super::completion::Ended;
use super::context::Context;
use crate::os::lock::{block_signals, restore_signals};

/// The end of a context: [`wait`](Closing::wait) for it on a thread, or `.await` it in a task. Dropping it waits, too, unless it
/// was polled: then a thread of its own does.
#[must_use = "dropping this waits for the end of the context, and blocks"]
#[derive(Debug)]
pub struct Closing {
    context: Option<Context>,
    thread: Option<Arc<Mutex<Progress>>>,
}

#[derive(Debug, Default)]
struct Progress {
    ended: Option<Vec<Ended>>,
    waker: Option<Waker>,
}

impl Closing {
    pub(crate) fn new(context: Context) -> Closing {
        Closing { context: Some(context), thread: None }
    }

    /// Blocks until the context has ended. Returns what had not been dispatched before, in the order in which it ended;
    /// tickets have their results as well.
    #[must_use = "what was still to come"]
    pub fn wait(mut self) -> Vec<Ended> {
        self.context.take().map(close).unwrap_or_default()
    }
}

fn close(context: Context) -> Vec<Ended> {
    let shared = Arc::clone(&context.shared);
    if shared.is_ours() {
        let mut state = shared.lock();
        state.ended = Some(Vec::with_capacity(state.in_flight as usize));
    }
    drop(context);
    if shared.is_ours() { shared.lock().ended.take().unwrap_or_default() } else { Vec::new() }
}

/// A thread of its own waits meanwhile; where none can be had, the polling one does.
impl Future for Closing {
    type Output = Vec<Ended>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Vec<Ended>> {
        if let Some(context) = self.context.take() {
            let progress = Arc::new(Mutex::new(Progress { ended: None, waker: Some(task.waker().clone()) }));
            self.thread = Some(Arc::clone(&progress));
            close_elsewhere(context, progress);
        }
        let Some(progress) = &self.thread else { return Poll::Ready(Vec::new()) };
        let waker = task.waker().clone();
        let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        match progress.ended.take() {
            Some(ended) => Poll::Ready(ended),
            None => {
                let former = progress.waker.replace(waker);
                drop(progress);
                drop(former);
                Poll::Pending
            }
        }
    }
}

/// What the thread is given, and takes out when there is one.
type Work = Mutex<Option<(Context, Arc<Mutex<Progress>>)>>;

fn close_elsewhere(context: Context, progress: Arc<Mutex<Progress>>) {
    let work: Arc<Work> = Arc::new(Mutex::new(Some((context, progress))));
    let theirs = Arc::clone(&work);
    // Signals are the program's threads' matter.
    let mask = block_signals();
    let started = std::thread::Builder::new().name("uaio-close".into()).spawn(move || finish_closing(&theirs));
    restore_signals(mask);
    if started.is_err() {
        finish_closing(&work);
    }
}

fn finish_closing(work: &Work) {
    let taken = work.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some((context, progress)) = taken else { return };
    let ended = close(context);
    let mut done = progress.lock().unwrap_or_else(PoisonError::into_inner);
    done.ended = Some(ended);
    let waker = done.waker.take();
    drop(done);
    waker.into_iter().for_each(Waker::wake);
}
