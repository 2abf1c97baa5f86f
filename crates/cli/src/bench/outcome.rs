//! What comes out of the samples; also the JSON document.

use std::collections::BTreeMap;

use serde::Serialize;

use super::goal::{Evidence, Verdict};
use super::goals::Aim;
use super::interleave::Series;
use super::job::{CPU, DRAIN, Reading, Row, Unit};
use super::median::Median;
use super::side::Side;

/// The document.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub uaio: &'static str,
    pub kernel: String,
    pub processors: usize,
    pub load_before: f64,
    pub load_after: f64,
    /// File system and device.
    pub file: String,
    pub pairs: usize,
    pub jobs: Vec<JobOutcome>,
}

#[derive(Debug, Serialize)]
pub struct JobOutcome {
    pub job: &'static str,
    pub what: &'static str,
    pub rows: Vec<RowOutcome>,
}

#[derive(Debug, Serialize)]
pub struct RowOutcome {
    pub row: String,
    pub unit: Unit,
    /// The kernel's first.
    pub sides: Vec<SideOutcome>,
}

#[derive(Debug, Default, Serialize)]
pub struct SideOutcome {
    pub side: &'static str,
    #[serde(skip)]
    pub label: String,
    pub not_measured: Option<String>,
    pub median: Option<Median>,
    /// How many times as fast as the kernel's AIO in the same round; for bytes, as small.
    pub times: Option<Median>,
    /// Processor time per request as a part of the kernel's.
    pub cpu: Option<Median>,
    pub notes: BTreeMap<String, Median>,
    /// All of the row, whomever they are for.
    pub goals: Vec<GoalOutcome>,
    pub complaints: Vec<String>,
    pub samples: Vec<f64>,
}

#[derive(Debug, Serialize)]
pub struct GoalOutcome {
    pub goal: String,
    /// None: it is for another engine.
    pub verdict: Option<Verdict>,
    /// What the goal is about: a ratio, or a figure in the row's unit.
    pub figure: Option<Median>,
    pub is_ratio: bool,
}

impl RowOutcome {
    /// Of what was measured in turn.
    pub fn of(row: &Row, goals: &[Aim], series: &[Series]) -> RowOutcome {
        let sides = series.iter().map(|one| SideOutcome::of(row.unit, goals, one, series)).collect();
        RowOutcome { row: row.name.clone(), unit: row.unit, sides }
    }
}

impl SideOutcome {
    fn of(unit: Unit, goals: &[Aim], series: &Series, all: &[Series]) -> SideOutcome {
        let common = SideOutcome { side: series.side.key(), label: series.side.label(), ..SideOutcome::default() };
        let ours = &series.readings;
        if ours.is_empty() {
            return SideOutcome { not_measured: series.failed.clone(), ..common };
        }
        let (samples, kernel) = (values(ours), beside(series, Side::Kernel, all));
        let judged = goals.iter().filter(|_| series.side.is_ours());
        SideOutcome {
            median: median(&samples),
            times: median(&times(unit, ours, kernel)),
            cpu: median(&cpu(ours, kernel)),
            notes: notes(ours),
            goals: judged.map(|aim| GoalOutcome::of(*aim, unit, series, all)).collect(),
            complaints: distinct(ours),
            samples,
            ..common
        }
    }
}

impl GoalOutcome {
    fn of(aim: Aim, unit: Unit, series: &Series, all: &[Series]) -> GoalOutcome {
        let (ours, other) = (&series.readings, beside(series, aim.goal.reference(), all));
        let figures = aim.goal.figures(Evidence {
            values: &values(ours),
            times: &times(unit, ours, other),
            cpu: &cpu(ours, other),
            more: &more(ours, other),
            drain: &noted(ours, DRAIN),
        });
        GoalOutcome {
            goal: aim.goal.describe(unit),
            verdict: aim.is_for(series.side).then(|| aim.goal.judge(&figures)),
            figure: median(&figures),
            is_ratio: aim.goal.is_of_ratio(),
        }
    }
}

