//! What the `metrics` feature records.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use common::{append, batch, fill, open_with, small};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use standpipe_testkit::MemStorage;
use standpipe_wal::{Compression, Log, Settings, Wal};

/// Every value, by name.
type Seen = Arc<Mutex<BTreeMap<String, Vec<f64>>>>;

#[derive(Default)]
struct Recording(Seen);

struct Cell(String, Seen);

impl Cell {
    fn note(&self, value: f64) {
        self.1.lock().unwrap().entry(self.0.clone()).or_default().push(value);
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.note(value as f64);
    }
    fn absolute(&self, value: u64) {
        self.note(value as f64);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.note(value);
    }
    fn decrement(&self, value: f64) {
        self.note(-value);
    }
    fn set(&self, value: f64) {
        self.note(value);
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        self.note(value);
    }
}

impl Recording {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        Arc::new(Cell(key.name().to_owned(), self.0.clone()))
    }
}

impl Recorder for Recording {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key))
    }
}

#[test]
fn what_a_log_does_is_recorded() {
    let seen = Seen::default();
    metrics::set_global_recorder(Recording(seen.clone())).unwrap();
    let disk = MemStorage::new();
    let settings = Settings { segment_bytes: 32 << 10, compression: Compression::lz4(), ..small() };
    let log = open_with(&disk, settings).unwrap();
    fill(&log, 0..9, 3000);
    batch(&log, &[vec![b'a'; 900], vec![b'a'; 900], vec![b'a'; 900]]).unwrap();
    append(&log, b"last").unwrap();
    log.truncate_before(log.end()).unwrap();
    log.close().unwrap();
    drop(log);
    let recovering = Wal::recover_in(disk, small()).unwrap();
    let told = recovering
        .replay(recovering.start())
        .batch(2, 1 << 20)
        .batches(|_| Ok::<(), Infallible>(()))
        .unwrap();

    let seen = seen.lock().unwrap().clone();
    let values =
        |name: &str| seen.get(name).unwrap_or_else(|| panic!("no {name}: {:?}", seen.keys())).clone();
    assert_eq!(values("wal_append_duration_seconds").len(), 11, "one for each group");
    assert!(values("wal_append_duration_seconds").iter().all(|seconds| *seconds >= 0.0));
    let groups = values("wal_group_commit_batch_size");
    assert_eq!((groups.iter().sum::<f64>(), groups.contains(&3.0)), (13.0, true), "{groups:?}");
    // Each group, and the sync of the frame that closes.
    assert_eq!(values("wal_sync_duration_seconds").len(), groups.len());
    // A page for each group, and for the frame that closes.
    assert_eq!(values("wal_bytes_total").iter().sum::<f64>(), 12.0 * 4096.0);
    let ratios = values("wal_compression_ratio");
    assert!(ratios.iter().any(|ratio| *ratio < 0.1) && ratios.contains(&1.0), "{ratios:?}");
    assert!(values("wal_segments").contains(&2.0));
    assert_eq!(values("wal_replay_batch_size").iter().sum::<f64>(), told.records as f64);
    assert_eq!(values("wal_replay_duration_seconds").len(), 1);
    assert!(values("wal_replay_ops_per_sec")[0] > 0.0);
}
