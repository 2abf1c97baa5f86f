//! The claim to one operation's result.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::{Duration, Instant};

use super::completion::{Completion, outcome};
use super::ending::Asked;
use super::flights::{State, Token};
use super::operation::Finish;
use super::reactor;
use super::shared::Shared;
use crate::errno::Errno;

/// What [`Ticket::cancel`] has achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// It has ended without having done anything; its completion is here.
    Dequeued,
    /// It was asked for, and the completion will come soon: 0 for polls, [`ECANCELED`](Errno::ECANCELED) or a short
    /// transfer for others, or what it would have been anyway.
    Asked,
    /// It has ended already, or is being executed and can no longer be stopped.
    TooLate,
}

/// The claim to the result of an accepted operation, and to its buffer.
///
/// Take it with [`wait`](Ticket::wait) on a thread, with `.await` in a task, or put it into
/// [`Completions`](crate::Completions). Dropping a ticket detaches the operation: it goes on, and its buffer is freed when it
/// has ended. Forgetting a ticket (`mem::forget`) is harmless: its place in the context is lost and the buffer leaked.
///
/// A ticket outlives its context: [`Context`](crate::Context)'s drop ends every operation, so the result is there then.
#[must_use = "dropping a ticket lets the operation go on, but its result and buffer are lost"]
pub struct Ticket<B> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) token: Token,
    /// Dropping it must detach.
    live: bool,
    owns: PhantomData<B>,
}

impl<B> Unpin for Ticket<B> {}

impl<B> Ticket<B> {
    pub(crate) fn new(shared: Arc<Shared>, token: Token) -> Ticket<B> {
        Ticket { shared, token, live: true, owns: PhantomData }
    }

    /// Nothing is to be done when it is dropped.
    pub(crate) fn disarm(self) -> (Arc<Shared>, Token) {
        let ticket = ManuallyDrop::new(self);
        // SAFETY: moved out of a ticket that is not dropped; nothing else in it needs dropping.
        (unsafe { std::ptr::read(&raw const ticket.shared) }, ticket.token)
    }

    /// A number for the operation that no other of this context has had for a long time (2^32 re-uses of its place).
    #[must_use]
    pub fn id(&self) -> u64 {
        self.token.0
    }

    /// Whether the completion is here, so that [`wait`](Ticket::wait) does not block. Looks at completions that were
    /// dispatched; see [`Context::dispatch`](crate::Context::dispatch).
    #[must_use]
    pub fn is_done(&self) -> bool {
        !self.shared.is_ours() || self.shared.lock().result(self.token).is_some()
    }

    /// Waits until the operation has ended. Blocks as long as it takes: without limit for a poll or a pipe that nobody
    /// writes to. Not interrupted by signals.
    pub fn wait(self) -> Completion<B> {
        let (shared, token) = self.disarm();
        if !shared.is_ours() {
            // SAFETY: the ticket was the only claim.
            return unsafe { strange(&shared, token) };
        }
        // SAFETY: the ticket was the only claim.
        let take = |state: &mut State| unsafe { taken(&shared, state, token) };
        // Without a deadline there is always a result in the end.
        shared.wait_until(None, take).expect("a result").complete()
    }

    /// As [`wait`](Ticket::wait), for at most `timeout`.
    ///
    /// # Errors
    /// The ticket itself, when the time is over. The operation goes on.
    pub fn wait_timeout(self, timeout: Duration) -> Result<Completion<B>, Ticket<B>> {
        let done = |state: &mut State| state.result(self.token).map(drop);
        let deadline = Instant::now().checked_add(timeout);
        if self.shared.is_ours() {
            self.shared.reap_now();
            if self.shared.wait_until(deadline, done).is_none() {
                return Err(self);
            }
        }
        Ok(self.wait())
    }

    fn take_or_watch(&mut self, task: &mut Task<'_>) -> Option<Completion<B>> {
        let waker = task.waker().clone();
        let mut state = self.shared.lock();
        // SAFETY: the ticket is the only claim, and is none any more when this succeeds.
        if let Some(taken) = unsafe { taken(&self.shared, &mut state, self.token) } {
            drop(state);
            self.live = false;
            return Some(taken.complete());
        }
        let former = state.watch(self.token, waker);
        drop(state);
        drop(former);
        None
    }