/// What `side` has measured in turn with `series`, if that is another one.
fn beside<'s>(series: &Series, side: Side, all: &'s [Series]) -> &'s [Reading] {
    let other =
        all.iter().find(|other| other.side == side && side != series.side && series.took_turns_with(other));
    other.map_or(&[], |other| &other.readings)
}

fn values(readings: &[Reading]) -> Vec<f64> {
    readings.iter().map(|reading| reading.value).collect()
}

fn median(samples: &[f64]) -> Option<Median> {
    (!samples.is_empty()).then(|| Median::of(samples))
}

/// Round by round; none if one of them has no meaning.
fn ratios(of: &[f64], to: &[f64]) -> Vec<f64> {
    let sound = of.iter().zip(to).all(|(a, b)| *a > 0.0 && *b > 0.0);
    if sound { of.iter().zip(to).map(|(a, b)| a / b).collect() } else { vec![] }
}

fn times(unit: Unit, ours: &[Reading], other: &[Reading]) -> Vec<f64> {
    match unit {
        Unit::PerSecond => ratios(&values(ours), &values(other)),
        Unit::Nanoseconds | Unit::Bytes => ratios(&values(other), &values(ours)),
    }
}

fn cpu(ours: &[Reading], other: &[Reading]) -> Vec<f64> {
    ratios(&noted(ours, CPU), &noted(other, CPU))
}

fn more(ours: &[Reading], other: &[Reading]) -> Vec<f64> {
    ours.iter().zip(other).map(|(ours, other)| ours.value - other.value).collect()
}

/// The note of that name in each reading; nothing where one has none.
fn noted(readings: &[Reading], name: &str) -> Vec<f64> {
    readings.iter().map(|r| r.notes.get(name).copied()).collect::<Option<_>>().unwrap_or_default()
}

fn notes(readings: &[Reading]) -> BTreeMap<String, Median> {
    let names = readings.iter().flat_map(|r| r.notes.keys());
    let all = names.map(|name| (name.clone(), noted(readings, name)));
    all.filter_map(|(name, samples)| Some((name, median(&samples)?))).collect()
}

