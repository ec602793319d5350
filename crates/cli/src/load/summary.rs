use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use standpipe::TargetUrl;

use super::watch::{REASONS_SHOWN, Watch};
use crate::{
    args::{DEAD_LETTER_TABLE, LoadArgs},
    exit::Exit,
    output, size,
};

/// What a load came to.
pub(crate) struct Summary {
    began: Instant,
    dry_run: bool,
    /// The command that shows dead letters.
    dead_letters: String,
    lines: Vec<String>,
    /// Rows that a dry run found fault with, and the first reasons.
    pub(crate) would_reject: u64,
    pub(crate) would_reasons: Vec<String>,
}

impl Summary {
    pub(crate) fn start(args: &LoadArgs, url: &TargetUrl) -> Self {
        Summary {
            began: Instant::now(),
            dry_run: args.dry_run,
            dead_letters: dead_letters_command(args, url),
            lines: Vec::new(),
            would_reject: 0,
            would_reasons: Vec::new(),
        }
    }

    /// A line about one input.
    pub(crate) fn tell(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Prints it to standard output.
    pub(crate) fn print(&self, watch: &Watch, remarks: &[String]) {
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
            "{} rows read, {} applied, {} dead-lettered, {} {} in {:.2} s ({} rows/s, {}/s)",
            size::count(read),
            size::count(watch.applied_rows.load(Relaxed)),
            size::count(watch.dead_lettered_rows.load(Relaxed)),
            size::count(watch.batches.load(Relaxed)),
            if watch.batches.load(Relaxed) == 1 { "batch" } else { "batches" },
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
        remarks.iter().for_each(output::say);
        let dead = watch.dead_lettered_rows.load(Relaxed);
        if told.reasons.is_empty() {
            return;
        }
        let first = if dead > REASONS_SHOWN as u64 { "the first of the " } else { "" };
        output::say(format!("{first}rows that could not be applied:"));
        told.reasons.values().for_each(|reason| output::say(format!("  {reason}")));
        if dead > 0 {
            output::say(format!("{} shows them all, with the rows", self.dead_letters));
        }
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

fn dead_letters_command(args: &LoadArgs, url: &TargetUrl) -> String {
    match args.dead_letter.strip_prefix("table:") {
        Some(DEAD_LETTER_TABLE) => format!("standpipe dead-letters --json '{url}'"),
        Some(table) => format!("standpipe dead-letters --json '{url}' --table '{table}'"),
        None => format!("standpipe dead-letters --json '{}'", args.dead_letter),
    }
}

fn short(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}
