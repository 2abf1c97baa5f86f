//! Submitting: a place for each operation, its iocb there, and one io_submit for all of them.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::Ordering;

use super::completion::{Batch, Rejected};
use super::flights::{Home, Token};
use super::operation::{Describe, Operation, Parts};
use super::shared::{OWN_PIECES, Shared};
use crate::abi::{IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_POLL, IOCB_FLAG_IOPRIO, IOCB_FLAG_RESFD, Iocb, Iovec};
use crate::errno::{Errno, Result};
use crate::sys;

/// Gives a place back when the description of a buffer panics.
struct Place<'a> {
    shared: &'a Shared,
    token: Token,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // The buffer is leaked: what its owner's code has done to it is not known.
        self.shared.lock().unreserve(self.token);
    }
}

/// The iovec array of a vectored operation: in its place as far as it fits.
struct List<'a> {
    own: &'a mut [Iovec; OWN_PIECES],
    more: &'a mut Vec<Iovec>,
    count: usize,
    bytes: u64,
}

impl List<'_> {
    fn push(&mut self, piece: Iovec) {
        self.bytes += piece.len as u64;
        match self.own.get_mut(self.count) {
            Some(place) => *place = piece,
            None if self.more.is_empty() => self.more.extend(self.own.iter().copied().chain([piece])),
            None => self.more.push(piece),
        }
        self.count += 1;
    }

    /// Where the array is, and how many pieces it has.
    fn place(&self) -> Iovec {
        let start = if self.count > OWN_PIECES { self.more.as_ptr() } else { self.own.as_ptr() };
        Iovec { base: start as usize, len: self.count }
    }
}

/// Operations that one io_submit takes.
const AT_ONCE: usize = 64;

/// An operation of a batch; its buffer is elsewhere while it is in its place.
type Open<'f, B> = (Parts<'f, B>, Option<B>);

/// Places for a batch: those that were not sent are given back, also when the description of a buffer panics. (The buffers
/// that were in their places by then are leaked, as above.)
struct Reserved<'a> {
    shared: &'a Shared,
    tokens: Vec<Token>,
    sent: usize,
}

impl Reserved<'_> {
    /// Those that were sent.
    fn finish(mut self) -> Vec<Token> {
        let mut tokens = std::mem::take(&mut self.tokens);
        self.give_back(&tokens[self.sent..]);
        tokens.truncate(self.sent);
        tokens
    }

    fn give_back(&self, tokens: &[Token]) {
        if !tokens.is_empty() {
            let mut state = self.shared.lock();
            tokens.iter().for_each(|token| state.unreserve(*token));
        }
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.give_back(self.tokens.get(self.sent..).unwrap_or_default());
    }
}

impl Shared {
    /// A place for an operation, looking for events when there is none. EAGAIN.
    fn reserve(&self, home: Home, opcode: u16) -> Result<Token> {
        let is_poll = opcode == IOCB_CMD_POLL;
        match self.lock().reserve(home, is_poll) {
            Err(Errno::EAGAIN) => {}
            other => return other,
        }
        self.reap_now();
        self.lock().reserve(home, is_poll)
    }

    /// Gets an operation ready: afterwards its iocb can be submitted. EAGAIN: too many operations or bytes.
    fn prepare<B>(&self, parts: &Parts<'_, B>, buffer: B, home: Home) -> std::result::Result<Token, (Errno, B)> {
        if !self.is_ours() {
            return Err((Errno::EINVAL, buffer));
        }
        let token = match self.reserve(home, parts.shape.opcode) {
            Ok(token) => token,
            Err(errno) => return Err((errno, buffer)),
        };
        let place = Place { shared: self, token };
        // SAFETY: the place was reserved a moment ago.
        let bytes = unsafe { self.fill(token, buffer, parts) };
        std::mem::forget(place);
        match self.count_bytes(token, bytes) {
            Ok(()) => Ok(token),
            // SAFETY: it owns what was just put in, and was not submitted.
            Err(errno) => Err((errno, unsafe { self.refuse(token) })),
        }
    }

