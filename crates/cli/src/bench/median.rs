//! Medians and what is known about them.

use serde::Serialize;

/// The fewest samples from which something is claimed.
pub const SAMPLES_MIN: usize = 21;

/// The median of some samples, with an interval that contains the true median in at least 95 of 100 runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Median {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Median {
    /// Of at least one sample. The interval is made of order statistics, so it needs no assumption about the
    /// samples' distribution; below 6 samples it is the whole range.
    pub fn of(samples: &[f64]) -> Median {
        assert!(!samples.is_empty());
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let outside = ranks_outside(sorted.len());
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Median { low: sorted[outside], median, high: sorted[sorted.len() - 1 - outside] }
    }
}

/// How many samples may be cut off at each end: the largest k for which fewer than k + 1 samples lie below the true
/// median with a probability of at most 2.5 %, by the binomial distribution.
fn ranks_outside(n: usize) -> usize {
    let mut probability = 0.5f64.powi(n as i32);
    let (mut below, mut k) = (probability, 0);
    while below <= 0.025 && k < n / 2 {
        k += 1;
        probability *= (n - k + 1) as f64 / k as f64;
        below += probability;
    }
    k.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_statistics_as_in_the_tables() {
        // Ranks of the 95 % interval, counted from 1: n = 6: 1..6, n = 21: 6..16, n = 101: 41..61.
        for (n, low) in [(3, 1), (6, 1), (21, 6), (101, 41)] {
            let samples: Vec<f64> = (1..=n).map(f64::from).collect();
            let m = Median::of(&samples);
            assert_eq!((m.low, m.high), (f64::from(low), f64::from(n + 1 - low)), "{n}");
            assert_eq!(m.median, f64::from(n + 1) / 2.0);
        }
    }
}
