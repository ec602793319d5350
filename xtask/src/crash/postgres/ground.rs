use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    client::{Load, Running},
    proxy::{At, Proxy},
    table::{End, KEY, Tables},
    tally::{Difference, Tally},
};
use crate::{
    crash::{Dice, source::Source},
    services::Postgres,
};

/// What all loads have around them: a server, a source, and how long a load takes that nobody disturbs.
pub(super) struct Ground {
    pub(super) server: Postgres,
    pub(super) tables: Tables,
    pub(super) whole: Whole,
    pub(super) is_stdin_only: bool,
    binary: PathBuf,
    input: PathBuf,
    input_bytes: u64,
    source: Arc<Source>,
    scratch: PathBuf,
}

/// An undisturbed load.
#[derive(Clone, Copy, Default)]
pub(super) struct Whole {
    pub(super) copied_bytes: u64,
    pub(super) commits: u64,
    pub(super) took: Duration,
}

/// When something is to happen to a run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// Once so many bytes of rows went through the proxy.
    Bytes(u64),
    /// At this `COMMIT` from now on, where the proxy holds it.
    Commit(u64, At),
    /// Once it has run for so long.
    Time(Duration),
}

impl Ground {
    pub(super) fn new(server: Postgres, binary: &Path, input: &Path, scratch: &Path) -> Result<Self, String> {
        let source = Arc::new(Source::read(input)?);
        let failed = |error| format!("{}: {error}", input.display());
        let input_bytes = std::fs::metadata(input).map_err(failed)?.len();
        let tables = Tables::new(&server, input)?;
        if tables.rows() != source.records.len() as u64 {
            return Err("the reference has not the rows of its source".into());
        }
        let mut ground = Ground {
            server,
            tables,
            whole: Whole::default(),
            is_stdin_only: false,
            binary: binary.to_owned(),
            input: input.to_owned(),
            input_bytes,
            source,
            scratch: scratch.to_owned(),
        };
        ground.whole = ground.undisturbed()?;
        Ok(ground)
    }

    /// A load into a new table. Half of them come from standard input, through a log; some of the others have lanes.
    pub(super) fn load(
        &self,
        name: &str,
        number: u32,
        is_stdin: bool,
        dice: &mut Dice,
    ) -> Result<Load, String> {
        let table = format!("{name}_{number}");
        self.tables.create(&table)?;
        let is_stdin = is_stdin || self.is_stdin_only;
        let has_lanes = !is_stdin && dice.below(3) == 0;
        Ok(Load {
            binary: self.binary.clone(),
            input: self.input.clone(),
            source: Arc::clone(&self.source),
            log: is_stdin.then(|| self.scratch.join(&table)),
            lanes: has_lanes.then(|| (2 + dice.below(3) as u32, KEY.to_owned())),
            table,
            more: Vec::new(),
            password: self.server.password().to_owned(),
            user: "standpipe".to_owned(),
        })
    }

    /// Compares a load that is complete with its source, and removes it.
    pub(super) fn judge(&self, load: &Load) -> Result<Difference, String> {
        let lanes = load.lanes.as_ref();
        let difference = self.tables.compare(&load.table, lanes.map(|(_, key)| key.as_str()))?;
        if difference.is_none() {
            let end = if load.log.is_some() { End::Stdin } else { End::File(self.input_bytes) };
            self.tables.check_ledger(&load.table, lanes.map_or(1, |(count, _)| *count), end)?;
            self.tables.forget(&load.table)?;
        }
        if let Some(log) = &load.log {
            let _ = std::fs::remove_dir_all(log);
        }
        Ok(difference)
    }

    pub(super) fn proxy(&self) -> Result<Proxy, String> {
        Proxy::start(self.server.port())
    }

    /// Starts a run, through the proxy where there is one.
    pub(super) fn start(&self, load: &Load, proxy: Option<&Proxy>) -> Result<Running, String> {
        load.start(proxy.map_or(self.server.port(), Proxy::port))
    }

    /// A moment within `share` of a load, while rows are on their way.
    pub(super) fn moment(&self, dice: &mut Dice, share: f64, is_seen: bool) -> Moment {
        let within = share * dice.share();
        if !is_seen {
            // A run connects and claims first.
            return Moment::Time(Duration::from_millis(20) + self.whole.took.mul_f64(within));
        }
        if dice.below(5) < 2 {
            let at = [At::Before, At::Under, At::Behind][dice.below(3) as usize];
            return Moment::Commit(1 + (within * self.whole.commits as f64) as u64, at);
        }
        Moment::Bytes((within * self.whole.copied_bytes as f64) as u64)
    }

    fn undisturbed(&self) -> Result<Whole, String> {
        let load = self.load("undisturbed", 0, false, &mut Dice(0))?;
        let proxy = self.proxy()?;
        self.start(&load, Some(&proxy))?.complete()?;
        let mut whole =
            Whole { copied_bytes: proxy.copied_bytes(), commits: proxy.commits(), took: Duration::ZERO };
        drop(proxy);
        let mut difference = self.judge(&load)?;
        let load = Load { lanes: None, ..self.load("undisturbed", 1, false, &mut Dice(1))? };
        let mut run = self.start(&load, None)?;
        run.complete()?;
        whole.took = run.runs_for();
        difference.add(&self.judge(&load)?);
        if difference.is_none() {
            Ok(whole)
        } else {
            Err(format!("an undisturbed load is not the source: {difference}"))
        }
    }
}

/// Waits until the moment has come; `false` when the run has ended before.
pub(super) fn await_moment(run: &mut Running, proxy: Option<&Proxy>, moment: Moment) -> Result<bool, String> {
    let began = run.runs_for();
    match (moment, proxy) {
        (Moment::Bytes(bytes), Some(proxy)) => {
            let from = proxy.copied_bytes();
            run.until(|_| proxy.copied_bytes() - from >= bytes)
        }
        (Moment::Commit(ahead, at), Some(proxy)) => {
            proxy.set_trap(ahead, at);
            run.until(|_| proxy.is_sprung())
        }
        (Moment::Time(after), _) => run.until(|run| run.runs_for() - began >= after),
        (_, None) => Err("a moment that only a proxy sees".to_owned()),
    }
}

/// A kind of thing that happens to loads.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Names tables.
    pub(super) short: &'static str,
    /// Does it to one load, some times but at most so often, and lets the load complete.
    pub(super) disturb: fn(&mut Ground, &Load, &mut Dice, u32, &mut Tally) -> Result<(), String>,
    /// Whether a log must, may or must not be before the target.
    pub(super) log: Logged,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Logged {
    Always,
    Sometimes,
    Never,
}
