//! What comes out of the samples; also the JSON document.

use std::collections::BTreeMap;

use serde::Serialize;

use super::goal::{Evidence, Goal, Verdict};
use super::interleave::Series;
use super::job::{CPU, Reading, Row, Unit};
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
    pub goals: Vec<GoalOutcome>,
    pub complaints: Vec<String>,
    pub samples: Vec<f64>,
}

#[derive(Debug, Serialize)]
pub struct GoalOutcome {
    pub goal: String,
    pub verdict: Verdict,
    /// What the goal is about: a ratio to the kernel, or a figure in the row's unit.
    pub figure: Option<Median>,
    pub is_ratio: bool,
}

impl RowOutcome {
    /// Of what was measured in turn.
    pub fn of(row: &Row, series: &[Series]) -> RowOutcome {
        let kernel = series.iter().find(|s| s.side == Side::Kernel).map_or(&[][..], |s| &s.readings);
        let sides = series.iter().map(|s| SideOutcome::of(row, s, kernel)).collect();
        RowOutcome { row: row.name.clone(), unit: row.unit, sides }
    }
}

impl SideOutcome {
    fn of(row: &Row, series: &Series, kernel: &[Reading]) -> SideOutcome {
        let common = SideOutcome { side: series.side.key(), label: series.side.label(), ..SideOutcome::default() };
        if series.readings.is_empty() {
            return SideOutcome { not_measured: series.failed.clone(), ..common };
        }
        let samples: Vec<f64> = series.readings.iter().map(|r| r.value).collect();
        let kernel = if series.side == Side::Kernel { &[][..] } else { kernel };
        let (times, cpu) = (times(row.unit, &series.readings, kernel), cpu(&series.readings, kernel));
        let goals = if series.side.is_ours() { judge(row, &series.readings, &times, &cpu) } else { vec![] };
        SideOutcome {
            median: median(&samples),
            times: median(&times),
            cpu: median(&cpu),
            notes: notes(&series.readings),
            goals,
            complaints: distinct(&series.readings),
            samples,
            ..common
        }
    }
}

fn median(samples: &[f64]) -> Option<Median> {
    (!samples.is_empty()).then(|| Median::of(samples))
}

/// Round by round; none if one of them has no meaning.
fn ratios(ours: impl Iterator<Item = f64>, kernel: impl Iterator<Item = f64>) -> Vec<f64> {
    let pairs: Vec<_> = ours.zip(kernel).collect();
    let sound = pairs.iter().all(|(a, b)| *a > 0.0 && *b > 0.0);
    if sound { pairs.into_iter().map(|(a, b)| a / b).collect() } else { vec![] }
}

fn times(unit: Unit, ours: &[Reading], kernel: &[Reading]) -> Vec<f64> {
    let values = |readings: &[Reading]| readings.iter().map(|r| r.value).collect::<Vec<_>>().into_iter();
    match unit {
        Unit::PerSecond => ratios(values(ours), values(kernel)),
        Unit::Nanoseconds | Unit::Bytes => ratios(values(kernel), values(ours)),
    }
}

fn cpu(ours: &[Reading], kernel: &[Reading]) -> Vec<f64> {
    ratios(noted(ours, CPU).into_iter(), noted(kernel, CPU).into_iter())
}

/// The note of that name in each reading; nothing where one has none.
fn noted(readings: &[Reading], name: &str) -> Vec<f64> {
    readings.iter().map(|r| r.notes.get(name).copied()).collect::<Option<_>>().unwrap_or_default()
}

fn judge(row: &Row, readings: &[Reading], times: &[f64], cpu: &[f64]) -> Vec<GoalOutcome> {
    let values: Vec<f64> = readings.iter().map(|r| r.value).collect();
    let judged = row.goals.iter().map(|goal| {
        let note = if let Goal::Beyond(name, _) = goal { noted(readings, name) } else { vec![] };
        let figures = goal.figures(Evidence { values: &values, times, cpu, note: &note });
        GoalOutcome {
            goal: goal.describe(row.unit),
            verdict: goal.judge(&figures),
            figure: median(&figures),
            is_ratio: goal.is_of_ratio(),
        }
    });
    judged.collect()
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
        Series { side, readings: vec![reading; 21], failed: None }
    }

    #[test]
    fn more_per_second_is_faster_and_less_time_too() {
        let both = [series(Side::Kernel, 100.0, 10.0), series(Side::Ours("uring"), 150.0, 20.0)];
        let rate = RowOutcome::of(&Row::new("a", Unit::PerSecond).goal(Goal::Times(1.2)), &both);
        assert_eq!(rate.sides[1].times.unwrap().median, 1.5);
        assert_eq!(rate.sides[1].cpu.unwrap().median, 2.0);
        assert_eq!(rate.sides[1].goals[0].verdict, Verdict::Reached);
        assert!(rate.sides[0].times.is_none() && rate.sides[0].goals.is_empty());
        let time = RowOutcome::of(&Row::new("a", Unit::Nanoseconds), &both);
        assert!((time.sides[1].times.unwrap().median - 2.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn without_the_kernel_or_a_meaning_there_is_no_ratio() {
        let missing = Series { side: Side::Kernel, readings: vec![], failed: Some("io_setup: ENOSYS".into()) };
        let row = Row::new("a", Unit::Nanoseconds).goal(Goal::Times(2.0));
        let alone = RowOutcome::of(&row, &[missing, series(Side::Ours("uring"), 1.0, 1.0)]);
        assert_eq!(alone.sides[0].not_measured.as_deref(), Some("io_setup: ENOSYS"));
        assert_eq!((alone.sides[1].times, alone.sides[1].goals[0].verdict), (None, Verdict::NoKernel));
        let negative =
            RowOutcome::of(&row, &[series(Side::Kernel, 5.0, 1.0), series(Side::Ours("uring"), -1.0, 1.0)]);
        assert!(negative.sides[1].times.is_none());
    }
}
