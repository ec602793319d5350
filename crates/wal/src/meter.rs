//! What the `metrics` feature records; without it these are empty and cost nothing, not even a look at the clock.

#[cfg(feature = "metrics")]
mod facade {
    use std::time::{Duration, Instant};

    /// When the first record of a frame was appended.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Since(Instant);

    impl Since {
        pub(crate) fn now() -> Self {
            Since(Instant::now())
        }
    }

    /// A frame was settled: its first record waited longest.
    pub(crate) fn settled(since: Since) {
        metrics::histogram!("wal_append_duration_seconds").record(since.0.elapsed().as_secs_f64());
    }

    /// What one sync made durable.
    pub(crate) fn synced(took: Duration, records: u64) {
        metrics::histogram!("wal_sync_duration_seconds").record(took.as_secs_f64());
        metrics::histogram!("wal_group_commit_batch_size").record(records as f64);
    }

    /// A frame was written: payload and what it takes on disk, padding included.
    pub(crate) fn written(payload_bytes: usize, stored_bytes: usize, disk_bytes: u64) {
        metrics::counter!("wal_bytes_total").increment(disk_bytes);
        if payload_bytes > 0 {
            metrics::histogram!("wal_compression_ratio").record(stored_bytes as f64 / payload_bytes as f64);
        }
    }

    /// How many segments the log has now.
    pub(crate) fn segments(count: usize) {
        metrics::gauge!("wal_segments").set(count as f64);
    }
}

#[cfg(not(feature = "metrics"))]
mod facade {
    use std::time::Duration;

    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Since;

    impl Since {
        pub(crate) fn now() -> Self {
            Since
        }
    }

    pub(crate) fn settled(_: Since) {}
    pub(crate) fn synced(_: Duration, _: u64) {}
    pub(crate) fn written(_: usize, _: usize, _: u64) {}
    pub(crate) fn segments(_: usize) {}
}

pub(crate) use facade::{Since, segments, settled, synced, written};
