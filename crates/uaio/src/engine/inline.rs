//! The engine that executes on the caller's thread, inside io_submit, as the kernel does with what is
//! not O_DIRECT.

use crate::abi::RWF_NOWAIT;
use crate::context::Context;
use crate::engine::{Batch, Engine};
use crate::errno::{Errno, Result};
use crate::os::file;
use crate::request::{Op, Request};
use crate::slot::Slot;
use crate::stats::EngineId;
use crate::timers::Side;

/// The engine.
#[derive(Debug)]
pub(crate) struct Inline;

/// What comes of a request that no library thread has got.
fn end_of(request: &mut Request) -> i64 {
    // The script holds back what has been performed already.
    if let Some(res) = request.performed() {
        return res;
    }
    let ready = if request.op == Op::Poll { attempt(request, request.fd, 0) } else { Ok(0) };
    match ready {
        // There was room for its file when it was accepted, and now there is not: nobody is there to wait.
        Err(Errno::EAGAIN) => Errno::EMFILE.negated() as i64,
        _ => run_to_end(request, request.fd),
    }
}

impl Engine for Inline {
    fn id(&self) -> EngineId {
        EngineId::Inline
    }

    fn submit(&self, batch: &mut Batch) {
        for slot in batch.slots() {
            // SAFETY: the submitter has the slots of its batch.
            let request = unsafe { slot.request() };
            let res = end_of(request);
            let context = slot.context();
            context.finish(slot, res, request.resfd, Side::Program);
            context.leave();
        }
        batch.clear();
    }

    fn cancel_all(&self, _context: &'static Context) {}

    fn cancel_one(&self, _slot: &'static Slot, _ticket: u32) {}
}

/// One transfer, or fsync, of what is left of `request`, on descriptor `fd`, with further RWF flags.
pub(crate) fn attempt(request: &Request, fd: i32, flags: u32) -> Result<usize> {
    if request.stream && request.want == 0 && matches!(request.op, Op::Read | Op::Write) {
        return transfer_nothing(request, fd);
    }
    let (iov, flags) = (request.iovec(), request.rw_flags | flags);
    let call = match request.op {
        Op::Read => file::readv,
        Op::Write => file::writev,
        Op::Fsync | Op::Fdatasync => return file::sync(fd, request.op == Op::Fdatasync),
        Op::Poll => return poll(request, fd),
    };
    // SAFETY: the pieces are the program's, given for this transfer.
    let done = unsafe { call(fd, iov.as_ptr(), iov.len(), request.offset, flags) };
    if done != Err(Errno::ESPIPE) || (request.offset != 0 && is_socket(fd)) {
        return done;
    }
    // A file without positions: pipes and terminals ignore the offset, and sockets take only 0.
    // SAFETY: as above.
    unsafe { call(fd, iov.as_ptr(), iov.len(), -1, flags) }
}

fn is_socket(fd: i32) -> bool {
    file::stat(fd).is_ok_and(|st| st.st_mode & libc::S_IFMT == libc::S_IFSOCK)
}

fn transfer_nothing(request: &Request, fd: i32) -> Result<usize> {
    if request.offset > 0 && is_socket(fd) {
        return Err(Errno::ESPIPE);
    }
    file::transfer_nothing(fd, request.op == Op::Write)
}

/// One look. EAGAIN: not ready. What is ready is a positive number.
fn poll(request: &Request, fd: i32) -> Result<usize> {
    match file::poll_now(fd, request.poll_mask)? {
        0 => Err(Errno::EAGAIN),
        ready => Ok(usize::from(ready)),
    }
}

/// Executes `request` without waiting for anybody. EAGAIN: it would have waited; some of it may be done.
pub(crate) fn attempt_now(request: &Request, fd: i32) -> Result<usize> {
    match attempt(request, fd, RWF_NOWAIT) {
        Err(Errno::EOPNOTSUPP) => attempt_when_ready(request, fd),
        done => done,
    }
}

/// For files without NOWAIT: does it when they say that it will not wait.
fn attempt_when_ready(request: &Request, fd: i32) -> Result<usize> {
    let mask = if request.op == Op::Write { libc::POLLOUT } else { libc::POLLIN };
    match file::poll_now(fd, mask as u16)? {
        0 => Err(Errno::EAGAIN),
        _ => attempt(request, fd, 0),
    }
}

/// Executes `request` however long it takes; returns the event's result.
pub(crate) fn run_to_end(request: &mut Request, fd: i32) -> i64 {
    loop {
        match attempt(request, fd, 0) {
            Ok(n) if n > 0 && request.op == Op::Write && request.stream && n < request.left() as usize => {
                request.advance(n);
            }
            Err(Errno::EAGAIN) if request.op == Op::Poll => {
                let _ = file::wait_ready(fd, request.poll_mask);
            }
            last => return request.result(last),
        }
    }
}
