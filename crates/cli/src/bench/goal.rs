//! What is to be reached, and whether it is.

use serde::Serialize;

use super::job::Unit;
use super::median::{Median, SAMPLES_MIN};
use crate::units::{bytes, duration};

/// A bound for one side of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// At least so many times as fast as the kernel in the same round.
    Times(f64),
    /// The kernel is not shown to be faster.
    NotSlower,
    /// No more processor time per request than the kernel's, as far as can be shown.
    NotDearer,
    /// The figure itself, in the row's unit.
    AtMost(f64),
    /// The figure less the note of this name, in the row's unit.
    Beyond(&'static str, f64),
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Reached,
    Missed,
    /// The interval contains the goal.
    NotShown,
    /// Fewer samples than a claim needs.
    TooFew,
    /// There is nothing to compare with.
    NoKernel,
}

/// What a goal is held against: one side of a row, sample by sample.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'s> {
    pub values: &'s [f64],
    /// How many times as fast as the kernel, round by round.
    pub times: &'s [f64],
    /// Processor time as a part of the kernel's, round by round.
    pub cpu: &'s [f64],
    /// The note that the goal names.
    pub note: &'s [f64],
}

impl Goal {
    /// "≥ 1.30x", "≤ 2.00 us".
    pub fn describe(&self, unit: Unit) -> String {
        match *self {
            Goal::Times(times) if times >= 10.0 => format!("≥ {times:.0}x"),
            Goal::Times(times) => format!("≥ {times:.2}x"),
            Goal::NotSlower => "not shown slower".into(),
            Goal::NotDearer => "no more CPU".into(),
            Goal::AtMost(limit) => format!("≤ {}", figure(limit, unit)),
            Goal::Beyond(_, limit) => format!("≤ device + {}", figure(limit, unit)),
        }
    }

    /// Holds it against what was measured.
    pub fn judge(&self, evidence: Evidence<'_>) -> Verdict {
        let Evidence { values, times, cpu, note } = evidence;
        match *self {
            Goal::Times(goal) => at_least(times, goal),
            Goal::NotSlower => not_beyond(times, |m| m.high < 1.0),
            Goal::NotDearer => not_beyond(cpu, |m| m.low > 1.0),
            Goal::AtMost(limit) => at_most(values, limit),
            Goal::Beyond(_, limit) => {
                let beyond: Vec<f64> = values.iter().zip(note).map(|(value, note)| value - note).collect();
                at_most(&beyond, limit)
            }
        }
    }
}

impl Verdict {
    pub fn words(self, goal: &Goal) -> &'static str {
        match (self, goal) {
            (Verdict::Reached, Goal::NotSlower | Goal::NotDearer) => "so it is",
            (Verdict::Reached, _) => "reached",
            (Verdict::Missed, _) => "MISSED",
            (Verdict::NotShown, _) => "not shown",
            (Verdict::TooFew, _) => "too few samples",
            (Verdict::NoKernel, _) => "no kernel AIO",
        }
    }
}

/// A value in its unit.
pub fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::PerSecond if value >= 99_950.0 => format!("{:.0} k/s", value / 1e3),
        Unit::PerSecond if value >= 999.5 => format!("{:.1} k/s", value / 1e3),
        Unit::PerSecond => format!("{value:.0} /s"),
        Unit::Nanoseconds if value < 0.0 => format!("-{}", duration(-value)),
        Unit::Nanoseconds => duration(value),
        Unit::Bytes => bytes(value.max(0.0) as u64),
    }
}

/// The interval of a claim, or why there is none.
fn claim(samples: &[f64]) -> Result<Median, Verdict> {
    match samples.len() {
        0 => Err(Verdict::NoKernel),
        n if n < SAMPLES_MIN => Err(Verdict::TooFew),
        _ => Ok(Median::of(samples)),
    }
}

fn at_least(samples: &[f64], goal: f64) -> Verdict {
    match claim(samples) {
        Err(why) => why,
        Ok(m) if m.low >= goal => Verdict::Reached,
        Ok(m) if m.high < goal => Verdict::Missed,
        Ok(_) => Verdict::NotShown,
    }
}

fn at_most(samples: &[f64], limit: f64) -> Verdict {
    match claim(samples) {
        Err(why) => why,
        Ok(m) if m.high <= limit => Verdict::Reached,
        Ok(m) if m.low > limit => Verdict::Missed,
        Ok(_) => Verdict::NotShown,
    }
}

fn not_beyond(samples: &[f64], shown: impl Fn(Median) -> bool) -> Verdict {
    match claim(samples) {
        Err(why) => why,
        Ok(m) if shown(m) => Verdict::Missed,
        Ok(_) => Verdict::Reached,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 21 samples: the interval is the 6th to the 16th.
    fn spread(from: f64, to: f64) -> Vec<f64> {
        (0..21).map(|i| from + (to - from) * f64::from(i) / 20.0).collect()
    }

    fn judged(goal: Goal, samples: &[f64]) -> Verdict {
        goal.judge(Evidence { values: samples, times: samples, cpu: samples, note: &[1.0; 21] })
    }

    #[test]
    fn an_interval_that_contains_the_goal_shows_nothing() {
        let samples = spread(1.0, 3.0);
        assert_eq!(judged(Goal::Times(1.4), &samples), Verdict::Reached);
        assert_eq!(judged(Goal::Times(2.0), &samples), Verdict::NotShown);
        assert_eq!(judged(Goal::Times(2.6), &samples), Verdict::Missed);
        assert_eq!(judged(Goal::AtMost(2.6), &samples), Verdict::Reached);
        assert_eq!(judged(Goal::AtMost(2.0), &samples), Verdict::NotShown);
        assert_eq!(judged(Goal::AtMost(1.4), &samples), Verdict::Missed);
        assert_eq!(judged(Goal::Beyond("drain_ns", 1.6), &samples), Verdict::Reached);
    }

    #[test]
    fn slower_must_be_shown() {
        assert_eq!(judged(Goal::NotSlower, &spread(0.5, 1.6)), Verdict::Reached);
        assert_eq!(judged(Goal::NotSlower, &spread(0.5, 0.9)), Verdict::Missed);
        assert_eq!(judged(Goal::NotDearer, &spread(0.5, 1.6)), Verdict::Reached);
        assert_eq!(judged(Goal::NotDearer, &spread(1.1, 1.6)), Verdict::Missed);
    }

    #[test]
    fn few_samples_claim_nothing() {
        assert_eq!(judged(Goal::Times(1.0), &[9.0; 20]), Verdict::TooFew);
        assert_eq!(judged(Goal::NotSlower, &[]), Verdict::NoKernel);
    }
}
