//! The safe API: `sys` below, [`Context`] over it, scopes and tasks over that.

mod aligned;
mod batch;
mod buffer;
mod closing;
mod completion;
mod completions;
mod context;
mod ending;
mod faults;
mod file;
mod flights;
mod launch;
mod operation;
mod payload;
mod pool;
mod reactor;
mod reap;
mod scope;
mod shared;
mod ticket;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use aligned::AlignedBuf;
pub use buffer::{IoBuf, IoBufMut};
pub use closing::Closing;
pub use completion::{Batch, Completion, Ended, Rejected};
pub use completions::Completions;
pub use context::{Builder, Context, Engine};
pub use faults::{Faults, FaultsError};
pub use file::{IntoIoFile, IoFile};
pub use operation::{Operation, Priority, Readiness, RwFlags};
pub use pool::{BufferPool, PoolBuf};
pub use scope::{Scope, ScopedTicket};
pub use ticket::{Cancel, Ticket};
