//! Room in the library's descriptor table: RLIMIT_NOFILE, the program's to change, bounds it too.

use super::nap;
use crate::os::socket::MAX_FDS;
use crate::os::thread;
use crate::sync::{AtomicU32, Ordering};

/// Descriptors that a library thread needs for itself: its ring, its sockets, the timers of io_pgetevents.
const OWN_FILES: u64 = 40;
/// How often io_submit looks for room, a millisecond apart, before it does without.
const TRIES: u32 = 100;
/// Held descriptors that are few enough not to look for doubles.
const CROWD: u32 = 64;

/// How many descriptors there are.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// In the library's table, and on their way to it.
    held: AtomicU32,
    /// Sent and not dealt with yet: some will be found to be doubles, and closed.
    in_transit: AtomicU32,
}

impl Room {
    /// The table is a new one.
    pub(super) fn clear(&self) {
        self.held.store(0, Ordering::Relaxed);
        self.in_transit.store(0, Ordering::Relaxed);
    }

    /// Keeps room for `files` more, if there is.
    fn reserve(&self, files: u32) -> bool {
        let held = self.held.fetch_add(files, Ordering::Relaxed);
        let limit = thread::descriptor_limit();
        let fits = u64::from(held + files) + OWN_FILES.min(limit / 2) <= limit;
        if !fits {
            self.give_back(files);
        }
        fits
    }

    /// `files` descriptors are closed, or do not come.
    pub(crate) fn give_back(&self, files: u32) {
        self.held.fetch_sub(files, Ordering::Relaxed);
    }

    /// Keeps room, if there is any or some may still appear.
    pub(crate) fn reserve_patiently(&self, files: u32) -> bool {
        for _ in 0..TRIES {
            // Looked at first: what settles meanwhile makes room. Acquire: pairs with the Release in `settled`.
            let in_transit = self.in_transit.load(Ordering::Acquire);
            if self.reserve(files) {
                return true;
            }
            if in_transit == 0 {
                return false;
            }
            nap();
        }
        false
    }

    /// Waits for room for `files`, which are about to be sent; `kept` of it is kept already. False: there is none, and
    /// none is kept any more.
    pub(super) fn find(&self, files: u32, kept: u32) -> bool {
        let missing = files.saturating_sub(kept);
        let mut found = missing == 0 || self.reserve(missing);
        for _ in 1..TRIES {
            if found {
                break;
            }
            nap();
            found = self.reserve(missing);
        }
        if found {
            self.in_transit.fetch_add(files, Ordering::Relaxed);
        }
        self.give_back(if found { kept.saturating_sub(files) } else { kept });
        found
    }

    /// `files` were not sent after all, or did not arrive.
    pub(crate) fn unsent(&self, files: u32) {
        self.settled(files);
        self.give_back(files);
    }

    /// A message with so many files has been dealt with.
    pub(crate) fn settled(&self, files: u32) {
        // Release: pairs with the Acquire in `reserve_patiently`; what was closed has been given back before.
        self.in_transit.fetch_sub(files, Ordering::Release);
    }

    /// Whether there is room for a whole batch at this moment.
    pub(crate) fn is_roomy(&self) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        u64::from(held) + MAX_FDS as u64 + OWN_FILES <= thread::descriptor_limit()
    }

    /// Whether so many are held that it is worth a look whether some are the same file.
    pub(crate) fn is_crowded(&self) -> bool {
        self.held.load(Ordering::Relaxed) > CROWD
    }

    /// Descriptors that there may be after the next message.
    pub(crate) fn needed(&self) -> u64 {
        u64::from(self.held.load(Ordering::Relaxed)) + MAX_FDS as u64 + 16
    }
}
