//! A context, and how it begins and ends.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::closing::Closing;
use super::completion::{Batch, Rejected};
use super::completions::Completions;
use super::faults::Faults;
use super::flights::Home;
use super::operation::Operation;
use super::scope::{self, Scope};
use super::shared::{Plan, Shared};
use super::ticket::Ticket;
use crate::errno::{Errno, Result};
use crate::os::eventfd;
use crate::stats::EngineId;

/// Who executes operations that would wait. What would not is executed by the submitting thread with every engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Engine {
    /// The submitting thread itself, inside submit. Deterministic, and needs no thread; only polls wait elsewhere.
    Inline,
    /// A library thread with an io_uring.
    Uring,
    /// Library threads, for places where io_uring is forbidden.
    Threads,
}

/// How a [`Context`] is to be: see [`Context::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder makes a context only with `build`"]
pub struct Builder {
    capacity: u32,
    engine: Option<EngineId>,
    bytes_max: u64,
    eventfd: bool,
    name: Option<Box<str>>,
    faults: Option<Faults>,
}

impl Builder {
    /// Operations that may be in flight, or ended and not taken, at the same time; 128 unless set. Their memory, about 400
    /// bytes each, is allocated by [`build`](Builder::build).
    pub fn capacity(mut self, operations: u32) -> Builder {
        self.capacity = operations;
        self
    }

    /// The engine. Unless set, `UAIO_ENGINE` in the environment decides, and without that the library (io_uring where it
    /// can be had, else threads). An engine that is named here is used whatever the environment says.
    pub fn engine(mut self, engine: Engine) -> Builder {
        self.engine = Some(match engine {
            Engine::Inline => EngineId::Inline,
            Engine::Uring => EngineId::Uring,
            Engine::Threads => EngineId::Threads,
        });
        self
    }

    /// Makes operations fail, fall short or come late, as `faults` say: the engine `scripted`, for tests of error paths.
    /// It is this context's alone; the others are not concerned. Operations that would wait are executed by library threads then,
    /// whatever [`engine`](Builder::engine) says, and `UAIO_FAULT` in the environment does not matter to the context.
    ///
    /// See [`Faults`] for what can be written.
    pub fn faults(mut self, faults: Faults) -> Builder {
        self.faults = Some(faults);
        self
    }

    /// Bytes that may be in flight, or transferred and not taken, at the same time; no limit unless set. More are refused
    /// with [`EAGAIN`](Errno::EAGAIN); an operation that is larger by itself is accepted when it is alone.
    pub fn bytes_in_flight(mut self, bytes: u64) -> Builder {
        self.bytes_max = bytes;
        self
    }

    /// Makes an eventfd that counts every completion, for an event loop that is not ours: [`Context::eventfd`]. Tasks are then
    /// woken by the loop's calls of [`Context::dispatch`], and by nobody else.
    pub fn eventfd(mut self) -> Builder {
        self.eventfd = true;
        self
    }

    /// A name, for `Debug`.
    pub fn name(mut self, name: &str) -> Builder {
        self.name = Some(name.into());
        self
    }

    /// Makes the context.
    ///
    /// # Errors
    /// As [`sys::io_setup`](crate::sys::io_setup): [`EINVAL`](Errno::EINVAL) (a capacity of 0 or over 4194304),
    /// [`EAGAIN`](Errno::EAGAIN) (the quota is used up), [`ENOMEM`](Errno::ENOMEM), [`ENOSYS`](Errno::ENOSYS) (the engine cannot
    /// be had here). [`EMFILE`](Errno::EMFILE), [`ENFILE`](Errno::ENFILE) (no descriptor for the eventfd).
    pub fn build(self) -> Result<Context> {
        let Builder { capacity, engine, bytes_max, eventfd, name, faults } = self;
        let engine = faults.as_ref().map(|_| EngineId::Scripted).or(engine);
        let script = faults.map(Faults::into_script);
        if capacity == 0 {
            return Err(Errno::EINVAL);
        }
        let eventfd = if eventfd { Some(eventfd::new()?) } else { None };
        Ok(Context { shared: Shared::open(Plan { capacity, engine, bytes_max, eventfd, name, script })? })
    }
}

/// A set of operations in flight: Linux's AIO context.
///
/// `&Context` can be used by any number of threads; share it by reference or in an `Arc`.
///
/// # Drop is io_destroy
/// Dropping a context refuses new operations, cancels what can be cancelled (polls, waiting pipes and sockets, reads that
/// were not started), performs accepted writes and fsyncs, **waits** until nothing can touch a buffer any more, and
/// releases everything. It blocks for as long as the device needs, so in a task use [`close`](Context::close)`().await`.
/// Tickets that are left have their results then. Where the end cannot be told, memory is leaked, never freed.
///
/// Forgetting a context, a ticket or anything else here (`mem::forget`) is sound: what is in flight is leaked.
///
/// # Fork
/// In a forked child every context of the parent is inert: operations are refused with [`EINVAL`](Errno::EINVAL), tickets give
/// their buffers back with it, and dropping releases nothing. A child can make contexts of its own.
pub struct Context {
    pub(crate) shared: Arc<Shared>,
}

