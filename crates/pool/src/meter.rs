//! What the `metrics` feature records; without it these are empty and cost nothing, not even a look at the clock.

#[cfg(feature = "metrics")]
mod facade {
    use crate::Status;

    pub(crate) fn waited(nanos: impl FnOnce() -> u64) {
        metrics::histogram!("pool_wait_duration_seconds").record(nanos() as f64 / 1e9);
    }

    pub(crate) fn timed_out() {
        metrics::counter!("pool_timeouts_total").increment(1);
    }

    pub(crate) fn dialled(is_made: bool) {
        metrics::counter!("pool_dials_total", "outcome" => if is_made { "made" } else { "failed" })
            .increment(1);
    }

    pub(crate) fn retired() {
        metrics::counter!("pool_connections_retired_total").increment(1);
    }

    /// As often as whoever runs the pool looks after it.
    pub(crate) fn looked(status: &Status) {
        metrics::gauge!("pool_connections").set(status.size as f64);
        metrics::gauge!("pool_connections_idle").set(status.idle as f64);
        metrics::gauge!("pool_connections_in_use").set(status.in_use as f64);
        metrics::gauge!("pool_waiters").set(status.waiting as f64);
        metrics::gauge!("pool_utilization").set(status.utilization());
        metrics::gauge!("pool_oldest_wait_seconds").set(status.oldest_wait.as_secs_f64());
        metrics::gauge!("pool_oldest_connection_seconds").set(status.oldest_connection.as_secs_f64());
        metrics::gauge!("pool_oldest_idle_seconds").set(status.oldest_idle.as_secs_f64());
    }
}

#[cfg(not(feature = "metrics"))]
mod facade {
    use crate::Status;

    #[inline]
    pub(crate) fn waited(_: impl FnOnce() -> u64) {}
    pub(crate) fn timed_out() {}
    pub(crate) fn dialled(_: bool) {}
    pub(crate) fn retired() {}
    pub(crate) fn looked(_: &Status) {}
}

pub(crate) use facade::{dialled, looked, retired, timed_out, waited};
