//! The other end of a blocking stream, while io_submit may block on it: a thread that gives data or takes them.

use std::sync::atomic::{AtomicBool, Ordering};

use uaio::abi::{IOCB_CMD_PREAD, IOCB_CMD_PREADV, RWF_NOWAIT};

use super::World;
use super::fds::Fd;
use super::streams::End;
use super::submit::{Prepared, reads, writes};
use crate::plan::Req;
use crate::sys;

/// How long the kernel's io_submit blocks before it gets its data, microseconds.
const LATER_US: u64 = 500;

#[derive(Clone, Copy, Debug)]
pub(super) enum Feeder {
    NotNeeded,
    /// Writes so many bytes to a descriptor.
    Gives {
        to: i32,
        len: usize,
    },
    /// Adds 1 to an eventfd.
    Adds {
        to: i32,
    },
    /// Reads from a descriptor whatever comes.
    Takes {
        from: i32,
    },
}

impl World {
    /// Whether a transfer on `file` could wait for its other end for ever.
    pub(super) fn needs_feeding(&self, file: Fd, req: &Req, len: u64) -> bool {
        let transfer = reads(req.op) || writes(req.op);
        if !file.blocking() || !transfer || req.rw_flags & RWF_NOWAIT != 0 {
            return false;
        }
        if reads(req.op) {
            return sys::ready(self.number(req.fd), libc::POLLIN as u16) == 0;
        }
        // A vectored write may be longer than its number of pieces says.
        let long = len > 1024 || req.op == uaio::abi::IOCB_CMD_PWRITEV;
        file == Fd::Terminal || long || sys::ready(self.number(req.fd), libc::POLLOUT as u16) == 0
    }

    pub(super) fn feeder_of(&self, batch: &[Prepared]) -> Feeder {
        let Some(one) = batch.iter().find(|p| p.feed) else { return Feeder::NotNeeded };
        let file = one.file.expect("what is fed is open");
        let read = matches!(one.op, IOCB_CMD_PREAD | IOCB_CMD_PREADV);
        match (self.end(file), read) {
            _ if file == Fd::Count => Feeder::Adds { to: self.open_number(Fd::Count).unwrap_or(-1) },
            // What a terminal is given may arrive in pieces: one byte does not.
            (End::Open(to), true) if file == Fd::Terminal => Feeder::Gives { to, len: 1 },
            (End::Open(to), true) => Feeder::Gives { to, len: one.len.clamp(1, 700) as usize },
            (End::Open(from), false) => Feeder::Takes { from },
            _ => Feeder::NotNeeded,
        }
    }
}

impl Feeder {
    pub(super) fn is_needed(self) -> bool {
        !matches!(self, Feeder::NotNeeded)
    }

    /// Runs `call` with the other end at work. The thread has ended when this returns: a scope alone only waits for its
    /// closure, and a child forked before the rest could start no thread.
    pub(super) fn run(self, call: impl FnOnce()) {
        let returned = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let feeder = scope.spawn(|| self.work(&returned));
            call();
            returned.store(true, Ordering::SeqCst);
            feeder.join().expect("the feeder panicked");
        });
    }

    fn work(self, returned: &AtomicBool) {
        sys::nap(LATER_US);
        match self {
            Feeder::NotNeeded => {}
            Feeder::Gives { to, len } => {
                sys::write(to, &super::fds::pattern(5, len));
            }
            Feeder::Adds { to } => {
                sys::write(to, &1u64.to_ne_bytes());
            }
            Feeder::Takes { from } => {
                while !returned.load(Ordering::SeqCst) {
                    take_all(from);
                    sys::nap(100);
                }
                take_all(from);
            }
        }
    }
}

fn take_all(from: i32) {
    let mut bytes = [0; 8192];
    while sys::read_now(from, &mut bytes) > 0 {}
}
