//! A distribution of durations in a fixed number of counters, which add up over any number of batches.

use std::time::Duration;

/// How many buckets there are.
///
/// Below 4 ms each millisecond has its own. Above, every power of two is cut into four buckets of equal width, so a bucket is at most a
/// quarter as wide as its lower bound. The last one ends just under 2^25 ms (9.3 hours) and takes everything beyond: pauses and
/// long outages.
pub const BUCKETS: usize = 96;

/// Durations in milliseconds, counted in [`BUCKETS`] log-spaced buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram([u64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        self.0[bucket_of(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))] += 1;
    }

    /// Adds to one bucket. One that does not exist takes nothing.
    pub fn add_to_bucket(&mut self, bucket: usize, count: u64) {
        if let Some(counted) = self.0.get_mut(bucket) {
            *counted = counted.saturating_add(count);
        }
    }

    /// Adds what another one has counted.
    pub fn add(&mut self, other: &Histogram) {
        other.buckets().for_each(|(bucket, count)| self.add_to_bucket(bucket, count));
    }

    /// The buckets that hold something, with what they hold.
    pub fn buckets(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }

    /// How many durations were counted.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |total, count| total.saturating_add(*count))
    }

    /// The duration, in milliseconds, that `per_mille` thousandths of all do not exceed; nothing when nothing was counted.
    ///
    /// It is the middle of the bucket in which that duration lies: exact below 8 ms, within an eighth of it (12.5 %) up to 9.3 hours, and
    /// at most 8.7 hours beyond that.
    pub fn quantile(&self, per_mille: u32) -> Option<u64> {
        let total = u128::from(self.total());
        let rank = (total * u128::from(per_mille.min(1_000))).div_ceil(1_000).max(1);
        let mut below = 0;
        let found = self.buckets().find(|(_, count)| {
            below += u128::from(*count);
            below >= rank
        });
        found.map(|(bucket, _)| middle_of(bucket))
    }
}

fn bucket_of(milliseconds: u64) -> usize {
    let Some(exponent) = milliseconds.checked_ilog2().filter(|exponent| *exponent >= 2) else { return milliseconds as usize };
    let quarter = (milliseconds >> (exponent - 2)) & 3;
    ((exponent as usize - 1) * 4 + quarter as usize).min(BUCKETS - 1)
}

fn middle_of(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let scale = bucket / 4 - 1;
    let (lowest, width) = ((4 + bucket as u64 % 4) << scale, 1_u64 << scale);
    lowest + (width - 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LAST_BELOW: u64 = (1 << 25) - 1;

    fn counted(milliseconds: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        milliseconds.iter().for_each(|duration| histogram.record(Duration::from_millis(*duration)));
        histogram
    }

    #[test]
    fn nothing_has_no_quantiles() {
        assert_eq!(Histogram::default().quantile(500), None);
    }

    #[test]
    fn short_durations_are_exact() {
        for milliseconds in 0..8 {
            assert_eq!(counted(&[milliseconds]).quantile(500), Some(milliseconds));
        }
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let histogram = counted(&[0, 1, 2, 3]);
        let of = |per_mille| histogram.quantile(per_mille);
        assert_eq!([of(0), of(250), of(251), of(500), of(1_000)], [Some(0), Some(0), Some(1), Some(1), Some(3)]);
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut before = 0;
        for milliseconds in 1..100_000 {
            let bucket = bucket_of(milliseconds);
            assert!(bucket == before || bucket == before + 1, "{milliseconds}");
            before = bucket;
        }
        assert_eq!((bucket_of(LAST_BELOW), bucket_of(u64::MAX)), (BUCKETS - 1, BUCKETS - 1));
        assert_ne!(bucket_of(LAST_BELOW), bucket_of(LAST_BELOW * 3 / 4));
    }

    #[test]
    fn what_is_longer_than_the_last_bucket_is_counted_in_it() {
        let histogram = counted(&[u64::MAX]);
        assert_eq!((histogram.total(), histogram.quantile(990)), (1, Some(middle_of(BUCKETS - 1))));
    }

    #[test]
    fn a_bucket_that_does_not_exist_takes_nothing() {
        let mut histogram = Histogram::default();
        histogram.add_to_bucket(BUCKETS, 7);
        assert_eq!(histogram, Histogram::default());
    }

    proptest! {
        #[test]
        fn quantiles_rise_and_each_is_within_an_eighth_of_the_true_one(
            mut durations in prop::collection::vec(prop_oneof![0_u64..200, 0_u64..100_000, 0_u64..=LAST_BELOW], 1..300),
            mut wanted in prop::collection::vec(0_u32..=1_000, 2..10),
        ) {
            let histogram = counted(&durations);
            durations.sort_unstable();
            wanted.sort_unstable();
            let found: Vec<u64> = wanted.iter().map(|per_mille| histogram.quantile(*per_mille).unwrap()).collect();
            prop_assert!(found.is_sorted());
            for (per_mille, found) in wanted.iter().zip(&found) {
                let rank = (durations.len() * *per_mille as usize).div_ceil(1_000).max(1);
                let exact = durations[rank - 1];
                prop_assert!(exact.abs_diff(*found) * 8 <= exact, "{} instead of {}", found, exact);
            }
        }

        #[test]
        fn batches_add_up_to_what_one_would_have_counted(one in prop::collection::vec(any::<u64>(), 0..50), other in prop::collection::vec(any::<u64>(), 0..50)) {
            let mut sum = counted(&one);
            sum.add(&counted(&other));
            prop_assert_eq!(sum, counted(&[one, other].concat()));
        }
    }
}
