//! Completions whose events the script holds back.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Mutex, OnceLock};

use super::lock;
use crate::os::{eventfd, time};
use crate::slot::Slot;

/// The list. It has a descriptor of its own once the script has held something back.
#[derive(Default)]
pub(super) struct Late {
    /// When it is due, CLOCK_MONOTONIC in nanoseconds.
    list: Mutex<Vec<(u64, &'static Slot)>>,
    /// An eventfd that wakes the poller.
    bell: OnceLock<OwnedFd>,
}

impl Late {
    /// Makes the descriptor by which workers wake the poller. None: it is there already, or cannot be had.
    pub(super) fn make_bell(&self) -> Option<i32> {
        if self.bell.get().is_some() {
            return None;
        }
        let eventfd = eventfd::new().ok()?;
        Some(self.bell.get_or_init(|| eventfd).as_raw_fd())
    }

    /// The poller has heard it.
    pub(super) fn hush(&self) {
        self.bell.get().map(eventfd::reset);
    }

    /// Notes down a performed request whose event is due in `delay_us` microseconds.
    pub(super) fn add(&self, slot: &'static Slot, delay_us: u32) {
        let due = time::now_ns() + u64::from(delay_us) * 1000;
        lock(&self.list).push((due, slot));
        if let Some(bell) = self.bell.get() {
            eventfd::add_one(bell.as_raw_fd());
        }
    }

    /// Takes those that `which` says.
    pub(super) fn take(&self, which: impl Fn(&Slot) -> bool) -> Vec<&'static Slot> {
        let mut list = lock(&self.list);
        list.extract_if(.., |(_, slot)| which(slot)).map(|(_, slot)| slot).collect()
    }

    /// Takes what is due, the earliest first.
    pub(super) fn due(&self) -> Vec<&'static Slot> {
        let now = time::now_ns();
        let mut due: Vec<_> = lock(&self.list).extract_if(.., |(due, _)| *due <= now).collect();
        due.sort_by_key(|(due, _)| *due);
        due.into_iter().map(|(_, slot)| slot).collect()
    }

    /// How long the poller may sleep, in milliseconds; None: there is nothing to wait for.
    pub(super) fn wait_ms(&self) -> Option<i32> {
        let next = lock(&self.list).iter().map(|(due, _)| *due).min()?;
        Some(next.saturating_sub(time::now_ns()).div_ceil(1_000_000).min(1000) as i32)
    }
}