    /// # Safety
    /// The caller has reserved the place.
    unsafe fn fill<B>(&self, token: Token, buffer: B, parts: &Parts<'_, B>) -> u64 {
        // SAFETY: the caller alone has the place.
        let cell = unsafe { &mut *self.cell(token) };
        cell.finish = parts.shape.finish;
        cell.bytes = 0;
        let buffer = cell.payload.put(buffer);
        let (piece, bytes) = match parts.shape.describe {
            Describe::Nowhere => (Iovec { base: usize::from(parts.mask), len: 0 }, 0),
            Describe::One(describe) => {
                // SAFETY: the buffer is in its place until the operation has ended.
                let piece = unsafe { describe(buffer) };
                (piece, piece.len as u64)
            }
            Describe::Many(describe) => {
                let mut list = List { own: &mut cell.pieces, more: &mut cell.more_pieces, count: 0, bytes: 0 };
                list.more.clear();
                // SAFETY: as above.
                unsafe { describe(buffer, &mut |piece| list.push(piece)) };
                (list.place(), list.bytes)
            }
        };
        cell.iocb = self.iocb(token, parts, piece);
        bytes
    }

    fn iocb<B>(&self, token: Token, parts: &Parts<'_, B>, piece: Iovec) -> Iocb {
        let opcode = parts.shape.opcode;
        let priority =
            parts.priority.filter(|_| !matches!(opcode, IOCB_CMD_POLL | IOCB_CMD_FSYNC | IOCB_CMD_FDSYNC));
        let eventfd = self.eventfd.as_ref().map(AsRawFd::as_raw_fd);
        let flag = |flag: u32, set: bool| if set { flag } else { 0 };
        Iocb {
            data: token.0,
            opcode,
            fildes: parts.file.as_fd().as_raw_fd() as u32,
            buf: piece.base as u64,
            nbytes: piece.len as u64,
            offset: parts.offset,
            rw_flags: parts.rw_flags,
            reqprio: priority.unwrap_or(0),
            flags: flag(IOCB_FLAG_RESFD, eventfd.is_some()) | flag(IOCB_FLAG_IOPRIO, parts.priority.is_some()),
            resfd: eventfd.unwrap_or(0) as u32,
            ..Iocb::default()
        }
    }

    fn count_bytes(&self, token: Token, bytes: u64) -> Result<()> {
        if !self.limits_bytes() || bytes == 0 {
            return Ok(());
        }
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        // SAFETY: the caller has the place, see `prepare`.
        unsafe { (*self.cell(token)).bytes = bytes };
        // One operation alone may be larger than the limit: it could never be submitted otherwise.
        if before > 0 && before + bytes > self.bytes_max { Err(Errno::EAGAIN) } else { Ok(()) }
    }

    /// Takes the buffer of an operation back that was not accepted.
    ///
    /// # Safety
    /// It owns a `B`, and no engine has it.
    unsafe fn refuse<B>(&self, token: Token) -> B {
        // SAFETY: the caller's promise.
        let (buffer, _) = unsafe { self.take(token) };
        self.lock().unreserve(token);
        buffer
    }

