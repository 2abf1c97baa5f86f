//! Whether a context is the kernel's: judged by its first batch, before anything of it is in flight.

use crate::abi::*;
use crate::context::Context;
use crate::errno::{Errno, Result};
use crate::facts::Facts;
use crate::os::probe::Pages;

use super::parking::Parking;

/// No new try for so long after the quota was used up, and after the kernel's AIO was found to be missing.
const QUOTA_NS: u64 = 1_000_000_000;
const MISSING_NS: u64 = u64::MAX;

/// `context` is about to be destroyed: it is decided now.
pub(crate) fn close(parking: &Parking, context: &Context) {
    if !context.lane.shut() {
        drop(parking.choosing.acquire());
    }
}

/// What the first iocbs ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// What the kernel does well: O_DIRECT on a file that can wait, POLL, fsync. `hurried`: among them is something whose end
    /// cannot be awaited in the ring.
    Kernel { hurried: bool },
    /// Something else.
    Ours,
}

/// Decides for `context`, if that is still to be done.
pub(crate) fn decide(parking: &'static Parking, context: &'static Context, count: usize, iocbpp: usize) {
    // Before the lock: a file system that does not answer holds nobody else up.
    let wish = if parking.is_open() { wish(count.min(context.ring.nr() as usize), iocbpp) } else { Wish::Ours };
    // From here on no signal handler of this thread comes between.
    let _quiet = parking.choosing.acquire();
    if !context.lane.begin() {
        return;
    }
    let given = match wish {
        Wish::Kernel { hurried } => {
            super::adopt(parking, context, patience_ns(hurried)).inspect_err(|why| note(parking, *why)).is_ok()
        }
        Wish::Ours => false,
    };
    if !given {
        context.lane.close();
    }
}

fn patience_ns(hurried: bool) -> u32 {
    if hurried { super::NO_PATIENCE_NS } else { super::PATIENCE_WITH_FILES_NS }
}

fn note(parking: &Parking, why: Errno) {
    match why {
        Errno::EAGAIN | Errno::ENOMEM => parking.close_for(QUOTA_NS),
        Errno::EINVAL => {}
        _ => parking.close_for(MISSING_NS),
    }
}

fn wish(count: usize, iocbpp: usize) -> Wish {
    let mut pages = Pages::new();
    let mut known = None;
    let mut hurried = false;
    for index in 0..count {
        // What is bad here is refused by whoever gets it.
        match kind(&mut pages, &mut known, iocbpp.wrapping_add(index * size_of::<usize>())) {
            Ok(Some(also)) => hurried |= also,
            Ok(None) => return Wish::Ours,
            Err(_) if index == 0 => return Wish::Ours,
            Err(_) => break,
        }
    }
    Wish::Kernel { hurried }
}

/// Some: O_DIRECT, POLL or fsync; true if its end cannot be awaited in the ring: a POLL may never end, and an eventfd is told
/// after the event. None: something that our engines do better.
fn kind(pages: &mut Pages, known: &mut Option<(i32, bool)>, pointer: usize) -> Result<Option<bool>> {
    // SAFETY: any bytes are an address.
    let address: usize = unsafe { copy_in(pages, pointer) }?;
    // SAFETY: any bytes are an iocb.
    let iocb: Iocb = unsafe { copy_in(pages, address) }?;
    let told = iocb.flags & IOCB_FLAG_RESFD != 0;
    match iocb.opcode {
        IOCB_CMD_POLL => Ok(Some(true)),
        // By itself the kernel's is faster; beside buffered requests it goes where they go.
        IOCB_CMD_FSYNC | IOCB_CMD_FDSYNC => Facts::flags_of(iocb.fildes as i32).map(|_| Some(told)),
        IOCB_CMD_PREAD | IOCB_CMD_PWRITE | IOCB_CMD_PREADV | IOCB_CMD_PWRITEV => {
            let fd = iocb.fildes as i32;
            let suits = match *known {
                Some((same, suits)) if same == fd => suits,
                _ => suits(fd)?,
            };
            *known = Some((fd, suits));
            Ok(suits.then_some(told))
        }
        _ => Err(Errno::EINVAL),
    }
}

/// Opened with O_DIRECT, and requests on it may wait.
fn suits(fd: i32) -> Result<bool> {
    let flags = Facts::flags_of(fd)?;
    Ok(flags & libc::O_DIRECT != 0 && Facts::with_flags(fd, flags)?.is_disk_that_waits())
}

/// # Safety
/// Any bytes are a valid `T`.
unsafe fn copy_in<T>(pages: &mut Pages, address: usize) -> Result<T> {
    if !pages.readable(address, size_of::<T>()) {
        return Err(Errno::EFAULT);
    }
    // SAFETY: readable a moment ago; any bytes are valid, by the caller's promise.
    Ok(unsafe { (address as *const T).read_unaligned() })
}
