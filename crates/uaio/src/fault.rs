//! The script of the engine `scripted`: which requests fail, how, and when their events come.
//!
//! Every decision depends only on the seed, the number of the context (counted by io_setup in this process) and the number of the
//! submission on it; so the same program run again meets the same faults, as far as it submits in the same order.

mod grammar;

use core::fmt;
use core::time::Duration;

use crate::errno::Errno;
use crate::request::Op;

/// A script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    seed: u64,
    /// Completions are held for a seeded part of this.
    reorder: Duration,
    rules: Vec<Rule>,
}

/// `TARGET:EFFECT WHEN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    target: Target,
    effect: Effect,
    when: When,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Any,
    Read,
    Write,
    Fsync,
    Poll,
    /// The call io_submit itself.
    Submit,
}

/// What is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It fails, and nothing is transferred.
    Fails(Errno),
    /// Only a part is transferred, of at most so many bytes (requests; for io_submit), or of a seeded size.
    Short(Option<u64>),
    /// What was read is changed.
    Corrupt,
    /// The event comes later.
    Delay(Duration),
}

/// To which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    /// In so many of a million cases.
    Chance(u32),
    /// To the nth on each context.
    Nth(u64),
    /// To every nth on each context.
    Every(u64),
    /// To one submission: number of the context, number of the submission.
    At(u64, u64),
}

/// What one request is, to the script: numbers count from 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) target: Target,
    pub(crate) context: u64,
    /// Of all submissions on the context.
    pub(crate) number: u64,
    /// Of those of this target.
    pub(crate) nth: u64,
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) fails: Option<Errno>,
    /// At most so many bytes; 0 of a seeded size.
    pub(crate) short: Option<u64>,
    pub(crate) corrupt: bool,
    pub(crate) delay: Duration,
    /// For whatever size has to be chosen.
    pub(crate) random: u64,
}

impl Target {
    pub(crate) fn of(op: Op) -> Target {
        match op {
            Op::Read => Target::Read,
            Op::Write => Target::Write,
            Op::Fsync | Op::Fdatasync => Target::Fsync,
            Op::Poll => Target::Poll,
        }
    }

    fn covers(self, other: Target) -> bool {
        self == other || (self == Target::Any && other != Target::Submit)
    }
}

impl Script {
    /// What happens to `case`.
    pub(crate) fn plan(&self, case: &Case) -> Plan {
        let mut plan = Plan { random: self.random(case, u64::MAX), ..Plan::default() };
        if case.target != Target::Submit && !self.reorder.is_zero() {
            let nanos = self.random(case, u64::MAX - 1) % (self.reorder.as_nanos() as u64 + 1);
            plan.delay = Duration::from_nanos(nanos);
        }
        for (index, rule) in self.rules.iter().enumerate() {
            if rule.target.covers(case.target) && self.holds(rule, case, index as u64) {
                plan.add(rule.effect);
            }
        }
        plan
    }

    fn holds(&self, rule: &Rule, case: &Case, index: u64) -> bool {
        let nth = if rule.target == Target::Any { case.number } else { case.nth };
        match rule.when {
            When::Always => true,
            When::Chance(millionths) => self.random(case, index) % 1_000_000 < u64::from(millionths),
            When::Nth(n) => nth == n,
            When::Every(n) => nth.is_multiple_of(n),
            When::At(context, number) => (case.context, case.number) == (context, number),
        }
    }

    /// splitmix64 over everything that a decision may depend on.
    fn random(&self, case: &Case, rule: u64) -> u64 {
        [case.context, case.number, rule].into_iter().fold(mix(self.seed), |state, word| mix(state ^ mix(word)))
    }
}

