//! What a log can tell about its work.

use std::time::Duration;

/// Counters and measures of a log since it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Calls of fdatasync by the writer.
    pub fsyncs: u64,
    /// Group commits.
    pub frames: u64,
    /// Entries made durable.
    pub entries: u64,
    /// Bytes written by the writer, with headers and padding.
    pub bytes: u64,
    /// How long the writer's calls of fdatasync took.
    pub fsync_latency: LatencyHistogram,
    /// Whether the writer waits for space on the disk; nothing is acknowledged meanwhile.
    pub full: bool,
    /// Whether the log has failed for good.
    pub poisoned: bool,
    /// Bytes that wait for the writer.
    pub queue_bytes: usize,
    /// Bytes of recent payloads in memory.
    pub cache_bytes: usize,
    /// Segment files that are in use.
    pub segments: usize,
}

const GROUPS: usize = 40;
const STEPS: usize = 8;

/// Durations in buckets that are at most an eighth wide, from one microsecond to twelve days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatencyHistogram {
    buckets: Vec<u64>,
    count: u64,
    sum: Duration,
    last: Duration,
    max: Duration,
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self {
            buckets: vec![0; GROUPS * STEPS],
            count: 0,
            sum: Duration::ZERO,
            last: Duration::ZERO,
            max: Duration::ZERO,
        }
    }
}

impl LatencyHistogram {
    /// Adds one duration.
    pub fn record(&mut self, duration: Duration) {
        let bucket = bucket_of(duration);
        self.buckets[bucket] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(duration);
        self.last = duration;
        self.max = self.max.max(duration);
    }

    /// How many durations were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All durations together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The duration added last.
    #[must_use]
    pub fn last(&self) -> Duration {
        self.last
    }

    /// The longest duration.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The duration that this share of all durations (0.0 to 1.0) does not exceed, rounded up to its bucket.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if *count > 0 && seen as f64 >= share * self.count as f64 {
                return upper_bound(bucket).min(self.max);
            }
        }
        self.max
    }

    /// The buckets that are not empty: upper bound, and how many durations are in it.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let buckets = self.buckets.iter().enumerate();
        buckets.filter(|(_, count)| **count > 0).map(|(bucket, count)| (upper_bound(bucket), *count))
    }
}

/// A group for each power of two, and in it eight steps of equal width.
fn bucket_of(duration: Duration) -> usize {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    if micros < STEPS as u64 {
        return micros as usize;
    }
    let exponent = micros.ilog2() as usize - STEPS.ilog2() as usize;
    let step = (micros >> exponent) as usize - STEPS;
    ((exponent + 1) * STEPS + step).min(GROUPS * STEPS - 1)
}

fn upper_bound(bucket: usize) -> Duration {
    if bucket < STEPS {
        return Duration::from_micros(bucket as u64 + 1);
    }
    let (exponent, step) = (bucket / STEPS - 1, bucket % STEPS);
    Duration::from_micros(((STEPS + step + 1) as u64) << exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_an_eighth_exact() {
        let mut histogram = LatencyHistogram::default();
        for micros in 1..=1000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (share, exact) in [(0.5, 500.0), (0.99, 990.0)] {
            let found = histogram.quantile(share).as_micros() as f64;
            assert!((exact..=exact * 1.13).contains(&found), "{share}: {found}");
        }
        assert_eq!(histogram.quantile(1.0), Duration::from_millis(1));
        assert_eq!((histogram.count(), histogram.buckets().map(|b| b.1).sum()), (1000, 1000_u64));
    }

    #[test]
    fn every_duration_lies_below_the_bound_of_its_bucket() {
        for micros in (0..100_000).chain([1 << 40, u64::MAX]) {
            let duration = Duration::from_micros(micros);
            let bucket = bucket_of(duration);
            assert!(bucket == GROUPS * STEPS - 1 || duration < upper_bound(bucket), "{micros}");
        }
    }
}
