//! Percentiles of a latency histogram.

use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;
use uaio::stats::{BUCKETS, Latency, bucket_floor};

/// Nanoseconds, up to 6 % too high: upper edges of buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    pub count: u64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p99_ns: u64,
    pub p99_9_ns: u64,
    pub max_ns: u64,
}

impl From<&Latency> for Percentiles {
    fn from(latency: &Latency) -> Percentiles {
        let counts: Vec<u64> = latency.counts.iter().map(|count| count.load(Relaxed)).collect();
        let count = counts.iter().sum();
        let at = |per_mille: u64| value_at(&counts, (count as u128 * u128::from(per_mille)).div_ceil(1000) as u64);
        Percentiles {
            count,
            p50_ns: at(500),
            p90_ns: at(900),
            p99_ns: at(990),
            p99_9_ns: at(999),
            max_ns: at(1000),
        }
    }
}

/// The largest value of the bucket in which the value number `rank` is, counted from 1; 0 where there is none.
fn value_at(counts: &[u64], rank: u64) -> u64 {
    let mut seen = 0;
    let bucket = counts.iter().position(|count| {
        seen += count;
        seen >= rank && rank > 0
    });
    match bucket {
        None => 0,
        Some(bucket) if bucket + 1 >= BUCKETS => u64::MAX,
        Some(bucket) => bucket_floor(bucket + 1) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::counters;

    #[test]
    fn percentiles_are_upper_edges() {
        let stats = counters();
        assert_eq!(Percentiles::from(&stats.submit_ns), Percentiles::default());
        for ns in 1..=1000 {
            stats.submit_ns.record(ns * 1000);
        }
        let p = Percentiles::from(&stats.submit_ns);
        assert_eq!(p.count, 1000);
        for (got, exact) in
            [(p.p50_ns, 500_000), (p.p99_ns, 990_000), (p.p99_9_ns, 999_000), (p.max_ns, 1_000_000)]
        {
            assert!(got >= exact && got <= exact * 107 / 100, "{got} for {exact}");
        }
    }
}
