//! Where a command is: a bar on a terminal, elsewhere a line now and then.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Goes to standard error. Gone from the terminal when it is dropped.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    done: u64,
    total: u64,
    /// What the last line said, and when.
    line: String,
    began: Instant,
}

impl Progress {
    /// Of so many steps.
    pub(crate) fn of(total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            let style = "{bar:24} {pos}/{len}  {elapsed} of about {duration}  {msg}";
            // The default style is as good, should this one be refused.
            bar.set_style(
                ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Progress { bar, done: 0, total, line: String::new(), began: Instant::now() }
    }

    /// So many steps more than was known.
    pub(crate) fn more(&mut self, steps: u64) {
        self.total += steps;
        if let Some(bar) = &self.bar {
            bar.set_length(self.total);
        }
    }

    /// What begins now: `part` is a stretch of steps (`round 2 of 3, log`), `what` one of them. Where there is no
    /// terminal, each new part is a line.
    pub(crate) fn at(&mut self, part: &str, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(format!("{part}: {what}")),
            None if self.line != part => {
                part.clone_into(&mut self.line);
                let (done, total, seconds) = (self.done, self.total, self.began.elapsed().as_secs());
                eprintln!("[{seconds:>4} s, {done}/{total}] {part}");
            }
            None => {}
        }
    }

    /// A step is done.
    pub(crate) fn step(&mut self) {
        self.done += 1;
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
        }
    }

    /// A line that stays.
    pub(crate) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
