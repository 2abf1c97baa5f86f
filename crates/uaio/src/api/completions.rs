//! Completions in the order in which they come.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::completion::{Batch, Completion, Rejected};
use super::flights::{Home, State, Token};
use super::operation::Operation;
use super::shared::Shared;
use super::ticket::{Taken, Ticket, taken};

/// A set of operations whose completions come out in the order in which they end: as a blocking iterator, or, with the
/// feature `stream`, as a `Stream`. Both end when no operation is left in it; putting more in goes on.
///
/// Made by [`Context::completions`](crate::Context::completions). Dropping it detaches what is in it.
///
/// ```
/// # use uaio::{Context, Operation};
/// # fn main() -> std::io::Result<()> {
/// let context = Context::new(8)?;
/// let file = std::fs::File::open("/proc/self/exe")?;
/// let mut done = context.completions();
/// for block in 0..4 {
///     done.submit(Operation::read(&file, vec![0; 512], block * 512))?;
/// }
/// let bytes: usize = done.map(|completion| completion.result.unwrap()).sum();
/// assert_eq!(bytes, 4 * 512);
/// # Ok(())
/// # }
/// ```
pub struct Completions<B> {
    shared: Arc<Shared>,
    queue: u32,
    owns: PhantomData<B>,
}

impl<B> Unpin for Completions<B> {}

impl<B> Completions<B> {
    pub(crate) fn new(shared: Arc<Shared>) -> Completions<B> {
        let queue = if shared.is_ours() { shared.lock().open_queue() } else { 0 };
        Completions { shared, queue, owns: PhantomData }
    }

    /// Submits an operation and puts it in: as [`Context::submit`](crate::Context::submit) and [`push`](Completions::push), and
    /// cheaper than both. Returns the operation's number, which its [`Completion::id`] will be.
    ///
    /// # Errors
    /// The operation with its buffer, and why it was refused; [`EINVAL`](crate::Errno::EINVAL) when the context has ended.
    pub fn submit<'f>(&mut self, operation: Operation<'f, B>) -> Result<u64, Rejected<'f, B>>
    where
        B: Send + 'static,
    {
        // SAFETY: the buffer is 'static, and stays in its place until the operation has ended.
        unsafe { self.shared.submit(operation, Home::Queue(self.queue)) }.map(|token| token.0)
    }

    /// Submits several operations with one io_submit, and puts them in: as
    /// [`Context::submit_all`](crate::Context::submit_all).
    pub fn submit_all<'f>(&mut self, operations: impl IntoIterator<Item = Operation<'f, B>>) -> Batch<'f, B, u64>
    where
        B: Send + 'static,
    {
        let mut rest: VecDeque<Operation<'f, B>> = operations.into_iter().collect();
        let mut accepted = Vec::with_capacity(rest.len());
        let note = |token: Token| accepted.push(token.0);
        // SAFETY: as in `submit`.
        let errno = unsafe { self.shared.submit_all(&mut rest, Home::Queue(self.queue), note) };
        Batch { accepted, rest: rest.into(), errno }
    }

    /// Puts an operation in.
    ///
    /// # Panics
    /// It is another context's.
    pub fn push(&mut self, ticket: Ticket<B>) {
        assert!(Arc::ptr_eq(&ticket.shared, &self.shared), "an operation of another context");
        if !self.shared.is_ours() {
            return;
        }
        let (shared, token) = ticket.disarm();
        let (landed, former) = shared.lock().enqueue(self.queue, token);
        drop(former);
        shared.settle_one(landed);
    }

    /// Operations in it, ended or not.
    #[must_use]
    pub fn len(&self) -> usize {
        if self.shared.is_ours() { self.shared.lock().pending(self.queue) as usize } else { 0 }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next completion that is here, without waiting. `None`: there is none.
    pub fn try_next(&mut self) -> Option<Completion<B>> {
        if !self.shared.is_ours() {
            return None;
        }
        // What was dispatched already needs no call.
        let known = self.first(&mut self.shared.lock());
        let next = match known {
            None if self.shared.reap_now() > 0 => self.first(&mut self.shared.lock()),
            known => known,
        };
        next.map(Taken::complete)
    }

    /// The next completion, waiting for at most `timeout`. `None`: the time is over, or nothing is left.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Completion<B>> {
        self.next_before(Some(timeout))
    }

    fn next_before(&mut self, timeout: Option<Duration>) -> Option<Completion<B>> {
        if !self.shared.is_ours() {
            return None;
        }
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let next = |state: &mut State| match self.first(state) {
            None if state.pending(self.queue) > 0 => None,
            last => Some(last),
        };
        self.shared.wait_until(deadline, next).flatten().map(Taken::complete)
    }

    fn first(&self, state: &mut State) -> Option<Taken<B>> {
        let token = state.dequeue(self.queue)?;
        // SAFETY: `push` took the only claim over, from a ticket for a `B`.
        unsafe { taken(&self.shared, state, token) }
    }
}

/// Blocks until the next operation has ended; `None` when none is left.
impl<B> Iterator for Completions<B> {
    type Item = Completion<B>;

    fn next(&mut self) -> Option<Completion<B>> {
        self.next_before(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), None)
    }
}

impl<B> Extend<Ticket<B>> for Completions<B> {
    fn extend<I: IntoIterator<Item = Ticket<B>>>(&mut self, tickets: I) {
        tickets.into_iter().for_each(|ticket| self.push(ticket));
    }
}

impl<B> Drop for Completions<B> {
    fn drop(&mut self) {
        if !self.shared.is_ours() {
            return;
        }
        loop {
            let mut state = self.shared.lock();
            let Some(last) = self.first(&mut state) else {
                let waker = state.close_queue(self.queue);
                drop(state);
                return drop(waker);
            };
            drop(state);
            drop(last);
        }
    }
}

impl<B> fmt::Debug for Completions<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Completions({} pending)", self.len())
    }
}

#[cfg(feature = "stream")]
mod stream {
    use std::pin::Pin;
    use std::task::{Context as Task, Poll};

    use super::{Completion, Completions, Taken};
    use crate::api::reactor;

    /// Waits without blocking, as [`Ticket`](crate::Ticket)'s `Future` does. `None` when no operation is left.
    impl<B> futures_core::Stream for Completions<B> {
        type Item = Completion<B>;

        fn poll_next(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Completion<B>>> {
            if !self.shared.is_ours() {
                return Poll::Ready(None);
            }
            self.shared.reap_now();
            let waker = task.waker().clone();
            let mut state = self.shared.lock();
            if let Some(taken) = self.first(&mut state) {
                drop(state);
                return Poll::Ready(Some(Taken::complete(taken)));
            }
            if state.pending(self.queue) == 0 {
                return Poll::Ready(None);
            }
            let former = state.watch_queue(self.queue, waker);
            drop(state);
            drop(former);
            if !reactor::start(&self.shared) {
                // No thread can be had: this one has to wait.
                self.shared.wait_until(None, |state| state.has_ended(self.queue).then_some(()));
                task.waker().wake_by_ref();
            }
            Poll::Pending
        }
    }
}
