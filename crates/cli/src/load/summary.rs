use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use super::watch::Watch;
use crate::{exit::Exit, output, size};

/// What a load came to.
pub(crate) struct Summary {
    began: Instant,
    dry_run: bool,
    lines: Vec<String>,
    /// Rows that a dry run found fault with, and the first reasons.
    pub(crate) would_reject: u64,
    pub(crate) would_reasons: Vec<String>,
}

impl Summary {
    pub(crate) fn start(dry_run: bool) -> Self {
        Summary { began: Instant::now(), dry_run, lines: Vec::new(), would_reject: 0, would_reasons: Vec::new() }
    }

    /// A line about one input.
    pub(crate) fn tell(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Prints it to standard output.
    pub(crate) fn print(&self, watch: &Watch) {
        self.lines.iter().for_each(output::say);
        let took = self.began.elapsed();
        let read = watch.read_rows.load(Relaxed);
        if self.dry_run {
            output::say(format!(
                "dry run: {} rows read, {} could not be loaded; nothing was written",
                size::count(read),
                size::count(self.would_reject)
            ));
            self.would_reasons.iter().for_each(|reason| output::say(format!("  {reason}")));
            return;
        }
        output::say(format!(
            "{} rows read, {} applied, {} dead-lettered, {} batches in {:.2} s ({} rows/s, {}/s)",
            size::count(read),
            size::count(watch.applied_rows.load(Relaxed)),
            size::count(watch.dead_lettered_rows.load(Relaxed)),
            size::count(watch.batches.load(Relaxed)),
            took.as_secs_f64(),
            size::count((watch.applied_rows.load(Relaxed) as f64 / took.as_secs_f64()) as u64),
            size::human((watch.read_bytes.load(Relaxed) as f64 / took.as_secs_f64()) as u64),
        ));
        let told = watch.told();
        let mut latencies = Vec::new();
        for (name, latency) in [("acknowledge", &told.acknowledge_us), ("apply", &told.apply_us)] {
            if let (Some(p50), Some(p99)) = (latency.quantile(0.5), latency.quantile(0.99)) {
                latencies.push(format!("{name} p50 {}, p99 {}", short(p50), short(p99)));
            }
        }
        if !latencies.is_empty() {
            output::say(latencies.join("; "));
        }
        told.reasons.values().for_each(|reason| output::say(format!("  {reason}")));
    }

    /// The exit code that it comes to.
    pub(crate) fn exit(&self, watch: &Watch, interrupted: bool) -> Exit {
        if interrupted {
            Exit::Interrupted
        } else if watch.dead_lettered_rows.load(Relaxed) + self.would_reject > 0 {
            Exit::DeadLettered
        } else {
            Exit::Applied
        }
    }
}

fn short(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}
