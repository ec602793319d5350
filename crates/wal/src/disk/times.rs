use std::time::Duration;

/// How long each of many things took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Times {
    /// How many there were.
    pub count: u64,
    /// How many a second, one after the other.
    pub per_second: f64,
    /// Half of them took no longer.
    pub p50: Duration,
    /// 95 of 100 took no longer.
    pub p95: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl Times {
    /// Of these, in any order, which together took `elapsed`.
    pub(super) fn of(mut nanos: Vec<u64>, elapsed: Duration) -> Self {
        nanos.sort_unstable();
        let at = |hundredths: usize| {
            let rank = (nanos.len() * hundredths).div_ceil(100).max(1) - 1;
            Duration::from_nanos(nanos.get(rank).copied().unwrap_or(0))
        };
        Times {
            count: nanos.len() as u64,
            per_second: nanos.len() as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE),
            p50: at(50),
            p95: at(95),
            p99: at(99),
            max: at(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Times;
    use std::time::Duration;

    #[test]
    fn ranks_are_those_of_the_sorted_times() {
        let times = Times::of((1..=200).rev().collect(), Duration::from_secs(2));
        let nanos = [times.p50, times.p95, times.p99, times.max].map(|time| time.as_nanos());
        assert_eq!((times.count, times.per_second, nanos), (200, 100.0, [100, 190, 198, 200]));
        let one = Times::of(vec![7], Duration::from_secs(1));
        assert_eq!((one.p50, one.max), (Duration::from_nanos(7), Duration::from_nanos(7)));
        assert_eq!(Times::of(Vec::new(), Duration::ZERO).max, Duration::ZERO);
    }
}
