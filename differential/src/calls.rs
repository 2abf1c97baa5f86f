//! The six calls of one side, with raw results: a value, or a negated errno.

use std::fmt;

use uaio::abi::{AioSigset, IoEvent, Iocb, Timespec, nr};
use uaio::entry;

/// Whose AIO performs a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The kernel's, by system calls; what it is compared with decides what is left out.
    Kernel { beside: Engine },
    /// uaio in this process.
    Ours(Engine),
}

/// A setting of `UAIO_ENGINE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    Auto,
    Inline,
    Uring,
    Threads,
    /// Every call but io_setup and io_destroy is the kernel's own.
    Kernel,
    /// Without faults.
    Scripted,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Engine::Auto => "auto",
            Engine::Inline => "inline",
            Engine::Uring => "uring",
            Engine::Threads => "threads",
            Engine::Kernel => "kernel",
            Engine::Scripted => "scripted",
        })
    }
}

impl Side {
    /// Of ours, on either side.
    pub fn engine(self) -> Engine {
        match self {
            Side::Kernel { beside: engine } | Side::Ours(engine) => engine,
        }
    }

    /// Chooses the engine. To be called once, in a process that has one thread and has made no call yet.
    pub fn select(self) {
        if let Side::Ours(engine) = self {
            // SAFETY: the process has one thread, as the caller promises.
            unsafe { std::env::set_var("UAIO_ENGINE", engine.to_string()) };
        }
    }

    pub fn io_setup(self, nr_events: u32, ctxp: usize) -> isize {
        match self {
            Side::Kernel { .. } => raw(nr::IO_SETUP, [nr_events as usize, ctxp, 0, 0, 0, 0]),
            // SAFETY: `ctxp` is a word that belongs to the caller, or an address that cannot be written.
            Side::Ours(_) => unsafe { entry::io_setup(nr_events, ctxp as *mut usize) },
        }
    }

    pub fn io_destroy(self, ctx: usize) -> isize {
        match self {
            Side::Kernel { .. } => raw(nr::IO_DESTROY, [ctx, 0, 0, 0, 0, 0]),
            // SAFETY: any number may be given.
            Side::Ours(_) => unsafe { entry::io_destroy(ctx) },
        }
    }

    pub fn io_submit(self, ctx: usize, nr: i64, iocbpp: usize) -> isize {
        match self {
            Side::Kernel { .. } => raw(nr::IO_SUBMIT, [ctx, nr as usize, iocbpp, 0, 0, 0]),
            // SAFETY: what the iocbs name lies in the world's memory, which is never unmapped, or cannot be touched.
            Side::Ours(_) => unsafe { entry::io_submit(ctx, nr as isize, iocbpp as *const *mut Iocb) },
        }
    }

    pub fn io_cancel(self, ctx: usize, iocb: usize, result: usize) -> isize {
        match self {
            Side::Kernel { .. } => raw(nr::IO_CANCEL, [ctx, iocb, result, 0, 0, 0]),
            // SAFETY: any numbers may be given.
            Side::Ours(_) => unsafe { entry::io_cancel(ctx, iocb as *mut Iocb, result as *mut IoEvent) },
        }
    }

    /// Both forms: `io_pgetevents` where there is a `sigset`.
    pub fn io_getevents(
        self,
        ctx: usize,
        min: i64,
        nr_: i64,
        events: usize,
        time: usize,
        sigset: Option<usize>,
    ) -> isize {
        let args = [ctx, min as usize, nr_ as usize, events, time, sigset.unwrap_or(0)];
        let (min, most) = (min as isize, nr_ as isize);
        let (into, time) = (events as *mut IoEvent, time as *const Timespec);
        match (self, sigset) {
            (Side::Kernel { .. }, None) => raw(nr::IO_GETEVENTS, args),
            (Side::Kernel { .. }, Some(_)) => raw(nr::IO_PGETEVENTS, args),
            // SAFETY: `events` has room for what can come, or cannot be written.
            (Side::Ours(_), None) => unsafe { entry::io_getevents(ctx, min, most, into, time) },
            // SAFETY: as above.
            (Side::Ours(_), Some(set)) => unsafe {
                entry::io_pgetevents(ctx, min, most, into, time, set as *const AioSigset)
            },
        }
    }
}

fn raw(number: usize, a: [usize; 6]) -> isize {
    // SAFETY: the six calls of AIO; their memory is as `Side`'s methods say.
    let ret = unsafe { libc::syscall(number as libc::c_long, a[0], a[1], a[2], a[3], a[4], a[5]) };
    if ret == -1 { -(crate::sys::errno() as isize) } else { ret as isize }
}
