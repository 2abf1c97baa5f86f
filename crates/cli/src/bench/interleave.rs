//! All sides of a row in turn: A B C A B C, so that whatever else the machine does meets all of them.

use std::time::{Duration, Instant};

use super::ground::Ground;
use super::job::{Job, Reading, Row};
use super::side::Side;
use super::turns::{Task, Turns};

/// How a row is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'p> {
    pub sides: &'p [Side],
    pub rounds: usize,
    /// Seconds of one sample of a rate.
    pub slice: f64,
    /// A row that would take longer gets fewer rounds.
    pub patience: Duration,
}

/// What one side has measured, or why it has not.
#[derive(Debug)]
pub struct Series {
    pub side: Side,
    pub readings: Vec<Reading>,
    pub failed: Option<String>,
}

/// The fewest rounds of a row that takes long.
const ROUNDS_MIN: usize = 3;

/// Measures row number `number` of `job`; calls `tick` after each round with the rounds done and to do.
pub fn measure(
    job: &dyn Job,
    (number, row): (usize, &Row),
    ground: &Ground,
    plan: Plan<'_>,
    mut tick: impl FnMut(usize, usize),
) -> Vec<Series> {
    let sides = plan.sides.iter().filter(|side| row.concerns(**side));
    let mut series: Vec<Series> = sides.map(|side| Series::new(*side, row)).collect();
    let task = |side: Side| Task {
        job: job.name().into(),
        row: number,
        side: side.key().into(),
        ground: ground.clone(),
        slice: plan.slice,
    };
    let mut turns: Vec<Option<Turns>> = series.iter_mut().map(|s| s.start(&task(s.side))).collect();
    let started = Instant::now();
    let mut rounds = plan.rounds;
    for round in 0.. {
        if round >= rounds {
            break;
        }
        one_round(round, &mut series, &mut turns);
        if round < ROUNDS_MIN {
            rounds = affordable(plan, started.elapsed() / (round as u32 + 1));
        }
        tick(round + 1, rounds);
    }
    series
}

/// Each side once; another one begins each time.
fn one_round(round: usize, series: &mut [Series], turns: &mut [Option<Turns>]) {
    for i in 0..series.len() {
        let i = (round + i) % series.len();
        let Some(side) = &mut turns[i] else { continue };
        match side.take() {
            Ok(reading) => series[i].readings.push(reading),
            Err(why) => {
                series[i].fail(why);
                turns[i] = None;
            }
        }
    }
}

fn affordable(plan: Plan<'_>, round: Duration) -> usize {
    let rounds = plan.patience.as_secs_f64() / round.as_secs_f64().max(1e-9);
    plan.rounds.min((rounds as usize).max(ROUNDS_MIN))
}

impl Series {
    fn new(side: Side, row: &Row) -> Series {
        Series { side, readings: vec![], failed: row.excludes(side).map(Into::into) }
    }

    fn start(&mut self, task: &Task) -> Option<Turns> {
        if self.failed.is_some() {
            return None;
        }
        Turns::start(self.side, task).map_err(|why| self.fail(why)).ok()
    }

    /// What it has measured cannot be paired any more.
    fn fail(&mut self, why: String) {
        self.failed = Some(why);
        self.readings.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_rows_get_fewer_rounds() {
        let plan = Plan { sides: &[], rounds: 21, slice: 0.0, patience: Duration::from_secs(10) };
        assert_eq!(affordable(plan, Duration::from_millis(100)), 21);
        assert_eq!(affordable(plan, Duration::from_secs(1)), 10);
        assert_eq!(affordable(plan, Duration::from_secs(60)), ROUNDS_MIN);
        assert_eq!(affordable(plan, Duration::ZERO), 21);
    }
}