    /// Asks for the end of the operation. Does not block, and does not wait for the end: the completion comes either way.
    ///
    /// Polls and waiting pipes, sockets and terminals can be ended at any time, reads until they are started, writes to
    /// files and fsyncs never. With `UAIO_ENGINE=off` only polls can be ended.
    ///
    /// Source: `io_cancel(2)`, which ends polls only.
    pub fn cancel(&self) -> Cancel {
        if !self.shared.is_ours() || self.shared.lock().result(self.token).is_some() {
            return Cancel::TooLate;
        }
        match self.shared.cancel(self.token.index()) {
            Asked::Here => return Cancel::Dequeued,
            Asked::Refused => return Cancel::TooLate,
            Asked::InProgress => {}
        }
        self.shared.reap_now();
        match self.shared.lock().result(self.token) {
            None => Cancel::Asked,
            Some(res) if res == 0 || res == Errno::ECANCELED.negated() as i64 => Cancel::Dequeued,
            Some(_) => Cancel::TooLate,
        }
    }
}

/// What an operation that has ended has left. [`complete`](Taken::complete) runs foreign code, outside of the lock.
pub(crate) struct Taken<B> {
    token: Token,
    res: i64,
    buffer: B,
    finish: Finish,
}

impl<B> Taken<B> {
    pub(crate) fn complete(mut self) -> Completion<B> {
        let result = outcome(self.res);
        if let Ok(bytes) = result {
            // SAFETY: the function is for this buffer, into which so many bytes were read.
            unsafe { (self.finish)((&raw mut self.buffer).cast(), bytes) };
        }
        Completion { id: self.token.0, result, buffer: self.buffer }
    }
}

/// Takes what an operation that has ended has left; its place is free then. `None`: it has not ended.
///
/// # Safety
/// It owns a `B`, and the caller has the only claim to it.
pub(crate) unsafe fn taken<B>(shared: &Shared, state: &mut State, token: Token) -> Option<Taken<B>> {
    let res = state.result(token)?;
    // SAFETY: it has ended; the caller's promise.
    let (buffer, finish) = unsafe { shared.take::<B>(token) };
    state.finish(token);
    Some(Taken { token, res, buffer, finish })
}

/// The completion that a forked child gets: its parent's operation is nothing to it, and nobody touches the child's copy of the
/// buffer.
///
/// # Safety
/// As [`taken`].
unsafe fn strange<B>(shared: &Shared, token: Token) -> Completion<B> {
    // SAFETY: the caller's promise.
    let (buffer, _) = unsafe { shared.take(token) };
    Completion { id: token.0, result: Err(Errno::EINVAL), buffer }
}

/// Waits without blocking: a small thread of the context's wakes the task, or whoever drives the context
/// ([`Builder::eventfd`](crate::Builder::eventfd), `uaio::tokio::drive`).
impl<B> Future for Ticket<B> {
    type Output = Completion<B>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Completion<B>> {
        assert!(self.live, "polled after completion");
        let shared = Arc::clone(&self.shared);
        if !shared.is_ours() {
            self.live = false;
            // SAFETY: the ticket was the only claim.
            return Poll::Ready(unsafe { strange(&shared, self.token) });
        }
        if shared.lock().result(self.token).is_none() {
            shared.reap_now();
        }
        if let Some(completion) = self.take_or_watch(task) {
            return Poll::Ready(completion);
        }
        if !reactor::start(&shared) {
            // No thread can be had: this one has to wait.
            shared.wait_until(None, |state| state.result(self.token).map(drop));
            task.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<B> Drop for Ticket<B> {
    fn drop(&mut self) {
        if self.live {
            self.shared.detach::<B>(self.token);
        }
    }
}

impl<B> fmt::Debug for Ticket<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({:#x})", self.token.0)
    }
}
