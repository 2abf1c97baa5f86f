//! Driving a context from a tokio runtime, without a thread of its own.

use std::io;
use std::sync::{Arc, Weak};

use ::tokio::io::Interest;
use ::tokio::io::unix::AsyncFd;

use super::context::{Context, dispatch};
use super::shared::Shared;

/// Wakes the tasks that wait for operations of `context` from the current runtime: a small task of it waits for the
/// context's eventfd. It ends with the context. If the runtime ends first, a thread of the library's takes over.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use uaio::{Context, Operation};
///
/// let context = Context::builder().eventfd().build()?;
/// uaio::tokio::drive(&context)?;
/// let file = std::fs::File::open("/proc/self/exe")?;
/// let (bytes, head) = context.submit(Operation::read(&file, vec![0; 4], 0))?.await.ok()?;
/// assert_eq!((bytes, &head[..]), (4, &b"\x7fELF"[..]));
/// context.close().await;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `InvalidInput`: the context has no eventfd ([`Builder::eventfd`](crate::Builder::eventfd)). Otherwise what `dup(2)` and
/// `epoll_ctl(2)` give.
///
/// # Panics
/// Outside of a runtime, or in one without its I/O driver.
pub fn drive(context: &Context) -> io::Result<()> {
    let Some(eventfd) = context.eventfd() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the context has no eventfd"));
    };
    // SAFETY: an `OwnedFd` is one descriptor, open until it is dropped.
    let eventfd = unsafe { AsyncFd::register_with_interest(eventfd.try_clone_to_owned()?, Interest::READABLE) }?;
    let driver = Driver(Arc::downgrade(&context.shared));
    ::tokio::spawn(async move {
        while let Ok(mut ready) = eventfd.readable().await {
            ready.clear_ready();
            if !driver.turn() {
                break;
            }
        }
    });
    Ok(())
}

struct Driver(Weak<Shared>);

impl Driver {
    /// False: the context has ended.
    fn turn(&self) -> bool {
        let Some(shared) = self.0.upgrade() else { return false };
        dispatch(&shared);
        shared.is_ours() && !shared.lock().closed
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade().filter(|shared| shared.is_ours()) {
            shared.not_driven();
        }
    }
}
