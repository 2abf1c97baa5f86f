//! The goals: which row of which job is to reach what, on which engine.

use super::goal::Goal::{self, AtMost, BeyondDrain, More, NotDearer, NotSlower, Times, TimesOf};
use super::ground::Ground;
use super::side::Side;

/// A job, its row, and what that is to reach.
type Line = (&'static str, &'static str, &'static [Goal]);

/// io_destroy, on whatever engine.
const EACH: &[Line] = &[
    ("setup-destroy", "over and over", &[AtMost(5e3)]),
    ("destroy", "none", &[AtMost(2e3)]),
    ("destroy", "128 O_DIRECT read", &[BeyondDrain(0.5e6)]),
    ("destroy", "4096 POLL", &[AtMost(6e6)]),
    ("destroy", "4096 POLL, an eventfd each", &[AtMost(6e6)]),
    ("destroy", "4096 pipe read", &[AtMost(6e6)]),
    ("contexts-alive", "1,000", &[AtMost(50e6)]),
];

/// Ahead of the kernel where it matters.
const AUTO: &[Line] = &[
    ("zero-read", "qd1", &[Times(1.5)]),
    ("zero-read", "qd32, batch 16", &[Times(1.2)]),
    ("direct-read", "qd1", &[NotSlower, NotDearer]),
    ("direct-read", "qd16", &[NotSlower, NotDearer]),
    ("direct-read", "qd128, batch 16", &[NotSlower, NotDearer]),
    ("direct-write", "qd16", &[NotSlower, NotDearer]),
    ("event-loop", "qd1", &[NotSlower]),
    ("event-loop", "qd16", &[NotSlower]),
    ("event-loop", "qd32", &[NotSlower]),
    ("warm-read", "qd1", &[Times(1.6)]),
    ("warm-read", "qd32, batch 16", &[Times(1.05)]),
    ("cold-read", "qd16", &[Times(4.5)]),
    ("submit-latency", "qd32", &[Times(25.0)]),
    ("buffered-write", "qd1", &[Times(1.2)]),
    ("buffered-write", "qd32, batch 16", &[Times(0.97)]),
    ("poll", "ready at submit", &[Times(1.0)]),
    ("poll", "woken later", &[Times(0.95)]),
    // With one thread it is as fast as the kernel's: so a lock that the threads meet at would show here.
    ("threads", "one context", &[NotSlower]),
    ("threads", "a context each", &[NotSlower]),
    ("setup-destroy", "over and over", &[Times(5000.0)]),
    ("other-call", "getppid", &[More(10.0)]),
];

/// In the place of its lines above where the device is compressed memory.
const AUTO_ON_ZRAM: &[Line] = &[
    ("direct-read", "qd1", &[Times(1.3)]),
    ("direct-read", "qd16", &[Times(1.3)]),
    ("direct-read", "qd128, batch 16", &[Times(1.0)]),
];

const URING: &[Line] = &[
    ("event-loop", "qd1", &[Times(0.9)]),
    ("event-loop", "qd16", &[Times(0.9)]),
    ("event-loop", "qd32", &[Times(0.9)]),
    ("destroy", "128 O_DIRECT read", &[Times(40.0)]),
    ("exit", "100 contexts", &[AtMost(2e6)]),
];

/// Where there is neither the kernel's AIO nor io_uring.
const THREADS: &[Line] = &[
    ("cold-read", "qd16", &[Times(2.5), TimesOf(Side::Posix, 2.0)]),
    ("direct-read", "qd16", &[Times(0.8), TimesOf(Side::Posix, 2.0)]),
    ("direct-write", "qd16", &[Times(0.9)]),
    ("poll", "10,000 in flight", &[TimesOf(Side::Ours("uring"), 0.5)]),
    ("event-loop", "qd1", &[Times(0.9)]),
    ("event-loop", "qd16", &[Times(0.9)]),
    ("event-loop", "qd32", &[Times(0.9)]),
    ("exit", "100 contexts", &[AtMost(2e6)]),
];

/// A goal, and the engine that it is for; None: each.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    pub engine: Option<&'static str>,
    pub goal: Goal,
}

impl Aim {
    /// Whether it is for `side`.
    pub fn is_for(&self, side: Side) -> bool {
        side.is_ours() && self.engine.is_none_or(|engine| engine == side.key())
    }
}

/// All goals of the row named `row` of `job`.
pub fn of(job: &str, row: &str, ground: &Ground) -> Vec<Aim> {
    let here = |table| found(table, job, row);
    let zram = if ground.zram { here(AUTO_ON_ZRAM) } else { &[] };
    let auto = if zram.is_empty() { here(AUTO) } else { zram };
    let all =
        [(None, here(EACH)), (Some("auto"), auto), (Some("uring"), here(URING)), (Some("threads"), here(THREADS))];
    all.iter().flat_map(|(engine, goals)| goals.iter().map(|goal| Aim { engine: *engine, goal: *goal })).collect()
}

fn found(table: &'static [Line], job: &str, row: &str) -> &'static [Goal] {
    let line = table.iter().find(|(of_job, of_row, _)| (*of_job, *of_row) == (job, row));
    line.map_or(&[], |(_, _, goals)| goals)
}

#[cfg(test)]
mod tests {
    use super::super::jobs;
    use super::*;

    fn ground(zram: bool) -> Ground {
        let (data, scratch, found) = ("/d".into(), "/s".into(), "ext4".into());
        Ground { data, data_blocks: 64, scratch, scratch_blocks: 64, found, zram }
    }

    fn goals(job: &str, row: &str, zram: bool, side: Side) -> Vec<Goal> {
        let all = of(job, row, &ground(zram)).into_iter();
        all.filter(|aim| aim.is_for(side)).map(|aim| aim.goal).collect()
    }

    #[test]
    fn each_line_is_about_a_row_that_there_is_and_once() {
        let rows = |job: &str| jobs::ALL.iter().find(|j| j.name() == job).map(|j| j.rows(&ground(false)));
        for table in [EACH, AUTO, AUTO_ON_ZRAM, URING, THREADS] {
            for (job, row, goals) in table {
                assert!(rows(job).is_some_and(|rows| rows.iter().any(|r| r.name == *row)), "{job}: {row}");
                assert_eq!(
                    table.iter().filter(|line| (line.0, line.1) == (*job, *row)).count(),
                    1,
                    "{job}: {row}"
                );
                assert!(!goals.is_empty(), "{job}: {row}");
            }
        }
    }

    #[test]
    fn an_engine_has_its_own_goals() {
        let [auto, uring, threads] = ["auto", "uring", "threads"].map(Side::Ours);
        assert_eq!(goals("cold-read", "qd16", false, auto), [Times(4.5)]);
        assert_eq!(goals("cold-read", "qd16", false, uring), []);
        assert_eq!(goals("cold-read", "qd16", false, threads), [Times(2.5), TimesOf(Side::Posix, 2.0)]);
        assert_eq!(goals("setup-destroy", "over and over", false, auto), [AtMost(5e3), Times(5000.0)]);
        assert_eq!(goals("setup-destroy", "over and over", false, threads), [AtMost(5e3)]);
        assert_eq!(goals("setup-destroy", "over and over", false, Side::Kernel), []);
    }

    #[test]
    fn memory_as_a_device_has_goals_of_its_own() {
        let auto = Side::Ours("auto");
        assert_eq!(goals("direct-read", "qd1", false, auto), [NotSlower, NotDearer]);
        assert_eq!(goals("direct-read", "qd1", true, auto), [Times(1.3)]);
        assert_eq!(goals("direct-write", "qd16", true, auto), [NotSlower, NotDearer]);
    }
}
