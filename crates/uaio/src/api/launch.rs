//! Submitting one operation: a place for it, its iocb there, and io_submit. `batch.rs` does it for several.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::Ordering;

use super::completion::Rejected;
use super::flights::{Home, Token};
use super::operation::{Describe, Operation, Parts};
use super::shared::{OWN_PIECES, Shared};
use crate::abi::{IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_POLL, IOCB_FLAG_IOPRIO, IOCB_FLAG_RESFD, Iocb, Iovec};
use crate::errno::{Errno, Result};

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

impl Shared {
    /// A place for an operation, looking for events when there is none. EAGAIN.
    fn reserve(&self, home: Home) -> Result<Token> {
        let mut token = [Token::default()];
        self.reserve_some(home, &mut token).map(|_| token[0])
    }

    /// Places for as many operations, or for as many as there is room for, looking for events when there is none. EAGAIN,
    /// EINVAL.
    pub(super) fn reserve_some(&self, home: Home, tokens: &mut [Token]) -> Result<usize> {
        match self.lock().reserve_some(home, tokens) {
            Err(Errno::EAGAIN) => {}
            other => return other,
        }
        self.reap_now();
        self.lock().reserve_some(home, tokens)
    }

    /// Gets an operation ready: afterwards its iocb can be submitted. EAGAIN: too many operations or bytes.
    fn prepare<B>(&self, parts: &Parts<'_>, buffer: B, home: Home) -> std::result::Result<Token, (Errno, B)> {
        if !self.is_ours() {
            return Err((Errno::EINVAL, buffer));
        }
        let token = match self.reserve(home) {
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
    pub(super) unsafe fn fill<B>(&self, token: Token, buffer: B, parts: &Parts<'_>) -> u64 {
        // SAFETY: the caller alone has the place.
        let cell = unsafe { &mut *self.cell(token) };
        cell.finish = parts.shape.finish;
        cell.bytes = 0;
        let buffer = cell.payload.put(buffer).cast();
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

    fn iocb(&self, token: Token, parts: &Parts<'_>, piece: Iovec) -> Iocb {
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

    pub(super) fn count_bytes(&self, token: Token, bytes: u64) -> Result<()> {
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
        match unsafe { self.io_submit(&mut list) } {
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
}
