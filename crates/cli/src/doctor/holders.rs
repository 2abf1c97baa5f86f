//! Who holds contexts of the kernel's: each is a mapping named `/[aio]` of the process that made it.

use std::fs;
use std::io::{self, ErrorKind};

use serde::Serialize;

use crate::memory;
use crate::units::count;

/// The kernel's ring: a head of 32 bytes, then 32 for each event.
const RING_HEAD: usize = 32;
const EVENT: usize = 32;
/// How many processes are named.
const NAMED_MAX: usize = 5;

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holder {
    pub pid: i32,
    pub program: String,
    pub contexts: usize,
    /// The most that it can have asked room for. The kernel rounds up, so it may be less.
    pub requests_max: u64,
}

/// All of them that can be seen from here.
#[derive(Clone, Debug, Default)]
pub struct Holders {
    pub seen: Vec<Holder>,
    /// Processes whose mappings we may not read.
    pub unreadable: usize,
}

impl Holders {
    /// Looks at every process; those with most requests first.
    pub fn find() -> Holders {
        let mut holders = Holders::default();
        for pid in processes() {
            match rings(pid) {
                Ok(rings) if !rings.is_empty() => holders.seen.push(Holder::new(pid, &rings)),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => holders.unreadable += 1,
                // None, or it has ended meanwhile.
                _ => (),
            }
        }
        holders.seen.sort_by_key(|holder| std::cmp::Reverse(holder.requests_max));
        holders
    }

    /// For people.
    pub fn lines(&self, used: u64) -> Vec<String> {
        let mut lines: Vec<String> = self.seen.iter().take(NAMED_MAX).map(Holder::line).collect();
        if self.seen.len() > NAMED_MAX {
            lines.push(format!("and {} more processes", self.seen.len() - NAMED_MAX));
        }
        let most: u64 = self.seen.iter().map(|holder| holder.requests_max).sum();
        if let Some(rest) = used.checked_sub(most).filter(|rest| *rest > 0) {
            lines.push(format!("at least {} are held by processes that cannot be seen from here", count(rest)));
        }
        if self.unreadable > 0 {
            lines.push(format!("processes that may not be looked into from here: {}", self.unreadable));
        }
        lines
    }
}

impl Holder {
    fn new(pid: i32, rings: &[usize]) -> Holder {
        let program = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_string();
        let requests_max = rings.iter().map(|bytes| asked_max(*bytes)).sum();
        Holder { pid, program, contexts: rings.len(), requests_max }
    }

    fn line(&self) -> String {
        let contexts = if self.contexts == 1 { "context" } else { "contexts" };
        let (pid, program) = (self.pid, &self.program);
        format!(
            "process {pid} ({program}) holds {} {contexts} of at most {} requests",
            count(self.contexts as u64),
            count(self.requests_max)
        )
    }
}

/// The kernel makes room for twice what was asked and two more, and then fills the last page.
fn asked_max(bytes: usize) -> u64 {
    (bytes.saturating_sub(RING_HEAD) / EVENT).saturating_sub(2) as u64 / 2
}

/// The lengths of the rings of one process.
pub fn rings(pid: i32) -> io::Result<Vec<usize>> {
    let mappings = memory::mappings(pid)?;
    Ok(mappings.iter().filter(|m| m.name.starts_with("/[aio]")).map(|m| m.len).collect())
}

fn processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rings_can_hold() {
        // 62 requests fill one page: 2 * 62 + 2 events of 32 bytes and the head.
        assert_eq!((asked_max(4096), asked_max(8192), asked_max(0)), (62, 126, 0));
    }

    #[test]
    fn who_is_not_seen_is_counted() {
        let one = Holder { pid: 7, program: "fio".into(), contexts: 1, requests_max: 62 };
        let holders = Holders { seen: vec![one], unreadable: 2 };
        let lines = holders.lines(1000);
        assert_eq!(lines[0], "process 7 (fio) holds 1 context of at most 62 requests");
        assert_eq!(lines[1], "at least 938 are held by processes that cannot be seen from here");
        assert_eq!(lines[2], "processes that may not be looked into from here: 2");
        assert_eq!(holders.lines(60).len(), 2);
    }
}
