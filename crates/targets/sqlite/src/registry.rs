//! Every open connection of one handle, so that `close` can end them all and wait until they are.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
};

use crate::{
    link::Message,
    reply::{Answer, Reply, reply},
};

#[derive(Default)]
pub(crate) struct Registry {
    closed: AtomicBool,
    links: Mutex<Links>,
}

#[derive(Default)]
struct Links {
    next: u64,
    open: HashMap<u64, Sender<Message>>,
    waiting: Vec<Answer<()>>,
}

/// A connection's entry; dropped when the connection is closed.
pub(crate) struct Entry {
    registry: Arc<Registry>,
    number: u64,
}

impl Registry {
    /// Enters a connection, or refuses because all are being ended.
    pub(crate) fn enter(self: &Arc<Self>, jobs: &Sender<Message>) -> Option<Entry> {
        let mut links = self.links();
        if self.is_closed() {
            return None;
        }
        let number = links.next;
        links.next += 1;
        links.open.insert(number, jobs.clone());
        Some(Entry { registry: Arc::clone(self), number })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ends every connection after the job that it is at, and refuses new ones. The reply comes when all are closed.
    pub(crate) fn close(&self) -> Reply<()> {
        let (answer, closed) = reply();
        let mut links = self.links();
        self.closed.store(true, Ordering::Release);
        for jobs in links.open.values() {
            // One that has ended by itself is about to take its entry out.
            let _ = jobs.send(Message::End);
        }
        if !links.open.is_empty() {
            links.waiting.push(answer);
        }
        closed
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut links = self.registry.links();
        links.open.remove(&self.number);
        let waiting = if links.open.is_empty() { std::mem::take(&mut links.waiting) } else { Vec::new() };
        drop(links);
        drop(waiting);
    }
}
