//! What is compared at the end, and when a plan asks for it.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::World;
use super::fds::{ALL, Fd, SIZES};
use super::memory::BUFFERS;
use super::{Ring, SIGNALS};
use crate::differences;
use crate::record::hash;
use crate::sys;

/// How long after its event a signal of an eventfd may come.
const PATIENCE: Duration = Duration::from_secs(30);
/// Events of one context that are shown one by one.
const SHOWN: usize = 60;
/// Bytes of a file that are looked at.
const CONTENTS: usize = 2 << 20;

impl World {
    /// Counts, buffers and sizes, once everything that ends by itself has ended.
    pub(super) fn check(&mut self) {
        self.settle();
        if self.quiet || self.is_child {
            return;
        }
        self.show_counts();
        if self.contexts.iter().all(|c| c.pending.is_empty()) {
            self.show_buffers();
        }
        let sizes: Vec<i64> = self.open_files().map(|(_, number)| sys::size(number)).collect();
        self.line(&format!("sizes {sizes:?}"));
    }

    fn open_files(&self) -> impl Iterator<Item = (Fd, i32)> {
        ALL.iter().filter_map(|fd| self.name(*fd)?.inode().map(|_| (*fd, self.number(*fd))))
    }

    /// The eventfd counts a moment after the event is there.
    fn show_counts(&mut self) {
        for which in 0..2 {
            let started = Instant::now();
            self.counted[which] += count(self.counters[which]);
            while self.counted[which] < self.signalled[which] && started.elapsed() < PATIENCE {
                sys::nap(50);
                self.counted[which] += count(self.counters[which]);
            }
            let (counted, signalled) = (self.counted[which], self.signalled[which]);
            self.line(&format!("eventfd {which}: {counted}"));
            if counted != signalled {
                self.signalled[which] = counted;
                self.line(&format!("UNEXPECTED: eventfd {which} counts {counted}, not {signalled}"));
            }
        }
    }

    pub(super) fn show_buffers(&self) {
        let hashes: Vec<String> =
            (0..BUFFERS + 2).map(|i| format!("{:08x}", hash(&self.memory.contents(i)) as u32)).collect();
        self.line(&format!("buffers {}", hashes.join(" ")));
    }

    pub(super) fn show_events(&mut self, n: usize) {
        let mut events = std::mem::take(&mut self.contexts[n].events);
        events.sort();
        self.line(&format!("context {n}: {} events, {:x}", events.len(), hash(events.join(";").as_bytes())));
        events.iter().take(SHOWN).for_each(|event| self.line(&format!("  {event}")));
    }

    pub(super) fn finish(&mut self) {
        for n in 0..self.contexts.len() {
            self.restore(n);
            if self.contexts[n].ring == Ring::Whole && self.contexts[n].answers() {
                self.drain(n);
            }
            self.show_events(n);
        }
        let came = SIGNALS.each_ref().map(|s| differences::signals(s.load(Ordering::SeqCst)));
        self.line(&format!("signals {came:?}"));
        sys::limit_file_size(None);
        self.show_descriptors();
        self.show_positions();
        self.show_locks();
        self.show_contents();
    }

    fn show_positions(&self) {
        for (fd, number) in self.open_files() {
            self.line(&format!("position of {fd:?}: {}", sys::seek(number, 0, libc::SEEK_CUR)));
        }
    }

    fn show_descriptors(&self) {
        let mut open: Vec<(i32, String)> = std::fs::read_dir("/proc/self/fd")
            .expect("/proc/self/fd")
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let number = path.file_name()?.to_str()?.parse().ok()?;
                Some((number, std::fs::read_link(path).ok()?.to_string_lossy().into_owned()))
            })
            .filter(|(number, link)| {
                !link.ends_with("/fd") && !differences::is_librarys_own(self.side, *number, link)
            })
            .collect();
        open.sort();
        let numbers: Vec<i32> = open.iter().map(|(number, _)| *number).collect();
        self.line(&format!("{} descriptors: {numbers:?}", open.len()));
    }

    /// Record locks belong to the process: another one sees which are left.
    fn show_locks(&self) {
        let files: Vec<(Fd, i32)> = self.open_files().collect();
        sys::in_child(|| {
            for (fd, number) in &files {
                self.line(&format!("lock on {fd:?}: {:?}", sys::locked(*number)));
            }
        });
    }

    fn show_contents(&self) {
        for inode in 0..SIZES.len() {
            let Some((_, number)) =
                self.open_files().find(|(fd, _)| self.names[*fd as usize].and_then(Fd::inode) == Some(inode))
            else {
                continue;
            };
            let link = format!("/proc/self/fd/{number}");
            let again = sys::open(Path::new(&link), libc::O_RDONLY);
            let mut bytes = vec![0; CONTENTS.min(sys::size(number) as usize)];
            let got = sys::read_start(again, &mut bytes);
            sys::close(again);
            self.line(&format!("contents of file {inode}: {got} bytes, {:x}", hash(&bytes)));
        }
    }
}

/// Everything that an eventfd holds.
fn count(fd: i32) -> u64 {
    let mut total = 0;
    let mut word = [0; 8];
    while sys::read_now(fd, &mut word) == 8 {
        total += u64::from_ne_bytes(word);
    }
    total
}