fn mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Plan {
    fn add(&mut self, effect: Effect) {
        match effect {
            Effect::Fails(errno) => self.fails = self.fails.or(Some(errno)),
            Effect::Short(size) => self.short = self.short.or(Some(size.unwrap_or(0))),
            Effect::Corrupt => self.corrupt = true,
            Effect::Delay(time) => self.delay += time,
        }
    }

    /// The rules that say the same of one submission, one a line: the log.
    pub(crate) fn write(&self, case: &Case, out: &mut impl fmt::Write) -> fmt::Result {
        let (target, at) = (case.target.name(), (case.context, case.number));
        if let Some(errno) = self.fails {
            writeln!(out, "{target}:{errno:?} at={}.{}", at.0, at.1)?;
        }
        if let Some(size) = self.short {
            writeln!(out, "{target}:short {size} at={}.{}", at.0, at.1)?;
        }
        if self.corrupt {
            writeln!(out, "{target}:corrupt at={}.{}", at.0, at.1)?;
        }
        if !self.delay.is_zero() {
            writeln!(out, "{target}:delay {}ns at={}.{}", self.delay.as_nanos(), at.0, at.1)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(script: &str, target: Target, context: u64, number: u64, nth: u64) -> Plan {
        script.parse::<Script>().unwrap().plan(&Case { target, context, number, nth })
    }

    #[test]
    fn rules_meet_what_they_name() {
        assert_eq!(plan("read:EIO nth=3", Target::Read, 1, 9, 3).fails, Some(Errno::EIO));
        assert_eq!(plan("read:EIO nth=3", Target::Read, 1, 3, 2).fails, None);
        assert_eq!(plan("read:EIO nth=3", Target::Write, 1, 3, 3).fails, None);
        assert_eq!(plan("any:ENOSPC nth=3", Target::Write, 1, 3, 1).fails, Some(Errno::ENOSPC));
        assert_eq!(plan("any:EIO", Target::Submit, 1, 1, 1).fails, None);
        assert_eq!(plan("write:short 512 every=2", Target::Write, 1, 7, 4).short, Some(512));
        assert_eq!(plan("fsync:delay 50ms", Target::Fsync, 1, 1, 1).delay, Duration::from_millis(50));
        assert!(plan("read:corrupt at=2.5", Target::Read, 2, 5, 1).corrupt);
        assert!(!plan("read:corrupt at=2.5", Target::Read, 1, 5, 1).corrupt);
    }

    #[test]
    fn chances_are_kept_and_seeds_matter() {
        let hits = |script: &str| {
            (1..=10_000).filter(|n| plan(script, Target::Read, 1, *n, *n).fails.is_some()).collect()
        };
        let (first, other): (Vec<u64>, Vec<u64>) = (hits("seed=1; read:EIO 5%"), hits("seed=2; read:EIO 5%"));
        assert!((400..600).contains(&first.len()) && (400..600).contains(&other.len()));
        assert_ne!(first, other);
        assert_eq!(first, hits("read:EIO 5%; seed=1"));
        assert_eq!(plan("read:EIO 100%", Target::Read, 1, 1, 1).fails, Some(Errno::EIO));
        assert_eq!(plan("read:EIO 0%", Target::Read, 1, 1, 1).fails, None);
    }

    #[test]
    fn the_log_is_a_script_that_does_the_same() {
        let script: Script = "seed=7; reorder 3ms; any:EIO 10%; read:short 20%; read:corrupt 5%".parse().unwrap();
        let cases = (1..=500).map(|n| Case { target: Target::Read, context: 1 + n % 3, number: n, nth: n });
        let mut log = String::new();
        for case in cases.clone() {
            let plan = script.plan(&case);
            let chosen = Plan { short: plan.short.map(|_| 1 + plan.random % 99), ..plan };
            chosen.write(&case, &mut log).unwrap();
        }
        let replay: Script = log.parse().unwrap();
        for case in cases {
            let (first, second) = (script.plan(&case), replay.plan(&case));
            assert_eq!((first.fails, first.corrupt, first.delay), (second.fails, second.corrupt, second.delay));
            assert_eq!(first.short.map(|_| 1 + first.random % 99), second.short);
        }
    }
}