impl Context {
    /// A context for up to `capacity` operations, with nothing else set.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new(capacity: u32) -> Result<Context> {
        Context::builder().capacity(capacity).build()
    }

    /// Sets things before the context is made.
    pub fn builder() -> Builder {
        Builder { capacity: 128, engine: None, bytes_max: u64::MAX, eventfd: false, name: None, faults: None }
    }

    /// Submits one operation. Allocates nothing for buffers of up to 6 words (`Vec`, `Box`, pool buffers) and up to 8
    /// pieces.
    ///
    /// Blocks where `io_submit(2)` does: buffered, extending and synchronous writes are performed inside it, and what
    /// would not wait is too. `file` is not needed any more when this returns.
    ///
    /// # Errors
    /// The operation with its buffer, and why it was refused: [`EAGAIN`](Errno::EAGAIN) when the context is full, others as
    /// [`sys::io_submit`](crate::sys::io_submit).
    pub fn submit<'f, B: Send + 'static>(
        &self,
        operation: Operation<'f, B>,
    ) -> std::result::Result<Ticket<B>, Rejected<'f, B>> {
        // SAFETY: the buffer is 'static, and stays in its place until the operation has ended.
        let token = unsafe { self.shared.submit(operation, Home::Ticket) }?;
        Ok(Ticket::new(Arc::clone(&self.shared), token))
    }

    /// Submits several operations, in order, with one io_submit for each 32, until one is refused. One allocation for all
    /// of them, and one more where some are refused. Blocks as [`submit`](Context::submit) does.
    ///
    /// `operations` may be any iterator; while it is asked for the next one, up to 32 places of the context are taken, of which
    /// those that are not needed are given back.
    pub fn submit_all<'f, B: Send + 'static>(
        &self,
        operations: impl IntoIterator<Item = Operation<'f, B>>,
    ) -> Batch<'f, B> {
        let claim = |token| Ticket::new(Arc::clone(&self.shared), token);
        // SAFETY: as in `submit`.
        unsafe { self.shared.submit_all(operations, Home::Ticket, claim) }
    }

    /// An empty set of operations whose completions are wanted in the order in which they come.
    #[must_use]
    pub fn completions<B>(&self) -> Completions<B> {
        Completions::new(Arc::clone(&self.shared))
    }

    /// Runs `body`, in which operations may have borrowed buffers, and returns when all of them have ended: on return, on
    /// `?`, and on a panic (then polls, waiting pipes and reads not started are cancelled). As `std::thread::scope`, and as
    /// blocking: a poll that nobody ends keeps it from returning.
    ///
    /// There is no async form: a future can be forgotten half-way, its borrows end then, and nobody would wait for
    /// the operation that still uses them.
    ///
    /// ```
    /// # use uaio::{Context, Operation};
    /// # fn main() -> std::io::Result<()> {
    /// # let context = Context::new(8)?;
    /// # let file = std::fs::File::open("/proc/self/exe")?;
    /// let mut head = [0u8; 64];
    /// let mut next = [0u8; 64];
    /// context.scope(|scope| -> std::io::Result<()> {
    ///     let first = scope.submit(Operation::read(&file, &mut head[..], 0))?;
    ///     let second = scope.submit(Operation::read(&file, &mut next[..], 64))?;
    ///     first.wait().result?;
    ///     second.wait().result?;
    ///     Ok(())
    /// })?;
    /// assert_eq!(&head[..4], b"\x7fELF");
    /// # Ok(())
    /// # }
    /// ```
    pub fn scope<'env, T>(&'env self, body: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T) -> T {
        scope::run(&self.shared, body)
    }

    /// The eventfd that counts completions (+1 each, after the completion can be dispatched), where
    /// [`Builder::eventfd`] has asked for one. It is non-blocking and close-on-exec. When it is readable, call
    /// [`dispatch`](Context::dispatch), which reads it.
    #[must_use]
    pub fn eventfd(&self) -> Option<BorrowedFd<'_>> {
        self.shared.eventfd.as_ref().map(|fd| fd.as_fd())
    }

    /// Takes the completions that are there, wakes tasks and threads that wait for them, and returns how many there
    /// were. Resets the eventfd. Does not block.
    pub fn dispatch(&self) -> usize {
        dispatch(&self.shared)
    }

    /// Operations that may be in flight, or ended and not taken, at the same time.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.shared.capacity()
    }

    /// Operations in flight: accepted, and not dispatched. 0 in a forked child.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        if self.shared.is_ours() { self.shared.lock().in_flight } else { 0 }
    }

    /// The name that it was given.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.shared.name.as_deref()
    }

    /// Ends the context as dropping it does, and tells what was still to come: call [`Closing::wait`], or `.await`.
    pub fn close(self) -> Closing {
        Closing::new(self)
    }
}

/// See [`Context::dispatch`].
pub(crate) fn dispatch(shared: &Shared) -> usize {
    if !shared.is_ours() {
        return 0;
    }
    if let Some(eventfd) = &shared.eventfd {
        eventfd::reset(eventfd);
    }
    shared.reap_now()
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name().unwrap_or("unnamed");
        write!(f, "Context({name}, {} of {} in flight)", self.in_flight(), self.capacity())
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if !self.shared.close() {
            // In doubt, and in a forked child: what operations own is never freed.
            std::mem::forget(Arc::clone(&self.shared));
        }
    }
}
