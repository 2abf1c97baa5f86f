//! What is to be reached, and whether it is.

use serde::Serialize;

use super::job::Unit;
use super::median::{Median, SAMPLES_MIN};
use super::side::Side;
use crate::units::{bytes, duration};

/// A bound for one side of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// At least so many times as fast as the kernel in the same round.
    Times(f64),
    /// At least so many times as fast as that side in the same round.
    TimesOf(Side, f64),
    /// The kernel is not shown to be faster.
    NotSlower,
    /// No more processor time per request than the kernel's is shown.
    NotDearer,
    /// The figure itself, in the row's unit.
    AtMost(f64),
    /// The figure less the kernel's of the same round, in the row's unit.
    More(f64),
    /// The figure less the note [`super::job::DRAIN`], in the row's unit.
    BeyondDrain(f64),
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
    /// Nothing took turns with it that the goal compares with.
    NotCompared,
}

/// What a goal is held against: one side of a row, sample by sample. The other is [`Goal::reference`].
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'s> {
    pub values: &'s [f64],
    /// How many times as fast as the other, round by round.
    pub times: &'s [f64],
    /// Processor time as a part of the other's, round by round.
    pub cpu: &'s [f64],
    /// The figure less the other's, round by round.
    pub more: &'s [f64],
    /// The note of that name; empty where it is not.
    pub drain: &'s [f64],
}

impl Goal {
    /// "≥ 1.30x", "≤ 2.00 us".
    pub fn describe(&self, unit: Unit) -> String {
        match *self {
            Goal::Times(times) if times >= 10.0 => format!("≥ {times:.0}x"),
            Goal::Times(times) => format!("≥ {times:.2}x"),
            Goal::TimesOf(side, times) => format!("≥ {times:.2}x {}", side.label()),
            Goal::NotSlower => "not shown slower".into(),
            Goal::NotDearer => "not shown dearer (CPU)".into(),
            Goal::AtMost(limit) => format!("≤ {}", figure(limit, unit)),
            Goal::More(limit) => format!("≤ {} more", figure(limit, unit)),
            Goal::BeyondDrain(limit) => format!("≤ drain + {}", figure(limit, unit)),
        }
    }

    /// The figures that it is about: ratios where [`Goal::is_of_ratio`], else in the row's unit.
    pub fn figures(&self, evidence: Evidence<'_>) -> Vec<f64> {
        let Evidence { values, times, cpu, more, drain } = evidence;
        match self {
            Goal::Times(_) | Goal::TimesOf(..) | Goal::NotSlower => times.to_vec(),
            Goal::NotDearer => cpu.to_vec(),
            Goal::AtMost(_) => values.to_vec(),
            Goal::More(_) => more.to_vec(),
            Goal::BeyondDrain(_) => values.iter().zip(drain).map(|(value, drain)| value - drain).collect(),
        }
    }

    /// Whether its figures are ratios.
    pub fn is_of_ratio(&self) -> bool {
        matches!(self, Goal::Times(_) | Goal::TimesOf(..) | Goal::NotSlower | Goal::NotDearer)
    }

    /// Whom it compares with, if anybody.
    pub fn reference(&self) -> Side {
        if let Goal::TimesOf(side, _) = self { *side } else { Side::Kernel }
    }

    /// Holds it against its figures.
    pub fn judge(&self, figures: &[f64]) -> Verdict {
        let m = match figures.len() {
            0 => return Verdict::NotCompared,
            n if n < SAMPLES_MIN => return Verdict::TooFew,
            _ => Median::of(figures),
        };
        let (reached, missed) = match *self {
            Goal::Times(goal) | Goal::TimesOf(_, goal) => (m.low >= goal, m.high < goal),
            Goal::NotSlower => (m.high >= 1.0, m.high < 1.0),
            Goal::NotDearer => (m.low <= 1.0, m.low > 1.0),
            Goal::AtMost(limit) | Goal::More(limit) | Goal::BeyondDrain(limit) => (m.high <= limit, m.low > limit),
        };
        match (reached, missed) {
            (true, _) => Verdict::Reached,
            (_, true) => Verdict::Missed,
            _ => Verdict::NotShown,
        }
    }
}

impl Verdict {
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Reached => "reached",
            Verdict::Missed => "MISSED",
            Verdict::NotShown => "not shown",
            Verdict::TooFew => "too few samples",
            Verdict::NotCompared => "not compared",
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

#[cfg(test)]
mod tests {
    use super::*;

    /// 21 samples: the interval is the 6th to the 16th.
    fn spread(from: f64, to: f64) -> Vec<f64> {
        (0..21).map(|i| from + (to - from) * f64::from(i) / 20.0).collect()
    }

    fn judged(goal: Goal, samples: &[f64]) -> Verdict {
        let drain = &[1.0; 21];
        goal.judge(&goal.figures(Evidence { values: samples, times: samples, cpu: samples, more: samples, drain }))
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
        assert_eq!(judged(Goal::BeyondDrain(1.6), &samples), Verdict::Reached);
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
        assert_eq!(judged(Goal::NotSlower, &[]), Verdict::NotCompared);
    }
}
