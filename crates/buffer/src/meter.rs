//! What the `metrics` feature records; without it these are empty. All are counted up and down rather than set,
//! so that two threads that record out of order still leave the right value.

use crate::{Reason, Weight};

#[cfg(feature = "metrics")]
mod record {
    use super::{Reason, Weight};

    #[expect(clippy::cast_precision_loss, reason = "a gauge holds an f64")]
    pub(crate) fn bytes_taken(bytes: u64) {
        metrics::gauge!("buffer_bytes").increment(bytes as f64);
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge holds an f64")]
    pub(crate) fn bytes_released(bytes: u64) {
        metrics::gauge!("buffer_bytes").decrement(bytes as f64);
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

    pub(crate) fn bytes_taken(_bytes: u64) {}
    pub(crate) fn bytes_released(_bytes: u64) {}
    pub(crate) fn waiters(_change: i32) {}
    pub(crate) fn batch(_weight: Weight, _reason: Reason) {}
}

pub(crate) use record::{batch, bytes_released, bytes_taken, waiters};
