use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use tokio::task::AbortHandle;

use crate::{SinkError, panicked::panic_text, shared::Shared};

/// The threads and tasks of a sink. They end with it.
#[derive(Default)]
pub(crate) struct Running {
    pub(crate) dispatcher: Option<(JoinHandle<()>, Arc<AtomicBool>)>,
    /// Told to stop wherever they are: a commit that is cut off is in doubt, and the next claim waits for its end.
    tasks: Vec<Watched>,
    /// Ends by itself once the log has settled every ticket.
    acknowledger: Option<Watched>,
}

struct Watched {
    abort: AbortHandle,
    /// Ends when the task has.
    watcher: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Starts a task; if it panics the sink stops with what it said.
    pub(crate) fn watch(
        &mut self,
        shared: &Arc<Shared>,
        what: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.tasks.push(watched(shared, what, task));
    }

    pub(crate) fn acknowledge(
        &mut self,
        shared: &Arc<Shared>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.acknowledger = Some(watched(shared, "the acknowledger", task));
    }

    /// Tells everything to end, and waits for nothing. The acknowledger ends when the log is closed.
    pub(crate) fn abort(&self) {
        if let Some((_, stop)) = &self.dispatcher {
            stop.store(true, Ordering::Release);
        }
        for task in &self.tasks {
            task.abort.abort();
        }
    }

    /// Ends the tasks that apply rows. What they had in hand goes back into the lanes.
    pub(crate) async fn stop_tasks(&mut self) {
        for task in &self.tasks {
            task.abort.abort();
        }
        for task in self.tasks.drain(..) {
            let _ = task.watcher.await;
        }
    }

    /// Tells the dispatcher to stop and hands out its thread, to be joined where blocking is allowed.
    pub(crate) fn stop_dispatcher(&mut self) -> Option<JoinHandle<()>> {
        let (thread, stop) = self.dispatcher.take()?;
        stop.store(true, Ordering::Release);
        Some(thread)
    }

    /// Waits until every writer was told. Call it when the log is closed and nothing more can be told.
    pub(crate) async fn stop_acknowledger(&mut self) {
        if let Some(task) = self.acknowledger.take() {
            let _ = task.watcher.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.abort();
    }
}

fn watched(
    shared: &Arc<Shared>,
    what: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) -> Watched {
    let (shared, task) = (shared.clone(), tokio::spawn(task));
    let abort = task.abort_handle();
    let watcher = tokio::spawn(async move {
        if let Err(error) = task.await
            && let Ok(panic) = error.try_into_panic()
        {
            shared.fail(SinkError::Panicked { what, message: panic_text(&*panic) });
        }
    });
    Watched { abort, watcher }
}
