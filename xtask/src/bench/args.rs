//! What the commands that measure have in common.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use standpipe_harness::Scale;

use super::{home, sampler::Sampler, scratch::Scratch};

/// Which workloads, and how long.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Measuring {
    /// The quick set, short samples (the default)
    #[arg(long, conflicts_with_all = ["full", "once"])]
    pub(crate) quick: bool,
    /// Every workload, long samples, more rounds
    #[arg(long, conflicts_with = "once")]
    pub(crate) full: bool,
    /// Each workload once and small: only to see that it runs and that its result is right
    #[arg(long)]
    pub(crate) once: bool,
    /// Only this group, or this workload; may be given again
    #[arg(long, value_name = "GROUP|WORKLOAD")]
    pub(crate) group: Vec<String>,
    /// A setting of any crate for this run; may be given again, and of one key the last counts. `run --list --settings` names them
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Where the workloads write: what is measured is this filesystem
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// How long a sample measures, for instance 500ms
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub(crate) span: Option<Duration>,
}

impl Measuring {
    /// How much is asked.
    pub(crate) fn scale(&self) -> Scale {
        match (self.once, self.full) {
            (true, _) => Scale::Once,
            (_, true) => Scale::Full,
            _ => Scale::Quick,
        }
    }

    /// A place for files, gone when it is dropped, and a sampler that uses it.
    pub(crate) fn sampler(&self) -> Result<(Scratch, Sampler), String> {
        let place = self.dir.clone().unwrap_or_else(|| home().join("scratch"));
        let scratch = Scratch::in_place(&place)?;
        let path = scratch.path().to_owned();
        let scratch_path = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
        let span = self.span.unwrap_or(match self.scale() {
            Scale::Once => Duration::from_millis(50),
            Scale::Quick => Duration::from_millis(500),
            // With five rounds all of them take less than half an hour on two cores.
            Scale::Full => Duration::from_millis(1500),
        });
        let sampler = Sampler { scratch: scratch_path, scale: self.scale(), span, set: self.set.clone() };
        Ok((scratch, sampler))
    }
}

fn span(text: &str) -> Result<Duration, String> {
    standpipe_harness::parse_duration(text)
        .filter(|span| {
            !span.is_zero() && *span <= Duration::from_secs(7200) && span.subsec_nanos() % 1_000_000 == 0
        })
        .ok_or_else(|| "write 500ms or 2s: whole milliseconds, at most two hours".to_owned())
}
