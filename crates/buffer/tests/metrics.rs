//! What the `metrics` feature records.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use common::{Item, never, poll};
use metrics::{
    Counter, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use standpipe_buffer::{Budget, Buffer, Clock, Lanes, Policy};

type Seen = Arc<Mutex<BTreeMap<String, f64>>>;

#[derive(Default)]
struct Recording(Seen);

struct Cell(String, Seen);

impl Cell {
    fn change(&self, change: impl FnOnce(&mut f64)) {
        change(self.1.lock().unwrap().entry(self.0.clone()).or_default());
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.change(|cell| *cell += value);
    }
    fn decrement(&self, value: f64) {
        self.change(|cell| *cell -= value);
    }
    fn set(&self, value: f64) {
        self.change(|cell| *cell = value);
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        self.change(|cell| *cell += value);
    }
}

impl Recorder for Recording {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(Cell(key.name().to_owned(), Arc::clone(&self.0))))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let reason = key.labels().next().map(|label| format!(" {}", label.value())).unwrap_or_default();
        Histogram::from_arc(Arc::new(Cell(format!("{}{reason}", key.name()), Arc::clone(&self.0))))
    }
}

/// A clock that stands still, with timers that never ring.
struct Stopped(Instant);

impl Clock for Stopped {
    type Sleep = std::future::Pending<()>;
    fn now(&self) -> Instant {
        self.0
    }
    fn sleep_until(&self, _deadline: Instant) -> Self::Sleep {
        std::future::pending()
    }
}

/// Far below pressure, where the budget has nothing to say by itself.
fn gauge_follows_the_batches(now: Instant, value: &impl Fn(&str) -> f64) {
    let buffer = Buffer::new(Policy { rows_max: 2, ..never() }, Budget::new(1_000_000));
    let fill = |key| (0..2).for_each(|number| buffer.try_push(key, Item::new(number, 1, 10)).unwrap());
    fill(1);
    fill(2);
    let taken = buffer.try_take(now).unwrap();
    assert_eq!(value("buffer_bytes"), 40.0, "said when a batch is taken");
    fill(3);
    assert!(taken.give_back());
    let taken = buffer.try_take(now).unwrap();
    assert_eq!(value("buffer_bytes"), 60.0);
    taken.complete();
    assert_eq!(value("buffer_bytes"), 40.0, "said when it is done");
    buffer.discard(&3);
    assert_eq!(value("buffer_bytes"), 20.0);
    drop(buffer);
    assert_eq!(value("buffer_bytes"), 0.0);
}

#[test]
fn bytes_waiters_and_batches_are_recorded_and_come_back_to_nought() {
    let recording = Recording::default();
    let value = |name: &str| recording.0.lock().unwrap().get(name).copied().unwrap_or_default();
    metrics::with_local_recorder(&recording, || {
        let (budget, lanes, now) = (Budget::new(10), Lanes::new(never()), Instant::now());
        let mut permit = budget.try_acquire(10).unwrap();
        let mut cancelled = Box::pin(budget.acquire(10));
        let mut granted_then_cancelled = Box::pin(budget.acquire(4));
        let mut granted = Box::pin(budget.acquire(6));
        assert!(poll(cancelled.as_mut()).is_pending());
        assert!(poll(granted_then_cancelled.as_mut()).is_pending());
        assert!(poll(granted.as_mut()).is_pending());
        assert_eq!((value("buffer_bytes"), value("buffer_waiters")), (10.0, 3.0), "said when pressure began");

        drop(cancelled);
        drop(permit.split(4));
        budget.record();
        assert_eq!((value("buffer_bytes"), value("buffer_waiters")), (10.0, 1.0), "the four were granted");
        drop((granted_then_cancelled, permit));
        let granted = poll(granted.as_mut()).map(Result::unwrap);
        assert!(granted.is_ready());
        budget.record();
        assert_eq!((value("buffer_bytes"), value("buffer_waiters")), (6.0, 0.0));
        drop(granted);
        budget.record();
        assert_eq!(value("buffer_bytes"), 0.0);
        assert!(value("buffer_wait_seconds") > 0.0);

        let full = budget.try_acquire(10).unwrap();
        let clock = Stopped(now);
        let mut delayed = Box::pin(budget.admit(1, &clock));
        assert!(poll(delayed.as_mut()).is_pending());
        assert_eq!(value("buffer_delay_seconds"), Budget::DELAY_UNKNOWN.as_secs_f64());
        drop((delayed, full));

        gauge_follows_the_batches(now, &value);

        lanes.push(1, Item::new(1, 7, 1), now).unwrap();
        lanes.flush(&1);
        lanes.try_take(now).unwrap().complete();
        assert_eq!(value("buffer_batch_rows flush"), 7.0);
    });
}
