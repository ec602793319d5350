use std::{
    thread,
    time::{Duration, Instant},
};

/// How late a sleep may end and still count as work without a pause.
const LATE: Duration = Duration::from_millis(1);

/// A target of a stated rate: a batch is written when its time has passed, and no earlier.
pub(super) struct Drain {
    rows_per_s: f64,
    free_at: Instant,
}

impl Drain {
    pub(super) fn new(rows_per_s: f64) -> Self {
        Drain { rows_per_s, free_at: Instant::now() }
    }

    /// Returns when so many rows are written.
    pub(super) fn write(&mut self, rows: u64) {
        let now = Instant::now();
        // Who was called late by a sleep did not rest meanwhile; who had nothing to write did.
        let begins = if now > self.free_at + LATE { now } else { self.free_at };
        self.free_at = begins + Duration::from_secs_f64(rows as f64 / self.rows_per_s);
        thread::sleep(self.free_at.saturating_duration_since(now));
    }
}
