use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use standpipe_log::{Entry, Log, LogError, LogId, Lsn, Reader, Record, Ticket};

/// One way in which a log can wrong its callers that shows only between several of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogPlant {
    /// Of all who wait when the log fails, only the first hears of it (known failure L1).
    ForgetsWaiters,
    /// An append waits for the disk while it holds the lock that every append takes (known failure L8).
    WaitsUnderLock,
    /// A reader holds back truncation for as long as it lives (known failure L9).
    ReaderHolds,
}

/// A log with one [`LogPlant`] in it, to show that a test finds it.
///
/// Threads that wait on a ticket of [`LogPlant::ForgetsWaiters`] may sleep for ever: wait on them with a limit.
#[derive(Debug)]
pub struct PlantedLog<L> {
    log: L,
    plant: LogPlant,
    turn: Mutex<()>,
    heard: Arc<AtomicBool>,
    places: Arc<Mutex<BTreeMap<u64, Lsn>>>,
    next_place: AtomicU64,
}

impl<L: Log> PlantedLog<L> {
    /// `log`, wrong in one way.
    pub fn new(log: L, plant: LogPlant) -> Self {
        PlantedLog {
            log,
            plant,
            turn: Mutex::default(),
            heard: Arc::default(),
            places: Arc::default(),
            next_place: AtomicU64::new(0),
        }
    }

    fn appended(
        &self,
        append: impl FnOnce(&L) -> Result<L::Ticket, LogError>,
    ) -> Result<PlantedTicket<L::Ticket>, LogError> {
        let _turn = locked(&self.turn);
        let ticket = append(&self.log)?;
        let (lsn, mut outcome, mut waiting) = (ticket.lsn(), None, None);
        if self.plant == LogPlant::WaitsUnderLock {
            outcome = Some(ticket.wait());
        } else {
            waiting = Some(ticket);
        }
        let heard = (self.plant == LogPlant::ForgetsWaiters).then(|| self.heard.clone());
        Ok(PlantedTicket { lsn, outcome, waiting, heard })
    }
}

impl<L: Log> Log for PlantedLog<L> {
    type Ticket = PlantedTicket<L::Ticket>;
    type Reader = PlantedReader<L::Reader>;

    fn identity(&self) -> LogId {
        self.log.identity()
    }

    fn append(&self, record: Record<'_>) -> Result<Self::Ticket, LogError> {
        self.appended(|log| log.append(record))
    }

    fn append_batch(&self, records: &[Record<'_>]) -> Result<Self::Ticket, LogError> {
        self.appended(|log| log.append_batch(records))
    }

    fn pin(&self, key: &[u8], value: &[u8]) -> Result<Self::Ticket, LogError> {
        self.appended(|log| log.pin(key, value))
    }

    fn pinned(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.log.pinned()
    }

    fn start(&self) -> Lsn {
        self.log.start()
    }

    fn end(&self) -> Lsn {
        self.log.end()
    }

    fn durable_end(&self) -> Lsn {
        self.log.durable_end()
    }

    fn follow(&self, from: Lsn) -> Result<Self::Reader, LogError> {
        let reader = self.log.follow(from)?;
        let id = self.next_place.fetch_add(1, Ordering::Relaxed);
        locked(&self.places).insert(id, from);
        Ok(PlantedReader { reader, id, places: self.places.clone() })
    }

    fn truncate_before(&self, lsn: Lsn) -> Result<(), LogError> {
        let lowest = locked(&self.places).values().min().copied();
        match lowest.filter(|_| self.plant == LogPlant::ReaderHolds) {
            Some(held) => self.log.truncate_before(lsn.min(held)),
            None => self.log.truncate_before(lsn),
        }
    }

    fn advance_to(&self, lsn: Lsn) -> Result<(), LogError> {
        self.log.advance_to(lsn)
    }

    fn size_bytes(&self) -> u64 {
        self.log.size_bytes()
    }

    fn close(&self) -> Result<(), LogError> {
        self.log.close()
    }
}

/// A ticket of a [`PlantedLog`].
#[derive(Debug)]
pub struct PlantedTicket<T> {
    lsn: Lsn,
    outcome: Option<Result<Lsn, LogError>>,
    waiting: Option<T>,
    /// Whether someone was told of the failure already.
    heard: Option<Arc<AtomicBool>>,
}

impl<T> PlantedTicket<T> {
    fn is_forgotten(&self, outcome: &Result<Lsn, LogError>) -> bool {
        let first = |heard: &Arc<AtomicBool>| heard.swap(true, Ordering::AcqRel);
        outcome.is_err() && self.heard.as_ref().is_some_and(first)
    }
}

impl<T: Ticket> Future for PlantedTicket<T> {
    type Output = Result<Lsn, LogError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = &self.outcome {
            return Poll::Ready(outcome.clone());
        }
        let Some(waiting) = &mut self.waiting else { return Poll::Pending };
        match Pin::new(waiting).poll(context) {
            Poll::Ready(outcome) if self.is_forgotten(&outcome) => {
                self.waiting = None;
                Poll::Pending
            }
            other => other,
        }
    }
}

impl<T: Ticket> Ticket for PlantedTicket<T> {
    fn lsn(&self) -> Lsn {
        self.lsn
    }

    fn wait(mut self) -> Result<Lsn, LogError> {
        if let Some(outcome) = self.outcome.take() {
            return outcome;
        }
        let outcome = self.waiting.take().map_or(Err(LogError::Closed), Ticket::wait);
        while self.is_forgotten(&outcome) {
            thread::park();
        }
        outcome
    }
}

/// A reader of a [`PlantedLog`].
#[derive(Debug)]
pub struct PlantedReader<R> {
    reader: R,
    id: u64,
    places: Arc<Mutex<BTreeMap<u64, Lsn>>>,
}

impl<R: Reader> Reader for PlantedReader<R> {
    fn next(&mut self, patience: Duration) -> Result<Option<Entry<'_>>, LogError> {
        let found = self.reader.next(patience)?;
        if let Some(entry) = &found {
            locked(&self.places).insert(self.id, entry.lsn.next());
        }
        Ok(found)
    }

    fn position(&self) -> Lsn {
        self.reader.position()
    }
}

impl<R> Drop for PlantedReader<R> {
    fn drop(&mut self) {
        locked(&self.places).remove(&self.id);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
