use std::{
    io::{self, IsTerminal},
    ops::ControlFlow,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use standpipe::wal::ReadProgress;

use crate::{
    output::{self, Style},
    size,
};

/// How far a tool has come, on standard error, where that is a terminal. Goes away when dropped.
pub(super) struct Bar(Option<ProgressBar>);

impl Bar {
    pub(super) fn start() -> Self {
        if !io::stderr().is_terminal() {
            return Bar(None);
        }
        let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3}%  {msg}  {elapsed}") {
            bar.set_style(style);
        }
        output::set_style(Style::Above(bar.clone()));
        Bar(Some(bar))
    }

    pub(super) fn show(&self, progress: ReadProgress) -> ControlFlow<()> {
        if let Some(bar) = &self.0 {
            bar.set_length(progress.total_bytes.max(1));
            bar.set_position(progress.done_bytes.min(progress.total_bytes));
            bar.set_message(size::human(progress.done_bytes));
        }
        ControlFlow::Continue(())
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            output::set_style(Style::Lines);
            bar.finish_and_clear();
        }
    }
}
