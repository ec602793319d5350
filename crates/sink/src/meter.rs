//! What the `metrics` feature records, beside whoever observes the sink; without the feature there is nothing here.

use std::sync::Arc;

use crate::Events;

/// The observer, behind the recorder where that is built in.
pub(crate) fn metered(events: Arc<dyn Events>) -> Arc<dyn Events> {
    #[cfg(feature = "metrics")]
    let events = Arc::new(record::Metered(events));
    events
}

#[cfg(feature = "metrics")]
mod record {
    use std::{sync::Arc, time::Duration};

    use standpipe_core::DeadLetter;

    use crate::{Applied, Events};

    /// Records every event to the `metrics` facade, and passes it on.
    pub(super) struct Metered(pub(super) Arc<dyn Events>);

    impl Events for Metered {
        fn acknowledged(&self, rows: u64, took: Duration) {
            metrics::counter!("sink_rows_acknowledged_total").increment(rows);
            metrics::histogram!("sink_acknowledge_duration_seconds").record(took.as_secs_f64());
            self.0.acknowledged(rows, took);
        }

        fn applied(&self, applied: &Applied<'_>) {
            let stream = applied.stream.to_string();
            metrics::counter!("sink_rows_applied_total", "stream" => stream.clone()).increment(applied.rows);
            metrics::counter!("sink_rows_dead_lettered_total", "stream" => stream.clone())
                .increment(applied.dead_lettered);
            metrics::counter!("sink_bytes_applied_total", "stream" => stream).increment(applied.bytes);
            metrics::histogram!("sink_apply_duration_seconds").record(applied.waited.as_secs_f64());
            self.0.applied(applied);
        }

        fn dead_lettered(&self, letters: &[DeadLetter]) {
            self.0.dead_lettered(letters);
        }

        fn stalled(&self, reason: &str, pause: Duration) {
            metrics::counter!("sink_stalls_total").increment(1);
            self.0.stalled(reason, pause);
        }
    }
}
