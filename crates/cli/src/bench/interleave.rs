//! All sides of a row in turn: A B C A B C, so that whatever else the machine does meets all of them.

use std::time::{Duration, Instant};

use super::ground::Ground;
use super::job::{Job, Reading, Row};
use super::side::Side;
use super::turns::{Task, Turn, Turns};

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
    /// The round in which each was taken.
    pub rounds: Vec<usize>,
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
    let mut turns: Vec<Option<Turns>> = series.iter_mut().map(|s| s.start(&task(s.side), row)).collect();
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
fn one_round(round: usize, series: &mut [Series], turns: &mut [Option<impl Turn>]) {
    for i in 0..series.len() {
        let i = (round + i) % series.len();
        let Some(side) = &mut turns[i] else { continue };
        match side.take() {
            Ok(reading) => series[i].push(round, reading),
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
        Series { side, readings: vec![], rounds: vec![], failed: row.excludes(side).map(Into::into) }
    }

    fn start(&mut self, task: &Task, row: &Row) -> Option<Turns> {
        if self.failed.is_some() {
            return None;
        }
        Turns::start(self.side, task, row.preloaded).map_err(|why| self.fail(why)).ok()
    }

    fn push(&mut self, round: usize, reading: Reading) {
        self.readings.push(reading);
        self.rounds.push(round);
    }

    /// Whether each of its samples was taken in a round in which `other` had its turn, too. Nothing else is compared.
    pub fn took_turns_with(&self, other: &Series) -> bool {
        self.rounds == other.rounds
    }

    /// What it has measured cannot be paired any more.
    fn fail(&mut self, why: String) {
        self.failed = Some(why);
        self.readings.clear();
        self.rounds.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::goal::{Goal, Verdict};
    use super::super::job::Unit;
    use super::super::outcome::RowOutcome;
    use super::super::outcome::tests::each;
    use super::*;

    /// The rounds until it fails, once.
    struct Stub(isize);

    impl Turn for Stub {
        fn take(&mut self) -> Result<Reading, String> {
            self.0 -= 1;
            if self.0 == -1 { Err("it has failed".into()) } else { Ok(Reading::of(1.0)) }
        }
    }

    /// Of three sides, in 21 rounds; each fails in a round of its own.
    fn measured(fails: [isize; 3]) -> Vec<Series> {
        let sides = [Side::Kernel, Side::Ours("auto"), Side::Posix];
        let row = Row::new("a", Unit::PerSecond);
        let (mut series, mut turns) = (sides.map(|side| Series::new(side, &row)), fails.map(|n| Some(Stub(n))));
        (0..21).for_each(|round| one_round(round, &mut series, &mut turns));
        series.into()
    }

    #[test]
    fn a_side_that_fails_once_is_compared_with_nothing() {
        let verdicts = |series: &[Series]| {
            let goals =
                each([Goal::Times(1.0), Goal::TimesOf(Side::Posix, 1.0), Goal::More(0.0), Goal::AtMost(1.0)]);
            let row = RowOutcome::of(&Row::new("a", Unit::PerSecond), &goals, series);
            let ours = &row.sides[1];
            (ours.times.is_some(), ours.goals.iter().map(|goal| goal.verdict.unwrap()).collect::<Vec<_>>())
        };
        use Verdict::{NotCompared, Reached};
        assert_eq!(verdicts(&measured([99; 3])), (true, vec![Reached; 4]));
        // Whether early or in the last round.
        for round in [0, 20] {
            let kernel_fails = verdicts(&measured([round, 99, 99]));
            assert_eq!(kernel_fails, (false, vec![NotCompared, Reached, NotCompared, Reached]));
            let posix_fails = verdicts(&measured([99, 99, round]));
            assert_eq!(posix_fails, (true, vec![Reached, NotCompared, Reached, Reached]));
            let ours = RowOutcome::of(&Row::new("a", Unit::PerSecond), &[], &measured([99, round, 99]));
            assert!(
                ours.sides[1].times.is_none() && ours.sides[1].not_measured.as_deref() == Some("it has failed")
            );
        }
    }

    #[test]
    fn long_rows_get_fewer_rounds() {
        let plan = Plan { sides: &[], rounds: 21, slice: 0.0, patience: Duration::from_secs(10) };
        assert_eq!(affordable(plan, Duration::from_millis(100)), 21);
        assert_eq!(affordable(plan, Duration::from_secs(1)), 10);
        assert_eq!(affordable(plan, Duration::from_secs(60)), ROUNDS_MIN);
        assert_eq!(affordable(plan, Duration::ZERO), 21);
    }
}
