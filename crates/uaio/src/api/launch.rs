//! Submitting: a place for each operation, its iocb there, and one io_submit for all of them.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::Ordering;

use super::completion::Rejected;
use super::flights::{Home, Token};
use super::operation::{Operation, Parts};
use super::shared::{Cell, OWN_PIECES, Shared};
use crate::abi::{IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_POLL, IOCB_FLAG_RESFD, Iocb, Iovec};
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
        let token = match self.reserve(home, parts.iocb.opcode) {
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
        let cell = self.cell(token);
        // SAFETY: the caller alone has the place.
        let Cell { iocb, payload, finish, bytes, pieces, more_pieces } = unsafe { &mut *cell };
        *finish = parts.finish;
        let buffer = payload.put(buffer);
        *bytes = 0;
        more_pieces.clear();
        let (mut count, mut total) = (0, 0u64);
        if let Some(describe) = parts.describe {
            let mut note = |piece: Iovec| {
                total += piece.len as u64;
                match pieces.get_mut(count) {
                    Some(place) => *place = piece,
                    None if more_pieces.is_empty() => more_pieces.extend(pieces.iter().copied().chain([piece])),
                    None => more_pieces.push(piece),
                }
                count += 1;
            };
            // SAFETY: the buffer is in its place until the operation has ended.
            unsafe { describe(buffer, &mut note) };
        }
        let list = if count > OWN_PIECES { more_pieces.as_ptr() } else { pieces.as_ptr() };
        *iocb = self.iocb(token, parts, (list as u64, count as u64), pieces[0]);
        total
    }

    fn iocb<B>(&self, token: Token, parts: &Parts<'_, B>, list: (u64, u64), only: Iovec) -> Iocb {
        let fildes = parts.file.as_fd().as_raw_fd() as u32;
        let mut iocb = Iocb { data: token.0, fildes, ..parts.iocb };
        if parts.vectored {
            (iocb.buf, iocb.nbytes) = list;
        } else if parts.describe.is_some() {
            (iocb.buf, iocb.nbytes) = (only.base as u64, only.len as u64);
        }
        if let Some(eventfd) = &self.eventfd {
            iocb.flags |= IOCB_FLAG_RESFD;
            iocb.resfd = eventfd.as_raw_fd() as u32;
        }
        if matches!(iocb.opcode, IOCB_CMD_POLL | IOCB_CMD_FSYNC | IOCB_CMD_FDSYNC) {
            iocb.reqprio = 0;
        }
        iocb
    }

    fn count_bytes(&self, token: Token, bytes: u64) -> Result<()> {
        if self.bytes_max == u64::MAX || bytes == 0 {
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

    /// Submits operations in order, with as few calls as possible, until one is refused. Returns why, and leaves that
    /// one and the others in `operations`.
    ///
    /// # Safety
    /// As [`submit`](Shared::submit).
    pub(crate) unsafe fn submit_all<'f, B>(
        &self,
        operations: &mut VecDeque<Operation<'f, B>>,
        home: Home,
        accepted: impl FnMut(Token),
    ) -> Option<Errno> {
        let mut ready: Vec<(Token, Parts<'f, B>)> = Vec::with_capacity(operations.len().min(self.cells.len()));
        let mut why = None;
        while let Some(Operation { parts, buffer }) = operations.pop_front() {
            match self.prepare(&parts, buffer, home) {
                Ok(token) => ready.push((token, parts)),
                Err((errno, buffer)) => {
                    operations.push_front(Operation { parts, buffer });
                    why = Some(errno);
                    break;
                }
            }
        }
        let mut list: Vec<*mut Iocb> = ready.iter().map(|(token, _)| self.iocb_of(*token)).collect();
        // SAFETY: the iocbs and what they name are in place until their events were taken.
        let (sent, errno) = unsafe { self.send(&mut list) };
        for (token, parts) in ready.drain(sent..).rev() {
            // SAFETY: it was not accepted.
            let buffer = unsafe { self.refuse(token) };
            operations.push_front(Operation { parts, buffer });
        }
        ready.into_iter().map(|(token, _)| token).for_each(accepted);
        errno.or(why)
    }

    /// io_submit until all are accepted, or one is refused.
    ///
    /// # Safety
    /// As io_submit.
    unsafe fn send(&self, list: &mut [*mut Iocb]) -> (usize, Option<Errno>) {
        let mut sent = 0;
        while sent < list.len() {
            // SAFETY: the caller's promise.
            match unsafe { sys::io_submit(self.id, (list.len() - sent) as isize, list[sent..].as_mut_ptr()) } {
                Ok(count) => sent += count,
                Err(errno) => return (sent, Some(errno)),
            }
        }
        (sent, None)
    }
}
