use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::watch::Watch;
use crate::{
    args::ProgressArg,
    output::{self, Style},
    size,
};

/// Shows on standard error how a load goes, from a thread of its own. Ends when dropped.
pub(crate) struct Progress {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to show. `total_bytes` is the size of all inputs on disk, where it is known.
    pub(crate) fn start(kind: ProgressArg, watch: Arc<Watch>, total_bytes: Option<u64>) -> Self {
        let terminal = io::stderr().is_terminal();
        let kind = match kind {
            ProgressArg::Auto if terminal => ProgressArg::Bar,
            ProgressArg::Auto => ProgressArg::Plain,
            other => other,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = match kind {
            ProgressArg::None => None,
            _ => thread::Builder::new()
                .name("standpipe-progress".into())
                .spawn(move || show(kind, &watch, total_bytes, &stopped))
                .ok(),
        };
        Progress { stop, thread }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn show(kind: ProgressArg, watch: &Watch, total_bytes: Option<u64>, stop: &AtomicBool) {
    let began = Instant::now();
    let bar = (kind == ProgressArg::Bar).then(|| bar(total_bytes));
    if let Some(bar) = &bar {
        output::set_style(Style::Above(bar.clone()));
    }
    let period = Duration::from_millis(match kind {
        ProgressArg::Bar => 100,
        ProgressArg::Json => 1_000,
        _ => 5_000,
    });
    loop {
        thread::park_timeout(period);
        let stopped = stop.load(Ordering::Acquire);
        match &bar {
            Some(bar) => draw(bar, watch),
            None if kind == ProgressArg::Json => write_line(&json(watch, began)),
            None if !stopped => write_line(&plain(watch, began)),
            None => {}
        }
        if stopped {
            break;
        }
    }
    if let Some(bar) = bar {
        output::set_style(Style::Lines);
        bar.finish_and_clear();
    }
}

fn bar(total_bytes: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total_bytes, ProgressDrawTarget::stderr());
    let template = if total_bytes.is_some() {
        "{bar:30} {percent:>3}%  {msg}  {elapsed}"
    } else {
        "{spinner} {msg}  {elapsed}"
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn draw(bar: &ProgressBar, watch: &Watch) {
    let (applied, dead) =
        (watch.applied_rows.load(Ordering::Relaxed), watch.dead_lettered_rows.load(Ordering::Relaxed));
    if let Some(total) = bar.length() {
        bar.set_position(watch.read_bytes.load(Ordering::Relaxed).min(total));
    }
    let mut message = format!("{} rows applied", size::count(applied));
    if dead > 0 {
        message.push_str(&format!(", {} dead-lettered", size::count(dead)));
    }
    if let Some(reason) = &watch.told().stalled {
        message.push_str(&format!(" (waiting: {reason})"));
    }
    bar.set_message(message);
    bar.tick();
}

fn plain(watch: &Watch, began: Instant) -> String {
    let load = |number: &std::sync::atomic::AtomicU64| size::count(number.load(Ordering::Relaxed));
    let stalled =
        watch.told().stalled.as_ref().map_or(String::new(), |reason| format!(" (waiting: {reason})"));
    format!(
        "standpipe: {}s: {} rows read, {} applied, {} dead-lettered{stalled}",
        began.elapsed().as_secs(),
        load(&watch.read_rows),
        load(&watch.applied_rows),
        load(&watch.dead_lettered_rows)
    )
}

fn json(watch: &Watch, began: Instant) -> String {
    let load = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
    serde_json::json!({
        "elapsed_ms": u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        "read_rows": load(&watch.read_rows),
        "read_bytes": load(&watch.read_bytes),
        "acknowledged_rows": load(&watch.acknowledged_rows),
        "applied_rows": load(&watch.applied_rows),
        "dead_lettered_rows": load(&watch.dead_lettered_rows),
        "stalled": watch.told().stalled,
    })
    .to_string()
}

fn write_line(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
