//! A connection as the async side sees it: a queue of jobs to the thread on which it lives.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use standpipe_core::Error;

use crate::{
    dial::Place,
    registry::{Entry, Registry},
    reply::{Reply, reply},
    worker::Worker,
};

pub(crate) enum Message {
    Job(Box<dyn FnOnce(&mut Worker) + Send>),
    End,
}

/// One connection. Jobs run one after the other in the order in which they were sent, whether or not anybody waits
/// for them. Dropping it closes the connection behind the jobs that were sent; what is open then is rolled back.
pub(crate) struct Link {
    jobs: Sender<Message>,
    broken: Arc<AtomicBool>,
    registry: Arc<Registry>,
}

impl Link {
    /// Starts a thread and opens the database on it.
    pub(crate) async fn open(place: &Arc<Place>, registry: &Arc<Registry>) -> Result<Link, Error> {
        let (jobs, queue) = channel();
        let entry = registry.enter(&jobs).ok_or_else(closed)?;
        let broken = Arc::new(AtomicBool::new(false));
        let link = Link { jobs, broken: Arc::clone(&broken), registry: Arc::clone(registry) };
        let (answer, opened) = reply();
        let place = Arc::clone(place);
        thread::Builder::new()
            .name("standpipe-sqlite".to_owned())
            .spawn(move || match Worker::open(place, Arc::clone(&broken)) {
                Ok(worker) => {
                    answer.send(Ok(()));
                    serve(worker, &queue, entry, &broken);
                }
                Err(error) => answer.send(Err(error)),
            })
            .map_err(|error| {
                Error::retry("no thread could be started for a connection").with_source(error)
            })?;
        opened.await.unwrap_or_else(|| Err(link.gone()))?;
        Ok(link)
    }

    /// Sends a job, at once, and waits for what it returns. `None`: the connection ended before the job was done.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Worker) -> T + Send + 'static,
    ) -> Reply<T> {
        let (answer, reply) = reply();
        self.send(move |worker| answer.send(job(worker)));
        reply
    }

    /// As [`ask`](Self::ask), for jobs that fail when the connection ends.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Worker) -> Result<T, Error> + Send + 'static,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        let reply = self.ask(job);
        async move { reply.await.unwrap_or_else(|| Err(self.gone())) }
    }

    /// Sends a job that nobody waits for.
    pub(crate) fn send(&self, job: impl FnOnce(&mut Worker) + Send + 'static) {
        // A thread that has ended has closed its connection: there is nothing left to do a job on.
        let _ = self.jobs.send(Message::Job(Box::new(job)));
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// The error of a job that was not answered. The connection is not lent again.
    pub(crate) fn gone(&self) -> Error {
        self.broken.store(true, Ordering::Release);
        if self.registry.is_closed() {
            return closed();
        }
        Error::retry("the connection's thread ended before it answered; what was open is rolled back")
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = self.jobs.send(Message::End);
    }
}

pub(crate) fn closed() -> Error {
    Error::closed("the database was closed")
}

fn serve(mut worker: Worker, queue: &Receiver<Message>, entry: Entry, broken: &AtomicBool) {
    while let Ok(Message::Job(job)) = queue.recv() {
        // What a panic leaves half done is an open transaction at most; it goes with the connection.
        if catch_unwind(AssertUnwindSafe(|| job(&mut worker))).is_err() {
            break;
        }
    }
    broken.store(true, Ordering::Release);
    drop(worker);
    // Only now: whoever waits for the last entry finds the file closed.
    drop(entry);
}
