use std::{
    thread,
    time::{Duration, Instant},
};

/// How long before the moment a pace stops sleeping and spins: what a sleep overshoots by.
const SPIN: Duration = Duration::from_micros(80);

/// An open loop: moments at a stated rate, whatever the operations take. Latency is measured from these moments, so
/// an operation that starts late because the one before was slow is a slow operation.
///
/// ```
/// use standpipe_harness::{Latency, Pace};
/// use std::time::{Duration, Instant};
///
/// let began = Instant::now();
/// let mut latency = Latency::since(began);
/// for intended in Pace::new(began, 10_000.0).until(began + Duration::from_millis(5)) {
///     // .. the operation ..
///     latency.record(intended, Instant::now());
/// }
/// assert_eq!(latency.count(), 50);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    began: Instant,
    interval: Duration,
    next: u32,
    end: Option<Instant>,
}

impl Pace {
    /// `rate` moments a second from `began` on. Writers that share a rate each take their part of it, and start a
    /// part of an interval apart: `Pace::new(began + interval * writer / writers, rate / writers)`.
    #[must_use]
    pub fn new(began: Instant, rate: f64) -> Self {
        Pace { began, interval: Duration::from_secs_f64(1.0 / rate.max(1e-3)), next: 0, end: None }
    }

    /// Ends before `end`.
    #[must_use]
    pub fn until(mut self, end: Instant) -> Self {
        self.end = Some(end);
        self
    }
}

impl Iterator for Pace {
    type Item = Instant;

    /// Blocks until the next moment has come, and returns it; at once when it has passed already.
    fn next(&mut self) -> Option<Instant> {
        let intended = self.began + self.interval * self.next;
        if self.end.is_some_and(|end| intended >= end) {
            return None;
        }
        self.next += 1;
        wait_until(intended);
        Some(intended)
    }
}

fn wait_until(moment: Instant) {
    // Spinning takes a core from what is measured, so no more than a small part of the time goes into it.
    loop {
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if left > SPIN {
            thread::sleep(left - SPIN);
        } else {
            std::hint::spin_loop();
        }
    }
}
