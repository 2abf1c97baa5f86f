//! How operations end, or do not begin.

use std::fmt;

use super::operation::{Operation, Readiness};
use super::ticket::Ticket;
use crate::errno::{Errno, Result};

/// A completed operation.
#[derive(Debug)]
pub struct Completion<B> {
    /// As [`Ticket::id`].
    pub id: u64,
    /// Bytes transferred (which may be fewer than asked for), 0 for fsync, [`Readiness`] bits for poll; or why it
    /// failed. [`ECANCELED`](Errno::ECANCELED): it was cancelled before it began. [`EINVAL`](Errno::EINVAL), in a forked child:
    /// the operation is the parent's.
    pub result: Result<usize>,
    /// The buffer. After a failure its content is unspecified, its length what it was.
    pub buffer: B,
}

impl<B> Completion<B> {
    /// Bytes and buffer, or the error; the buffer is dropped then.
    ///
    /// # Errors
    /// [`result`](Completion::result)'s.
    pub fn ok(self) -> std::io::Result<(usize, B)> {
        Ok((self.result?, self.buffer))
    }
}

impl Completion<()> {
    /// What a poll has found; empty when it was cancelled.
    ///
    /// # Errors
    /// [`result`](Completion::result)'s.
    pub fn readiness(&self) -> Result<Readiness> {
        self.result.map(|bits| Readiness::from_bits_retain(bits as u16))
    }
}

/// An operation that was not accepted: the operation itself, with its buffer, and why.
pub struct Rejected<'f, B> {
    /// [`EAGAIN`](Errno::EAGAIN): the context has as many operations, or bytes, in flight as it may have; take
    /// some completions first. Others: see [`sys::io_submit`](crate::sys::io_submit).
    pub errno: Errno,
    /// The operation, to be submitted again.
    pub operation: Operation<'f, B>,
}

impl<B> Rejected<'_, B> {
    /// The buffer.
    pub fn into_buffer(self) -> B {
        self.operation.into_buffer()
    }
}

impl<B> fmt::Debug for Rejected<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rejected({}, {:?})", self.errno, self.operation)
    }
}

impl<B> fmt::Display for Rejected<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation refused: {}", self.errno)
    }
}

impl<B> std::error::Error for Rejected<'_, B> {}

impl<B> From<Rejected<'_, B>> for std::io::Error {
    fn from(rejected: Rejected<'_, B>) -> std::io::Error {
        rejected.errno.into()
    }
}

/// What became of a batch: the operations are accepted in order, until one is refused.
#[must_use = "a batch may be accepted in part: look at `rest`"]
pub struct Batch<'f, B, A = Ticket<B>> {
    /// The accepted ones, in order: their tickets, or their numbers where a [`Completions`](crate::Completions) has them.
    pub accepted: Vec<A>,
    /// The others, in order, starting with the refused one. Empty when all were accepted.
    pub rest: Vec<Operation<'f, B>>,
    /// Why the first of `rest` was refused.
    pub errno: Option<Errno>,
}

impl<'f, B, A> Batch<'f, B, A> {
    /// The accepted ones, if all operations were accepted.
    ///
    /// # Errors
    /// The batch itself, when some were not.
    pub fn all(self) -> std::result::Result<Vec<A>, Batch<'f, B, A>> {
        if self.rest.is_empty() { Ok(self.accepted) } else { Err(self) }
    }
}

impl<B, A: fmt::Debug> fmt::Debug for Batch<'_, B, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Batch { accepted, rest, errno } = self;
        f.debug_struct("Batch").field("accepted", accepted).field("rest", rest).field("errno", errno).finish()
    }
}

/// What [`close`](crate::Context::close) found still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// As [`Ticket::id`].
    pub id: u64,
    /// As [`Completion::result`].
    pub result: Result<usize>,
}

impl Ended {
    pub(crate) fn new(id: u64, res: i64) -> Ended {
        Ended { id, result: outcome(res) }
    }
}

/// An event's `res` as a result.
pub(crate) fn outcome(res: i64) -> Result<usize> {
    usize::try_from(res).map_err(|_| Errno::from_raw(res as isize))
}
