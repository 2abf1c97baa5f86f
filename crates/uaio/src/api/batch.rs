//! Submitting several operations with as few calls as possible.

use std::mem::MaybeUninit;

use super::completion::Batch;
use super::flights::{Home, Token};
use super::operation::{Operation, Parts};
use super::shared::Shared;
use crate::abi::Iocb;
use crate::errno::{Errno, Result};

/// Operations that one io_submit takes.
const AT_ONCE: usize = 32;

/// The next operations of a batch, in their places. Places whose operation was not sent are given back, also when the caller's
/// code panics. (The buffers that were in them by then are leaked: what was done to them is not known.)
struct Load<'s, 'f> {
    shared: &'s Shared,
    tokens: [Token; AT_ONCE],
    /// Places.
    count: usize,
    /// Of the operations in their places, as many as are ready: what is not the buffer.
    parts: [MaybeUninit<Parts<'f>>; AT_ONCE],
    iocbs: [*mut Iocb; AT_ONCE],
    ready: usize,
    sent: usize,
}

impl Drop for Load<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: so many are there, and are not used again.
        unsafe { self.parts[..self.ready].assume_init_drop() };
        let left = &self.tokens[self.sent..self.count];
        if !left.is_empty() {
            let mut state = self.shared.lock();
            left.iter().for_each(|token| state.unreserve(*token));
        }
    }
}

impl<'s, 'f> Load<'s, 'f> {
    fn new(shared: &'s Shared) -> Self {
        Load {
            shared,
            tokens: [Token::default(); AT_ONCE],
            count: 0,
            parts: [const { MaybeUninit::uninit() }; AT_ONCE],
            iocbs: [std::ptr::null_mut(); AT_ONCE],
            ready: 0,
            sent: 0,
        }
    }

    /// Takes places for up to `wanted` operations, at least one. EAGAIN, EINVAL.
    fn reserve(&mut self, home: Home, wanted: usize) -> Result<()> {
        if !self.shared.is_ours() {
            return Err(Errno::EINVAL);
        }
        self.count = self.shared.reserve_some(home, &mut self.tokens[..wanted.min(AT_ONCE)])?;
        Ok(())
    }

    /// Moves operations into the places; the one for which there is no room comes back.
    fn fill<B>(&mut self, operations: &mut impl Iterator<Item = Operation<'f, B>>) -> Option<Operation<'f, B>> {
        while self.ready < self.count
            && let Some(Operation { parts, buffer }) = operations.next()
        {
            let token = self.tokens[self.ready];
            // SAFETY: the place was reserved, and is not used yet.
            let bytes = unsafe { self.shared.fill(token, buffer, &parts) };
            if self.shared.count_bytes(token, bytes).is_err() {
                // SAFETY: it owns what was just put in, and was not submitted.
                return Some(Operation { parts, buffer: unsafe { self.shared.take(token) }.0 });
            }
            self.parts[self.ready].write(parts);
            self.iocbs[self.ready] = self.shared.iocb_of(token);
            self.ready += 1;
        }
        None
    }

    /// io_submit until all are accepted, or one is refused.
    ///
    /// # Safety
    /// As io_submit.
    unsafe fn send(&mut self) -> Option<Errno> {
        while self.sent < self.ready {
            // SAFETY: the caller's promise.
            match unsafe { self.shared.io_submit(&mut self.iocbs[self.sent..self.ready]) } {
                Ok(count) => self.sent += count,
                Err(errno) => return Some(errno),
            }
        }
        None
    }

    /// Those that were not sent, out of their places.
    ///
    /// # Safety
    /// They own `B`s.
    unsafe fn rest<B>(&mut self) -> impl Iterator<Item = Operation<'f, B>> {
        let (shared, left) = (self.shared, self.sent..self.ready);
        self.ready = self.sent;
        self.tokens[left.clone()].iter().zip(&self.parts[left]).map(move |(token, parts)| {
            // SAFETY: it was ready, and is not any more: this is its owner now.
            let parts = unsafe { parts.assume_init_read() };
            // SAFETY: it was not accepted; the caller's promise.
            Operation { parts, buffer: unsafe { shared.take(*token) }.0 }
        })
    }
}

impl Shared {
    /// Submits operations in order until one is refused.
    ///
    /// # Safety
    /// As [`submit`](Shared::submit).
    pub(crate) unsafe fn submit_all<'f, B, A>(
        &self,
        operations: impl IntoIterator<Item = Operation<'f, B>>,
        home: Home,
        claim: impl Fn(Token) -> A,
    ) -> Batch<'f, B, A> {
        let mut operations = operations.into_iter();
        let room = operations.size_hint().0.min(self.capacity() as usize);
        let mut batch = Batch { accepted: Vec::with_capacity(room), rest: Vec::new(), errno: None };
        // SAFETY: the caller's promise.
        while unsafe { self.submit_some(&mut operations, home, &claim, &mut batch) } {}
        if batch.errno.is_some() {
            batch.rest.extend(operations);
        }
        // There was no room, and nothing that would have needed it.
        batch.errno = batch.errno.filter(|_| !batch.rest.is_empty());
        batch
    }

    /// One io_submit. False: that was all, or one was refused.
    ///
    /// # Safety
    /// As [`submit`](Shared::submit).
    unsafe fn submit_some<'f, B, A>(
        &self,
        operations: &mut impl Iterator<Item = Operation<'f, B>>,
        home: Home,
        claim: impl Fn(Token) -> A,
        batch: &mut Batch<'f, B, A>,
    ) -> bool {
        let most = operations.size_hint().1.unwrap_or(AT_ONCE);
        if most == 0 {
            return false;
        }
        let mut load = Load::new(self);
        if let Err(errno) = load.reserve(home, most) {
            batch.errno = Some(errno);
            return false;
        }
        let beyond = load.fill(operations);
        // SAFETY: the iocbs and what they name are in place until their events were taken.
        let refused = unsafe { load.send() };
        batch.accepted.extend(load.tokens[..load.sent].iter().copied().map(claim));
        let full = load.ready == load.count;
        // SAFETY: they were filled with `B`s above.
        batch.rest.extend(unsafe { load.rest() });
        batch.errno = refused.or(beyond.as_ref().map(|_| Errno::EAGAIN));
        batch.rest.extend(beyond);
        batch.errno.is_none() && full
    }
}
