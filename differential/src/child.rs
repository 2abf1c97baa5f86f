//! A plan performed in a process of its own, under a time limit.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::calls::Side;
use crate::plan::Plan;
use crate::record::Record;
use crate::sys;
use crate::world::World;

/// A sequence that has not ended by then hangs.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A process that performs a plan.
pub struct Child {
    process: i32,
    started: Instant,
    dir: PathBuf,
    record: Record,
}

impl Child {
    /// Starts `plan` in a fresh directory `dir`, writing to `record`.
    pub fn start(plan: &Plan, side: Side, record: Record, dir: &Path, cpu: usize) -> Child {
        std::fs::create_dir_all(dir).expect("a directory for the sequence");
        record.clear();
        let process = sys::start_child(|| {
            // What other jobs have open at this moment.
            sys::close_from(3);
            sys::stay_on_cpu(cpu);
            side.select();
            World::new(side, record, dir).perform(plan);
        });
        Child { process, started: Instant::now(), dir: dir.to_path_buf(), record }
    }

    /// Waits for its end; the record. How it ended badly is the record's last line.
    pub fn finish(self) -> String {
        let status = sys::wait_until(self.process, self.started + LIMIT);
        let mut text = self.record.text();
        match status {
            None => text.push_str("HANGS: it was ended after 120 s\n"),
            Some(0) => {}
            Some(status) if libc::WIFSIGNALED(status) => {
                text.push_str(&format!("DIED of signal {}\n", libc::WTERMSIG(status)));
            }
            Some(status) => text.push_str(&format!("ENDED with status {}\n", libc::WEXITSTATUS(status))),
        }
        let _ = std::fs::remove_dir_all(&self.dir);
        text
    }
}
