//! io_submit and io_getevents for the Rust API: the same calls, for a context and memory that are this library's own, so that no
//! address has to be looked at before it is used.

use core::mem::MaybeUninit;

use super::reap::{count_getevents, deadline};
use super::timed_submit;
use crate::abi::{ContextId, IoEvent, Iocb, Timespec};
use crate::errno::{Errno, Result};
use crate::os::probe::Pages;
use crate::process;
use crate::wait::{self, Wanted};

/// [`io_submit`](super::io_submit).
///
/// # Safety
/// `list` holds valid iocbs that nobody else uses meanwhile, and the rest is as with io_submit.
pub(crate) unsafe fn submit(ctx: ContextId, list: &[*mut Iocb]) -> Result<usize> {
    // SAFETY: the caller's promise.
    unsafe { timed_submit(ctx, list.len() as isize, list.as_ptr().expose_provenance(), Pages::ours()) }
}

/// [`io_getevents`](super::io_getevents) for as many events as there is room for.
pub(crate) fn getevents(
    ctx: ContextId,
    least: usize,
    room: &mut [MaybeUninit<IoEvent>],
    timeout: Option<Timespec>,
) -> Result<usize> {
    count_getevents();
    let process = process::get().ok_or(Errno::EINVAL)?;
    let call = process.table.find_to_reap(ctx)?;
    let events = room.as_mut_ptr().expose_provenance();
    let (deadline, service) = (deadline(timeout), &process.service);
    wait::collect(call, &Wanted { least, most: room.len(), events, ours: true, deadline, mask: None, service })
}
