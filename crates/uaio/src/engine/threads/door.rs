//! The short way to the workers: for requests whose files the library threads hold already.
//!
//! A file that a request in flight has need not travel once more. The program's thread asks the kernel whether its
//! descriptor and the held one are the same open file (kcmp), and puts the request into the workers' queue itself: no
//! message, no second descriptor, and no thread between the two. Where kcmp is forbidden, everything goes the long way.

use core::sync::atomic::AtomicPtr;

use super::Pool;
use crate::engine::{Batch, NO_FILE};
use crate::errno::Errno;
use crate::files::{Files, Handle};
use crate::os::lock::SignalsHeld;
use crate::os::{file, thread};
use crate::request::Op;
use crate::slot::{Slot, State};
use crate::sync::{AtomicI32, Ordering};

/// Most different files of a batch.
const FILES: usize = 4;

/// Open while there is a pool. Zeroed memory is a closed one.
#[derive(Debug, Default)]
pub(crate) struct Door {
    pool: AtomicPtr<Pool>,
    /// The library thread whose descriptor table has the files; 0: it cannot be asked about.
    holder: AtomicI32,
    /// The process that may ask.
    pid: AtomicI32,
}

impl Door {
    /// By the library thread, before anybody may submit.
    pub(super) fn open(&self, pool: &Pool) {
        self.holder.store(thread::task(), Ordering::Relaxed);
        self.pid.store(thread::pid(), Ordering::Relaxed);
        // Release: pairs with the Acquire in `submit`.
        self.pool.store(core::ptr::from_ref(pool).cast_mut(), Ordering::Release);
    }

    /// By the same, when nobody submits any more.
    pub(crate) fn close(&self) {
        self.pool.store(core::ptr::null_mut(), Ordering::Relaxed);
    }

    /// Hands the batch to the workers. False: it has to go the long way. The caller holds the library thread.
    pub(crate) fn submit(&self, batch: &Batch) -> bool {
        // SAFETY: null, or the pool of the thread that is held.
        let Some(pool) = (unsafe { self.pool.load(Ordering::Acquire).as_ref() }) else { return false };
        let holder = self.holder.load(Ordering::Relaxed);
        if holder == 0 || batch.fds().len() > FILES || batch.room > 0 || !batch.slots().iter().all(|s| is_plain(s))
        {
            return false;
        }
        // A handler that came while the lock is held, and waited for a request, would wait for this thread.
        let _held = SignalsHeld::hold();
        let sleepers = pool.files.try_briefly(|files| {
            let handles = self.held(files, batch.fds(), holder)?;
            pool.queue.add_awaited(batch.slots(), |slot| prepare(slot, files, &handles))
        });
        let Some(count) = sleepers.flatten() else { return false };
        pool.queue.wake(count);
        true
    }

    /// What the files of this thread's descriptors are held as. None: one of them is not held.
    fn held(&self, files: &Files, fds: &[i32], holder: i32) -> Option<[Handle; FILES]> {
        let mut handles = [0; FILES];
        let mut me = 0;
        for (handle, fd) in handles.iter_mut().zip(fds) {
            let (known, held) = files.known_as(*fd)?;
            me = if me == 0 { thread::task() } else { me };
            let same = file::is_same((me, *fd), (holder, held));
            // A vforked child may be refused what its parent may ask.
            if same.is_err_and(|why| why != Errno::EBADF) && thread::pid() == self.pid.load(Ordering::Relaxed) {
                self.holder.store(0, Ordering::Relaxed);
            }
            *handle = (same == Ok(true)).then_some(known)?;
        }
        Some(handles)
    }
}

/// A request that a worker performs from its beginning to its end.
fn is_plain(slot: &Slot) -> bool {
    // SAFETY: the submitter has the slots of its batch.
    let request = unsafe { slot.request() };
    request.op != Op::Poll && !request.stream && request.delay_us == 0 && request.performed().is_none()
}

/// As if it had come by a message.
fn prepare(slot: &Slot, files: &mut Files, handles: &[Handle; FILES]) {
    for place in [&slot.file, &slot.resfd] {
        let index = place.load(Ordering::Relaxed);
        if index != NO_FILE {
            let handle = handles[index as usize];
            files.keep(handle);
            place.store(handle, Ordering::Relaxed);
        }
    }
    // Where io_cancel has marked it meanwhile it stays marked: the message that ends it is on its way.
    slot.shift_state(State::Sent, State::Taken);
}