    /// Submits one operation.
    ///
    /// # Safety
    /// `B` and what it borrows outlive the operation: it is 'static, or a scope waits.
    pub(crate) unsafe fn submit<'f, B>(
        &self,
        operation: Operation<'f, B>,
        home: Home,
    ) -> std::result::Result<Token, Rejected<'f, B>> {
        let Operation { parts, buffer } = operation;
        let token = match self.prepare(&parts, buffer, home) {
            Ok(token) => token,
            Err((errno, buffer)) => return Err(Rejected { errno, operation: Operation { parts, buffer } }),
        };
        let mut list = [self.iocb_of(token)];
        // SAFETY: the iocb and what it names are in place until the event was taken.
        match unsafe { sys::io_submit(self.id, 1, list.as_mut_ptr()) } {
            Ok(_) => Ok(token),
            Err(errno) => {
                // SAFETY: it was not accepted.
                let buffer = unsafe { self.refuse(token) };
                Err(Rejected { errno, operation: Operation { parts, buffer } })
            }
        }
    }

    pub(super) fn iocb_of(&self, token: Token) -> *mut Iocb {
        // SAFETY: the place is inside the slice; no reference is made.
        unsafe { &raw mut (*self.cell(token)).iocb }
    }

    /// Submits operations in order, with as few calls as possible, until one is refused.
    ///
    /// # Safety
    /// As [`submit`](Shared::submit).
    pub(crate) unsafe fn submit_all<'f, B, A>(
        &self,
        operations: impl IntoIterator<Item = Operation<'f, B>>,
        home: Home,
        claim: impl Fn(Token) -> A,
    ) -> Batch<'f, B, A> {
        let open = |Operation { parts, buffer }| (parts, Some(buffer));
        let mut operations: Vec<Open<'f, B>> = operations.into_iter().map(open).collect();
        let mut reserved = Reserved { shared: self, tokens: Vec::with_capacity(operations.len()), sent: 0 };
        let lacking = self.reserve_all(home, &operations, &mut reserved.tokens);
        let (ready, limit) = self.fill_all(&mut operations, &reserved.tokens);
        // SAFETY: the iocbs and what they name are in place until their events were taken.
        let (sent, refused) = unsafe { self.send(&reserved.tokens[..ready]) };
        for (token, operation) in reserved.tokens[..ready].iter().zip(&mut operations).skip(sent) {
            // SAFETY: it was not accepted.
            operation.1 = Some(unsafe { self.take(*token) }.0);
        }
        reserved.sent = sent;
        let close = |(parts, buffer): Open<'f, B>| Some(Operation { parts, buffer: buffer? });
        let rest = operations.drain(sent..).filter_map(close).collect();
        Batch {
            accepted: reserved.finish().into_iter().map(claim).collect(),
            rest,
            errno: refused.or(limit).or(lacking),
        }
    }

    /// Places for as many as there is room for, looking for events when there is too little. EAGAIN, EINVAL.
    fn reserve_all<B>(&self, home: Home, operations: &[Open<'_, B>], tokens: &mut Vec<Token>) -> Option<Errno> {
        if !self.is_ours() {
            return Some(Errno::EINVAL);
        }
        let go_on = |tokens: &mut Vec<Token>| {
            let mut state = self.lock();
            operations[tokens.len()..].iter().try_for_each(|(parts, _)| {
                tokens.push(state.reserve(home, parts.shape.opcode == IOCB_CMD_POLL)?);
                Ok(())
            })
        };
        match go_on(tokens) {
            Err(Errno::EAGAIN) => {}
            other => return other.err(),
        }
        self.reap_now();
        go_on(tokens).err()
    }

    /// Moves the buffers into their places; returns how many are ready, and why not more.
    fn fill_all<B>(&self, operations: &mut [Open<'_, B>], tokens: &[Token]) -> (usize, Option<Errno>) {
        for (ready, ((parts, buffer), token)) in operations.iter_mut().zip(tokens).enumerate() {
            let Some(owned) = buffer.take() else { return (ready, None) };
            // SAFETY: the place was reserved by the caller.
            let bytes = unsafe { self.fill(*token, owned, parts) };
            if let Err(errno) = self.count_bytes(*token, bytes) {
                // SAFETY: it owns what was just put in, and was not submitted.
                *buffer = Some(unsafe { self.take(*token) }.0);
                return (ready, Some(errno));
            }
        }
        (tokens.len(), None)
    }

    /// io_submit until all are accepted, or one is refused.
    ///
    /// # Safety
    /// As io_submit.
    unsafe fn send(&self, tokens: &[Token]) -> (usize, Option<Errno>) {
        let mut sent = 0;
        while sent < tokens.len() {
            let mut list = [std::ptr::null_mut(); AT_ONCE];
            list.iter_mut().zip(&tokens[sent..]).for_each(|(place, token)| *place = self.iocb_of(*token));
            let count = (tokens.len() - sent).min(AT_ONCE);
            // SAFETY: the caller's promise.
            match unsafe { sys::io_submit(self.id, count as isize, list.as_mut_ptr()) } {
                Ok(count) => sent += count,
                Err(errno) => return (sent, Some(errno)),
            }
        }
        (sent, None)
    }
}
