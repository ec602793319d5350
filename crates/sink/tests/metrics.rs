//! What the `metrics` feature records.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use standpipe_testkit::VecStore;

type Seen = Arc<Mutex<BTreeMap<String, u64>>>;

struct Recording(Seen);

struct Cell(String, Seen);

impl Cell {
    fn add(&self, value: u64) {
        *self.1.lock().unwrap().entry(self.0.clone()).or_default() += value;
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.add(value);
    }
    fn absolute(&self, value: u64) {
        self.add(value);
    }
}

/// The most that was seen is kept beside it.
impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        let mut seen = self.1.lock().unwrap();
        let now = seen.entry(self.0.clone()).or_default();
        *now = now.checked_add_signed(whole(value)).unwrap();
        let now = *now;
        let most = seen.entry(format!("{} at most", self.0)).or_default();
        *most = now.max(*most);
    }
    fn decrement(&self, value: f64) {
        GaugeFn::increment(self, -value);
    }
    fn set(&self, _: f64) {
        unreachable!("gauges are counted up and down");
    }
}

#[expect(clippy::cast_possible_truncation, reason = "bytes of a test")]
fn whole(value: f64) -> i64 {
    value as i64
}

impl HistogramFn for Cell {
    fn record(&self, _: f64) {
        self.add(1);
    }
}

impl Recorder for Recording {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(Cell(key.name().to_owned(), self.0.clone())))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(Cell(key.name().to_owned(), self.0.clone())))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Cell(key.name().to_owned(), self.0.clone())))
    }
}

#[tokio::test]
async fn rows_are_counted_where_they_go() {
    let seen = Seen::default();
    metrics::set_global_recorder(Recording(seen.clone())).unwrap();
    let target = common::target(&["t"]);
    let sink = common::open(&VecStore::new(), &target, common::settings()).await.unwrap();
    let stream = sink.stream(common::spec("t", 1)).await.unwrap();
    let receipt = sink.write(&stream, stream.rows(&common::rows(0..7)).unwrap()).await.unwrap();
    receipt.applied().await.unwrap();
    sink.close(std::time::Duration::from_secs(10)).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen["sink_rows_acknowledged_total"], 7);
    assert_eq!(seen["sink_rows_applied_total"], 7);
    assert_eq!(seen["sink_rows_dead_lettered_total"], 0);
    assert!(seen["sink_bytes_applied_total"] > 0);
    assert!(seen["sink_acknowledge_duration_seconds"] >= 1);
    assert!(seen["sink_apply_duration_seconds"] >= 1);
}

/// Rows that wait for the log, before any is on its way to the target. On one thread: nothing is acknowledged before all are
/// written.
#[tokio::test]
async fn memory_of_rows_on_their_way_to_the_log_is_told() {
    let seen = Seen::default();
    let recording = Recording(seen.clone());
    let _recorded = metrics::set_default_local_recorder(&recording);
    let value = |name: &str| seen.lock().unwrap().get(name).copied().unwrap_or_default();
    let sink = common::open(&VecStore::new(), &common::target(&["t"]), common::patient()).await.unwrap();
    let stream = sink.stream(common::spec("t", 1)).await.unwrap();
    let mut receipts = Vec::new();
    for id in 0..4 {
        receipts.push(sink.write(&stream, stream.rows(&common::rows([id])).unwrap()).await.unwrap());
    }
    for receipt in &receipts {
        receipt.durable().await.unwrap();
    }
    assert!(value("buffer_bytes at most") > 0, "three were not durable when the first was");
    assert_eq!(value("buffer_bytes"), 0);
    sink.close(std::time::Duration::from_secs(10)).await.unwrap();
}
