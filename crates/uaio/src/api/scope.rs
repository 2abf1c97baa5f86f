//! Operations on borrowed buffers.

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::completion::{Completion, Rejected};
use super::flights::Home;
use super::operation::Operation;
use super::shared::Shared;
use super::ticket::{Cancel, Ticket};

/// Where operations may borrow: see [`Context::scope`](crate::Context::scope). Several threads may submit in it.
pub struct Scope<'scope, 'env: 'scope> {
    shared: &'env Arc<Shared>,
    number: u32,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({})", self.number)
    }
}

impl<'scope> Scope<'scope, '_> {
    /// As [`Context::submit`](crate::Context::submit), with a buffer that lives as long as the scope.
    ///
    /// # Errors
    /// The operation with its buffer, and why it was refused.
    pub fn submit<'f, B: Send + 'scope>(
        &'scope self,
        operation: Operation<'f, B>,
    ) -> Result<ScopedTicket<'scope, B>, Rejected<'f, B>> {
        // SAFETY: `run` waits for the operation before 'scope ends.
        let token = unsafe { self.shared.submit(operation, Home::Scope(self.number)) }?;
        Ok(ScopedTicket { ticket: Ticket::new(Arc::clone(self.shared), token), scope: PhantomData })
    }
}

/// Opens a scope, runs `body` in it, and returns when all of its operations have ended.
pub(crate) fn run<'env, T>(
    shared: &'env Arc<Shared>,
    body: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
) -> T {
    let ours = shared.is_ours();
    let number = if ours { shared.lock().open_scope() } else { 0 };
    let scope = Scope { shared, number, scope: PhantomData, env: PhantomData };
    let outcome = catch_unwind(AssertUnwindSafe(|| body(&scope)));
    if ours && shared.is_ours() {
        if outcome.is_err() {
            shared.cancel_each(|state| state.of_scope(number));
        }
        shared.wait_until(None, |state| (!state.scope_is_busy(number)).then_some(()));
        shared.lock().close_scope(number);
    }
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

/// As [`Ticket`], for an operation of a [`Scope`]. It is no `Future`: a future can be forgotten, and the borrow with it, and
/// then nobody would wait for the operation.
#[must_use = "dropping a ticket lets the operation go on, but its result is lost"]
pub struct ScopedTicket<'scope, B> {
    ticket: Ticket<B>,
    scope: PhantomData<&'scope mut &'scope ()>,
}

impl<B> fmt::Debug for ScopedTicket<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ticket.fmt(f)
    }
}

impl<'scope, B> ScopedTicket<'scope, B> {
    /// As [`Ticket::id`].
    #[must_use]
    pub fn id(&self) -> u64 {
        self.ticket.id()
    }

    /// As [`Ticket::is_done`].
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ticket.is_done()
    }

    /// As [`Ticket::wait`].
    pub fn wait(self) -> Completion<B> {
        self.ticket.wait()
    }

    /// As [`Ticket::wait_timeout`].
    ///
    /// # Errors
    /// The ticket itself, when the time is over. The operation goes on.
    pub fn wait_timeout(self, timeout: Duration) -> Result<Completion<B>, ScopedTicket<'scope, B>> {
        self.ticket.wait_timeout(timeout).map_err(|ticket| ScopedTicket { ticket, scope: PhantomData })
    }

    /// As [`Ticket::cancel`].
    pub fn cancel(&self) -> Cancel {
        self.ticket.cancel()
    }
}
