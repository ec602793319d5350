//! What the `metrics` feature records; without it these are empty. All gauges are counted up and down rather than set,
//! so that two threads that record out of order still leave the right value, and several buffers add up.

use crate::{Reason, Weight};

#[cfg(feature = "metrics")]
mod record {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::time::{Duration, Instant};

    use super::{Reason, Weight};

    /// What a budget has said of its fill. It says it where it is slow anyway, and when asked to, not at each request.
    #[derive(Default)]
    pub(crate) struct Fill(AtomicU64);

    impl Fill {
        #[expect(clippy::cast_precision_loss, reason = "a gauge holds an f64")]
        pub(crate) fn record(&self, bytes: u64) {
            let said = self.0.swap(bytes, Relaxed);
            if said != bytes {
                metrics::gauge!("buffer_bytes").increment(bytes as f64 - said as f64);
            }
        }
    }

    impl Drop for Fill {
        fn drop(&mut self) {
            self.record(0);
        }
    }

    /// When a wait began.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Since(Instant);

    impl Since {
        pub(crate) fn now() -> Self {
            Self(Instant::now())
        }

        pub(crate) fn waited(self) {
            metrics::histogram!("buffer_wait_seconds").record(self.0.elapsed().as_secs_f64());
        }
    }

    pub(crate) fn delayed(delay: Duration) {
        metrics::histogram!("buffer_delay_seconds").record(delay.as_secs_f64());
    }

    pub(crate) fn waiters(change: i32) {
        metrics::gauge!("buffer_waiters").increment(f64::from(change));
    }

    #[expect(clippy::cast_precision_loss, reason = "a histogram takes an f64")]
    pub(crate) fn batch(weight: Weight, reason: Reason) {
        metrics::histogram!("buffer_batch_rows", "reason" => reason.name()).record(weight.rows as f64);
    }
}

#[cfg(not(feature = "metrics"))]
mod record {
    use super::{Reason, Weight};

    #[derive(Default)]
    pub(crate) struct Fill(());

    impl Fill {
        #[expect(clippy::unused_self, reason = "as with the feature")]
        pub(crate) fn record(&self, _bytes: u64) {}
    }

    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Since;

    impl Since {
        pub(crate) fn now() -> Self {
            Self
        }

        pub(crate) fn waited(self) {}
    }

    pub(crate) fn delayed(_delay: std::time::Duration) {}
    pub(crate) fn waiters(_change: i32) {}
    pub(crate) fn batch(_weight: Weight, _reason: Reason) {}
}

pub(crate) use record::{Fill, Since, batch, delayed, waiters};
