//! Completions in the order in which they come.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::completion::{Batch, Completion, Rejected, outcome};
use super::flights::{Home, State};
use super::operation::{Finish, Operation};
use super::shared::Shared;
use super::ticket::Ticket;

/// Completions that are taken out of the context at once.
const MOST: usize = 64;

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
    ready: Ready<B>,
}

/// What has ended and was taken out of the context, several under one lock.
struct Ready<B> {
    /// Number, what came of it, and buffer.
    list: VecDeque<(u64, i64, B)>,
    /// Of the last ones: what has still to tell their buffers what was read. That is code of the buffers' types, so it is run
    /// without the lock.
    untold: VecDeque<Finish>,
}

impl<B> Ready<B> {
    /// Moves what has ended out of the context. One by one where bytes are limited: those are counted until they are asked for.
    ///
    /// # Safety
    /// The queue's operations own `B`s, and the caller has the only claim to them.
    unsafe fn take_ended(&mut self, shared: &Shared, state: &mut State, queue: u32) {
        let most = if shared.limits_bytes() { 1 } else { MOST };
        while self.list.len() < most
            && let Some((token, res)) = state.dequeue(queue)
        {
            // SAFETY: the caller's promise; the lock is held, so the place is still nobody else's.
            let (buffer, finish) = unsafe { shared.take::<B>(token) };
            self.list.push_back((token.0, res, buffer));
            self.untold.push_back(finish);
        }
    }

    fn clear(&mut self) {
        self.untold.clear();
        self.list.clear();
    }

    /// The next one.
    fn pop(&mut self) -> Option<Completion<B>> {
        while let Some(finish) = self.untold.pop_front() {
            let at = self.list.len() - 1 - self.untold.len();
            let (_, res, buffer) = &mut self.list[at];
            if let Ok(bytes) = outcome(*res) {
                // SAFETY: the function is for this buffer, into which so many bytes were read.
                unsafe { finish((&raw mut *buffer).cast(), bytes) };
            }
        }
        let (id, res, buffer) = self.list.pop_front()?;
        Some(Completion { id, result: outcome(res), buffer })
    }
}

impl<B> Unpin for Completions<B> {}

impl<B> Completions<B> {
    pub(crate) fn new(shared: Arc<Shared>) -> Completions<B> {
        let queue = if shared.is_ours() { shared.lock().open_queue() } else { 0 };
        Completions { shared, queue, ready: Ready { list: VecDeque::new(), untold: VecDeque::new() } }
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

    /// Submits several operations and puts them in: as [`Context::submit_all`](crate::Context::submit_all). What was accepted
    /// are the operations' numbers.
    pub fn submit_all<'f>(&mut self, operations: impl IntoIterator<Item = Operation<'f, B>>) -> Batch<'f, B, u64>
    where
        B: Send + 'static,
    {
        // SAFETY: as in `submit`.
        unsafe { self.shared.submit_all(operations, Home::Queue(self.queue), |token| token.0) }
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
        if self.shared.is_ours() {
            self.ready.list.len() + self.shared.lock().pending(self.queue) as usize
        } else {
            0
        }
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
        if !self.fetch() && self.shared.reap_now() > 0 {
            self.fetch();
        }
        self.ready.pop()
    }

    /// The completions that are here, once there is at least one: waits for that, as [`next`](Iterator::next), with at most one
    /// `io_getevents` for all of them. Nothing comes when no operation is left. Those that the iterator is not asked
    /// for stay.
    pub fn next_batch(&mut self) -> impl Iterator<Item = Completion<B>> {
        self.wait_for_one(None);
        std::iter::from_fn(|| self.ready.pop())
    }

    /// The next completion, waiting for at most `timeout`. `None`: the time is over, or nothing is left.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Completion<B>> {
        self.next_before(Some(timeout))
    }

    fn next_before(&mut self, timeout: Option<Duration>) -> Option<Completion<B>> {
        self.wait_for_one(timeout);
        self.ready.pop()
    }

    /// Waits until something is in `ready`, nothing is left, or the time is over. In a forked child `ready` is the parent's.
    fn wait_for_one(&mut self, timeout: Option<Duration>) {
        if !self.shared.is_ours() {
            return self.ready.clear();
        }
        if !self.ready.list.is_empty() {
            return;
        }
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let Completions { shared, queue, ready } = self;
        let come = |state: &mut State| {
            // SAFETY: `push` and the submits took the only claims over, for `B`s.
            unsafe { ready.take_ended(shared, state, *queue) };
            (!ready.list.is_empty() || state.pending(*queue) == 0).then_some(())
        };
        shared.wait_until(deadline, come);
    }

    /// Whether something is in `ready`, after a look at what was dispatched.
    fn fetch(&mut self) -> bool {
        if self.ready.list.is_empty() {
            // SAFETY: as in `wait_for_one`.
            unsafe { self.ready.take_ended(&self.shared, &mut self.shared.lock(), self.queue) };
        }
        !self.ready.list.is_empty()
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
            // SAFETY: as in `wait_for_one`.
            unsafe { self.ready.take_ended(&self.shared, &mut state, self.queue) };
            if self.ready.list.is_empty() {
                let waker = state.close_queue(self.queue);
                drop(state);
                return drop(waker);
            }
            drop(state);
            self.ready.clear();
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

    use super::{Completion, Completions};
    use crate::api::reactor;

    /// Waits without blocking, as [`Ticket`](crate::Ticket)'s `Future` does. `None` when no operation is left.
    impl<B> futures_core::Stream for Completions<B> {
        type Item = Completion<B>;

        fn poll_next(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Completion<B>>> {
            if !self.shared.is_ours() {
                return Poll::Ready(None);
            }
            let this = self.get_mut();
            if this.ready.list.is_empty() {
                this.shared.reap_now();
            }
            let waker = task.waker().clone();
            let mut state = this.shared.lock();
            // SAFETY: as in `wait_for_one`.
            unsafe { this.ready.take_ended(&this.shared, &mut state, this.queue) };
            if !this.ready.list.is_empty() {
                drop(state);
                return Poll::Ready(this.ready.pop());
            }
            if state.pending(this.queue) == 0 {
                return Poll::Ready(None);
            }
            let former = state.watch_queue(this.queue, waker);
            drop(state);
            drop(former);
            if !reactor::start(&this.shared) {
                // No thread can be had: this one has to wait.
                this.shared.wait_until(None, |state| state.has_ended(this.queue).then_some(()));
                task.waker().wake_by_ref();
            }
            Poll::Pending
        }
    }
}
