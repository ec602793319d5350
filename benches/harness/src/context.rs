use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::Settings;

/// How much is asked of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Scale {
    /// Only to see that it runs and that its result is right: a moment.
    Once,
    /// A short run.
    Quick,
    /// The whole size.
    Full,
}

/// What a workload runs with.
#[derive(Debug)]
pub struct Context {
    /// An empty directory, on the filesystem that is measured; removed afterwards.
    pub scratch: PathBuf,
    /// How much is asked.
    pub scale: Scale,
    /// How long to measure.
    pub span: Duration,
    /// What was set on the command line.
    pub settings: Settings,
}

impl Context {
    /// A new, empty directory within the scratch directory.
    ///
    /// # Errors
    /// It can't be made.
    pub fn dir(&self, name: &str) -> std::io::Result<PathBuf> {
        let dir = self.scratch.join(name);
        std::fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// How long to run before measuring: a fifth of the span.
    #[must_use]
    pub fn warm_up(&self) -> Duration {
        self.span / 5
    }

    /// This many at full scale, a tenth when quick (at least `least`), `least` when once.
    #[must_use]
    pub fn sized(&self, full: u64, least: u64) -> u64 {
        match self.scale {
            Scale::Once => least,
            Scale::Quick => (full / 10).max(least),
            Scale::Full => full.max(least),
        }
    }

    /// Repeats `unit` until the span is over, at least once, and after warming up; returns the sum of what the
    /// measured calls returned and the seconds that they took.
    ///
    /// # Errors
    /// The first of the unit's.
    pub fn repeat(&self, mut unit: impl FnMut() -> crate::Outcome<u64>) -> crate::Outcome<(u64, f64)> {
        let warm = Instant::now();
        loop {
            unit()?;
            if warm.elapsed() >= self.warm_up() {
                break;
            }
        }
        let (mut work, began) = (0, Instant::now());
        loop {
            work += unit()?;
            let took = began.elapsed();
            if took >= self.span {
                return Ok((work, took.as_secs_f64()));
            }
        }
    }
}
