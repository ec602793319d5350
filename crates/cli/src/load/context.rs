use std::{
    future::Future,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use standpipe::{ErrorKind, Sink, SinkError, StreamSpec, TargetUrl, log::Log};
use tokio::runtime::Runtime;

use super::{SharedTarget, interrupt::Interrupt, plan::Plan, watch::Watch};
use crate::{
    args::LoadArgs,
    exit::{Exit, Failure},
    output, size,
};

/// How long a load that was interrupted goes on applying what it has read.
const DRAIN: Duration = Duration::from_secs(30);
/// The pause before a call is tried again that may succeed later.
const PAUSE: Duration = Duration::from_millis(100);

/// What every step of a load works with.
pub(crate) struct Context<'a> {
    pub(crate) args: &'a LoadArgs,
    pub(crate) url: &'a TargetUrl,
    pub(crate) target: &'a SharedTarget,
    pub(crate) runtime: &'a Runtime,
    pub(crate) watch: &'a Arc<Watch>,
    pub(crate) interrupt: &'a Interrupt,
}

impl Context<'_> {
    pub(crate) fn spec(&self, plan: &Plan) -> StreamSpec {
        StreamSpec {
            id: plan.stream.clone(),
            destination: plan.destination.clone(),
            schema: plan.schema.clone(),
            lanes: self.args.lanes,
        }
    }

    /// Rows applied so far, by every input.
    pub(crate) fn applied_rows(&self) -> u64 {
        self.watch.applied_rows.load(Relaxed)
    }

    /// Tries a call until it succeeds, fails for good, or `--retry-for` has passed: a database that is locked now may be
    /// free in a moment.
    pub(crate) fn patiently<T>(&self, mut call: impl FnMut() -> Result<T, SinkError>) -> Result<T, Failure> {
        patiently(self.args.retry_for, self.interrupt, || Ok(call()))
    }

    /// Waits for the sink, giving up when the load is interrupted while the target does not take anything.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = Result<T, SinkError>>) -> Result<T, Failure> {
        self.runtime.block_on(async {
            tokio::select! {
                done = work => done.map_err(Failure::from),
                () = self.given_up() => Err(Failure::new(
                    Exit::Interrupted,
                    "interrupted, and the database did not take the rest in time; run the same command again to go on",
                )),
            }
        })
    }

    /// Ends when the load was interrupted, and the time to drain has passed.
    async fn given_up(&self) {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while !self.interrupt.asked() {
            ticks.tick().await;
        }
        tokio::time::sleep(DRAIN).await;
    }

    /// Applies what the sink has taken, and closes it.
    pub(crate) fn close<L: Log>(&self, sink: Sink<L>) -> Result<(), Failure> {
        let closed = self.runtime.block_on(sink.close(DRAIN))?;
        if closed.left_in_log > 0 {
            output::complain(format!(
                "{} acknowledged records are in the log and not applied yet; the next run applies them",
                size::count(closed.left_in_log)
            ));
        }
        Ok(())
    }
}

/// [`Context::patiently`], where there is no context yet. A call that fails for other reasons fails at once.
pub(crate) fn patiently<T>(
    retry_for: Duration,
    interrupt: &Interrupt,
    mut call: impl FnMut() -> Result<Result<T, SinkError>, Failure>,
) -> Result<T, Failure> {
    let began = Instant::now();
    loop {
        match call()? {
            Err(error) if error.kind() == ErrorKind::Retry => {
                if interrupt.asked() {
                    return Err(Failure::new(
                        Exit::Interrupted,
                        format!("interrupted while waiting: {error}"),
                    ));
                }
                if began.elapsed() >= retry_for {
                    return Err(error.into());
                }
                tracing::warn!(%error, "trying again");
                std::thread::sleep(PAUSE.min(retry_for));
            }
            done => return done.map_err(Failure::from),
        }
    }
}