fn distinct(readings: &[Reading]) -> Vec<String> {
    let mut all: Vec<String> = readings.iter().flat_map(|r| r.complaints.clone()).collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
pub mod tests {
    use super::super::goal::Goal;
    use super::*;

    impl Outcome {
        pub fn empty() -> Outcome {
            Outcome {
                uaio: "0",
                kernel: "6".into(),
                processors: 2,
                load_before: 0.0,
                load_after: 0.0,
                file: "ext4".into(),
                pairs: 21,
                jobs: vec![],
            }
        }
    }

    pub fn series(side: Side, value: f64, cpu: f64) -> Series {
        let reading = Reading::of(value).note(CPU, cpu);
        Series { side, readings: vec![reading; 21], rounds: (0..21).collect(), failed: None }
    }

    /// For every engine.
    pub fn each<const N: usize>(goals: [Goal; N]) -> [Aim; N] {
        goals.map(|goal| Aim { engine: None, goal })
    }

    #[test]
    fn more_per_second_is_faster_and_less_time_too() {
        let both = [series(Side::Kernel, 100.0, 10.0), series(Side::Ours("uring"), 150.0, 20.0)];
        let rate = RowOutcome::of(&Row::new("a", Unit::PerSecond), &each([Goal::Times(1.2)]), &both);
        assert_eq!(rate.sides[1].times.unwrap().median, 1.5);
        assert_eq!(rate.sides[1].cpu.unwrap().median, 2.0);
        assert_eq!(rate.sides[1].goals[0].verdict, Some(Verdict::Reached));
        assert!(rate.sides[0].times.is_none() && rate.sides[0].goals.is_empty());
        let time = RowOutcome::of(&Row::new("a", Unit::Nanoseconds), &[], &both);
        assert!((time.sides[1].times.unwrap().median - 2.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn without_the_kernel_or_a_meaning_there_is_no_ratio() {
        let missing = Series {
            side: Side::Kernel,
            readings: vec![],
            rounds: vec![],
            failed: Some("io_setup: ENOSYS".into()),
        };
        let (row, goals) = (Row::new("a", Unit::Nanoseconds), each([Goal::Times(2.0)]));
        let alone = RowOutcome::of(&row, &goals, &[missing, series(Side::Ours("uring"), 1.0, 1.0)]);
        assert_eq!(alone.sides[0].not_measured.as_deref(), Some("io_setup: ENOSYS"));
        assert_eq!((alone.sides[1].times, alone.sides[1].goals[0].verdict), (None, Some(Verdict::NotCompared)));
        let negative = RowOutcome::of(
            &row,
            &goals,
            &[series(Side::Kernel, 5.0, 1.0), series(Side::Ours("uring"), -1.0, 1.0)],
        );
        assert!(negative.sides[1].times.is_none());
    }

    #[test]
    fn a_goal_is_for_its_engine_and_compares_with_what_it_says() {
        let sides = [Side::Kernel, Side::Ours("uring"), Side::Ours("threads")];
        let measured = [series(sides[0], 100.0, 1.0), series(sides[1], 50.0, 1.0), series(sides[2], 40.0, 1.0)];
        let goals = [Goal::TimesOf(sides[1], 0.5), Goal::TimesOf(Side::Posix, 2.0)];
        let goals = goals.map(|goal| Aim { engine: Some("threads"), goal });
        let row = RowOutcome::of(&Row::new("a", Unit::PerSecond), &goals, &measured);
        let of = |side: usize, nth: usize| {
            let goal = &row.sides[side].goals[nth];
            (goal.figure.map(|m| m.median), goal.verdict)
        };
        assert_eq!(of(2, 0), (Some(0.8), Some(Verdict::Reached)));
        assert_eq!(of(2, 1), (None, Some(Verdict::NotCompared)));
        // Nobody is compared with itself.
        assert_eq!([of(1, 0), of(1, 1)], [(None, None); 2]);
        assert!(row.sides[0].goals.is_empty());
    }

    #[test]
    fn what_did_not_take_turns_is_not_compared() {
        let (ours, goals) = (Side::Ours("auto"), [Goal::Times(1.0), Goal::NotDearer, Goal::More(0.0)]);
        let taken = |rounds: Vec<usize>| {
            let kernel = Series { rounds, ..series(Side::Kernel, 1.0, 1.0) };
            let row =
                RowOutcome::of(&Row::new("a", Unit::PerSecond), &each(goals), &[kernel, series(ours, 1.0, 1.0)]);
            let side = &row.sides[1];
            let compared = side.goals.iter().all(|goal| goal.verdict != Some(Verdict::NotCompared));
            assert!([side.times, side.cpu].iter().all(|figure| figure.is_some() == compared));
            assert!(compared || side.goals.iter().all(|goal| goal.verdict == Some(Verdict::NotCompared)));
            compared
        };
        assert!(taken((0..21).collect()));
        // As many samples, all before, or one of them in another round; or one sample less.
        assert!(!taken((21..42).collect()) && !taken((0..20).chain([21]).collect()) && !taken((0..20).collect()));
    }

    #[test]
    fn nanoseconds_more_than_the_kernel() {
        let both = [series(Side::Kernel, 100.0, 1.0), series(Side::Ours("auto"), 108.0, 1.0)];
        let goals = each([Goal::More(10.0), Goal::More(7.0)]);
        let row = RowOutcome::of(&Row::new("a", Unit::Nanoseconds), &goals, &both);
        let verdicts = row.sides[1].goals.iter().map(|goal| (goal.figure.unwrap().median, goal.verdict.unwrap()));
        assert_eq!(verdicts.collect::<Vec<_>>(), [(8.0, Verdict::Reached), (8.0, Verdict::Missed)]);
    }
}
