//! Requests that are tried before it is asked what their file is, because of what their descriptor was the last time.
//!
//! The descriptor may have been closed and the number given to any other file. What is done here is right for every file:
//!
//! * A transfer at a position: pipes, sockets, terminals and anonymous files refuse it (ESPIPE) before they do anything, so
//!   nobody waits for another party, and nothing is taken or sent.
//! * With a flag: a file without the method that AIO needs (`read_iter`, `write_iter`) refuses any flag (EOPNOTSUPP) before
//!   it does anything. [`RWF_NOSIGNAL`] is the one that changes nothing for files with positions. A kernel before 6.18 does
//!   not know it: then nothing is guessed.
//! * A descriptor that is closed, open with O_PATH or for the other direction, or a directory: EBADF.
//! * What then comes back has been done by the file's own method with the arguments that AIO would give it: it is the event.
//!   Whatever might have been a refusal leads to the ordinary way, which finds the kernel's error in the kernel's order.
//! * O_DIRECT where there was none: the caller waits for the disk; so does O_DIRECT that has become able to do NOWAIT. The
//!   write is done when io_submit returns, which is more than is promised.
//! * A buffered write where there was O_DIRECT: every guessed write waits for the context's cold reads.

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use super::{Engine, EngineId, Errno, Result, Submission};
use crate::abi::{IOCB_CMD_POLL, IOCB_CMD_PREAD, IOCB_CMD_PWRITE, Iocb, Iovec, RWF_NOSIGNAL, RWF_NOWAIT};
use crate::hints::{self, Was};
use crate::os::file;
use crate::request::Request;

/// How to try.
#[derive(Clone, Copy)]
pub(super) enum Guess {
    Poll,
    /// A read that brings all that is asked for, or counts as an early one.
    Nowait,
    Read,
    Write,
}

/// What came of it.
pub(super) enum Tried {
    Ended(i64),
    /// The result is not the event's, but something may have been done.
    Early(Result<usize>),
    /// Nothing was done.
    Refused,
}

/// Whether the kernel knows [`RWF_NOSIGNAL`]: what came of the first transfer that carried it.
static FLAG: AtomicU8 = AtomicU8::new(UNTRIED);
const UNTRIED: u8 = 0;
const KNOWN: u8 = 1;
const REFUSED: u8 = 2;

impl Submission {
    /// How `iocb` may be tried at once, if it may. Takes note of a read that is better not tried at all.
    pub(super) fn guess(&mut self, iocb: &Iocb) -> Option<Guess> {
        self.cold = false;
        if self.script.is_some() {
            return None;
        }
        if iocb.opcode == IOCB_CMD_POLL {
            return Request::is_plain_poll(iocb).then_some(Guess::Poll);
        }
        if !matches!(iocb.opcode, IOCB_CMD_PREAD | IOCB_CMD_PWRITE) || !Request::is_plain(iocb) {
            return None;
        }
        let read = iocb.opcode == IOCB_CMD_PREAD;
        match hints::recall(iocb.fildes as i32) {
            Was::Unknown => None,
            // The attempt would have this thread send the request to the disk. Workers gain by that; io_uring does it cheaper itself.
            Was::Cold if read && (&self.service).id() == EngineId::Uring => {
                self.cold = true;
                None
            }
            Was::Buffered | Was::Cold if read => Some(Guess::Nowait),
            _ if FLAG.load(Relaxed) == REFUSED => None,
            _ => Some(if read { Guess::Read } else { Guess::Write }),
        }
    }

    /// Tries `iocb`. Nothing else can refuse it any more.
    pub(super) fn attempt(&mut self, guess: Guess, iocb: &Iocb) -> Tried {
        let tried = match guess {
            Guess::Poll => return poll(iocb),
            Guess::Nowait => read_now(iocb),
            Guess::Read => {
                self.ended.deliver(self.context);
                outcome(transfer(iocb, false, RWF_NOSIGNAL))
            }
            Guess::Write => {
                // What came before goes first: the reads among it must not see this write.
                self.send();
                self.ended.deliver(self.context);
                self.context.wait_for_cold_reads();
                outcome(transfer(iocb, true, RWF_NOSIGNAL))
            }
        };
        match (&tried, guess) {
            (Tried::Ended(_), Guess::Nowait) => hints::note_hit(iocb.fildes as i32),
            // Whether it is a miss is seen when the file is known.
            (Tried::Ended(_), _) | (Tried::Early(_), Guess::Nowait) => {}
            _ => hints::note(iocb.fildes as i32, Was::Unknown),
        }
        tried
    }
}

fn poll(iocb: &Iocb) -> Tried {
    match file::poll_now(iocb.fildes as i32, iocb.buf as u16) {
        Ok(0) => Tried::Early(Err(Errno::EAGAIN)),
        Ok(ready) => Tried::Ended(i64::from(ready)),
        Err(_) => Tried::Refused,
    }
}

fn read_now(iocb: &Iocb) -> Tried {
    match transfer(iocb, false, RWF_NOWAIT) {
        Ok(n) if n as u64 == iocb.nbytes => Tried::Ended(n as i64),
        Err(Errno::ESPIPE | Errno::EBADF) => Tried::Refused,
        done => Tried::Early(done),
    }
}

/// Errors that may be refusals are not taken for the request's.
fn outcome(done: Result<usize>) -> Tried {
    use Errno as E;
    match done {
        Ok(n) => {
            learn(KNOWN);
            Tried::Ended(n as i64)
        }
        Err(E::EOPNOTSUPP) => {
            learn(REFUSED);
            Tried::Refused
        }
        Err(E::EBADF | E::EINVAL | E::ESPIPE | E::EAGAIN | E::EPERM | E::EACCES) => Tried::Refused,
        Err(e) => Tried::Ended(e.negated() as i64),
    }
}

/// Once it is known to the kernel, only files refuse it.
fn learn(what: u8) {
    if FLAG.load(Relaxed) == UNTRIED {
        FLAG.store(what, Relaxed);
    }
}

fn transfer(iocb: &Iocb, write: bool, flags: u32) -> Result<usize> {
    let piece = Iovec { base: iocb.buf as usize, len: iocb.nbytes as usize };
    let call = if write { file::writev } else { file::readv };
    // SAFETY: the piece is the program's, given for this transfer.
    unsafe { call(iocb.fildes as i32, &raw const piece, 1, iocb.offset, flags) }
}
