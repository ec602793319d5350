use std::{
    sync::{Arc, atomic::AtomicBool},
    thread,
};

use standpipe_core::{Guarantee, Target};
use standpipe_log::Log;
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};

use crate::{
    Events, NoLog, Settings, Sink, SinkError, acknowledge, dispatch::Dispatcher, events::Unobserved, meter,
    recover::Memory, retention, running::Running, shared::Shared, sink::Logged, worker,
};

/// Puts a sink together. See [`Sink::builder`].
pub struct SinkBuilder<L: Log = NoLog> {
    target: Option<Arc<dyn Target>>,
    log: Option<L>,
    events: Arc<dyn Events>,
    settings: Settings,
    at_least_once: bool,
}

impl SinkBuilder<NoLog> {
    pub(crate) fn new() -> Self {
        SinkBuilder {
            target: None,
            log: None,
            events: Arc::new(Unobserved),
            settings: Settings::default(),
            at_least_once: false,
        }
    }
}

impl<L: Log> SinkBuilder<L> {
    /// Where the rows go.
    #[must_use]
    pub fn target(mut self, target: impl Target) -> Self {
        self.target = Some(Arc::new(target));
        self
    }

    /// Where the rows go, shared with the caller.
    #[must_use]
    pub fn shared_target(mut self, target: Arc<dyn Target>) -> Self {
        self.target = Some(target);
        self
    }

    /// The log that makes rows durable before they reach the target; needed for [`Sink::write`]. The sink closes it.
    #[must_use]
    pub fn log<M: Log>(self, log: M) -> SinkBuilder<M> {
        let SinkBuilder { target, log: _, events, settings, at_least_once } = self;
        SinkBuilder { target, log: Some(log), events, settings, at_least_once }
    }

    /// Who is told what the sink does.
    #[must_use]
    pub fn events(mut self, events: Arc<dyn Events>) -> Self {
        self.events = events;
        self
    }

    /// How it behaves.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Takes a target that cannot keep rows and positions in one transaction: after a crash rows may be written again.
    /// Without this such a target is refused, so that nobody relies on a promise that is not kept.
    #[must_use]
    pub fn at_least_once(mut self) -> Self {
        self.at_least_once = true;
        self
    }

    /// Opens the sink in the current tokio runtime: claims every stream that the log knows, and begins to apply
    /// what the log holds and the target does not have.
    ///
    /// # Errors
    /// [`SinkError::Invalid`] without a target, or for one that promises less than was asked for; the refusals of a
    /// claim ([`standpipe_core::Error::WrongSource`], `Gap`, `Ahead`, `Lanes`); what the log says.
    ///
    /// # Cancel safety
    /// Dropping the future leaves claims behind, which fence nobody but former owners.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn open(self) -> Result<Sink<L>, SinkError> {
        let target = self.target.ok_or_else(|| SinkError::Invalid("a sink needs a target".into()))?;
        check_guarantee(&target.guarantee(), self.at_least_once)?;
        check_settings(&self.settings)?;
        let shared = Arc::new(Shared::new(self.settings, target, meter::metered(self.events)));
        let mut running = Running::default();
        let logged = match self.log {
            Some(log) => Some(open_log(log, &shared, &mut running).await?),
            None => None,
        };
        for _ in 0..shared.settings.workers {
            running.watch(&shared, "a flush worker", worker::run(shared.clone()));
        }
        Ok(Sink::assemble(shared, logged, running))
    }
}

async fn open_log<L: Log>(
    log: L,
    shared: &Arc<Shared>,
    running: &mut Running,
) -> Result<Logged<L>, SinkError> {
    let log = Arc::new(log);
    let memory = Memory::read(&*log)?;
    for (number, pin) in &memory.streams {
        let stream = memory.claim(shared, &*log, *number, pin, Some(pin.lanes)).await?;
        shared.add_stream(Arc::new(stream));
    }
    let from = retention::release_at_open(shared, &*log);
    let dispatched = Arc::new(watch::Sender::new(from.number()));
    let stop = Arc::new(AtomicBool::new(false));
    let dispatcher = Dispatcher {
        reader: log.follow(from)?,
        log: log.clone(),
        shared: shared.clone(),
        schemas: memory.schemas.clone(),
        dispatched: dispatched.clone(),
        stop: stop.clone(),
        runtime: Handle::current(),
    };
    let thread = thread::Builder::new()
        .name("standpipe-dispatch".into())
        .spawn(move || dispatcher.run())
        .map_err(|error| SinkError::Invalid(format!("cannot start the dispatcher's thread: {error}")))?;
    running.dispatcher = Some((thread, stop));
    let (pending, waiting) = mpsc::unbounded_channel();
    running.acknowledge(shared, acknowledge::run(waiting, shared.clone()));
    let relief = retention::Relief::default();
    let keeper = retention::run(Arc::downgrade(&log), shared.clone(), dispatched.clone(), relief.clone());
    running.watch(shared, "truncation", keeper);
    Ok(Logged::new(log, pending, dispatched, memory, relief))
}

fn check_guarantee(guarantee: &Guarantee, at_least_once: bool) -> Result<(), SinkError> {
    if *guarantee == Guarantee::Transactional || at_least_once {
        return Ok(());
    }
    Err(SinkError::Invalid(format!(
        "this target keeps {guarantee:?} only; call `at_least_once()` on the builder to take it as it is"
    )))
}

fn check_settings(settings: &Settings) -> Result<(), SinkError> {
    const MEMORY_BYTES_MIN: u64 = 64 << 10;
    if settings.memory_bytes < MEMORY_BYTES_MIN {
        return Err(SinkError::Invalid(format!("a sink needs at least {MEMORY_BYTES_MIN} bytes of memory")));
    }
    if settings.workers == 0 || settings.batch_rows_max == 0 || settings.lanes_per_commit == 0 {
        return Err(SinkError::Invalid("workers, batch rows and lanes per commit are at least 1".into()));
    }
    Ok(())
}
