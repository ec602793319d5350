use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Condvar, Mutex, TryLockError, atomic::AtomicU64},
};

use standpipe_log::{LogError, LogId, Storage};

use crate::{
    birth::Pins,
    extent::Extent,
    group::{Lead, Turn, successor},
    lock::lock,
    names::Names,
    pen::Pen,
    queue::{Queue, Rest},
    retention::Holds,
    settings::Settings,
    supply::Supply,
};

/// What the callers, the log's threads and the readers of one log have in common.
///
/// Locks, in the order in which one is taken while another is held: pen, queue. No lock but the pen is held while
/// something is written or synced. In a log that syncs nobody waits for the pen but the log's thread and whoever asks for a
/// sync; in one that does not, whoever waits for a record does.
#[derive(Debug)]
pub(crate) struct Shared<S: Storage> {
    pub(crate) storage: S,
    pub(crate) settings: Settings,
    pub(crate) id: LogId,
    pub(crate) queue: Mutex<Queue>,
    /// How many calls queued something, ever. Written under the queue's lock, read without it.
    pub(crate) arrived: AtomicU64,
    /// Wakes the log's thread.
    pub(crate) work: Condvar,
    /// Whoever holds it writes and syncs, for everyone.
    pub(crate) pen: Mutex<Pen<S::File>>,
    pub(crate) supply: Supply<S::File>,
    pub(crate) extent: Extent,
    /// The durable pins.
    pub(crate) pins: Mutex<Pins>,
    pub(crate) names: Names,
    pub(crate) holds: Holds,
    /// Held by whoever removes segments.
    pub(crate) truncation: Mutex<()>,
}

impl<S: Storage> Shared<S> {
    /// Does something with the pen. A failure, or a panic, poisons the log: everyone who waits hears of it.
    pub(crate) fn with_pen<T>(
        &self,
        pen: &mut Pen<S::File>,
        act: impl FnOnce(&mut Pen<S::File>) -> Result<T, LogError>,
    ) -> Option<T> {
        WRITES.with_borrow_mut(|logs| logs.push(self.address()));
        let acted = catch_unwind(AssertUnwindSafe(|| act(pen)));
        WRITES.with_borrow_mut(Vec::pop);
        let cause = match acted {
            Ok(Ok(out)) => return Some(out),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => format!("writing the log panicked: {}", message(&*panic)),
        };
        pen.poison(self, LogError::Poisoned { cause: cause.into() });
        self.supply.stop();
        self.work.notify_all();
        None
    }

    /// Whether this thread has the pen: a waker that it calls must not wait for anyone who wants it.
    pub(crate) fn is_writing_here(&self) -> bool {
        WRITES.with_borrow(|logs| logs.contains(&self.address()))
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whoever has just written gives the pen on to a thread that waits, when something came meanwhile. The log's own sees to
    /// what was demanded of it.
    pub(crate) fn pass_on(&self) {
        let queue = lock(&self.queue);
        if let Some(group) = successor(queue.pending.iter().map(|pending| &pending.group)) {
            drop(queue);
            group.call();
        }
    }

    /// Has the log's thread look at the queue.
    pub(crate) fn wake(&self, queue: &mut Queue) {
        queue.is_demanded = true;
        if queue.rest != Rest::Awake {
            self.work.notify_all();
        }
    }
}

thread_local! {
    /// The logs that this thread writes to: a waker that one of them calls may wait for another.
    static WRITES: std::cell::RefCell<Vec<usize>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl<S: Storage> Lead for Shared<S> {
    fn lead(&self) -> Turn {
        if self.is_writing_here() {
            return Turn::Inside;
        }
        let mut pen = if self.settings.durability.is_relaxed() {
            lock(&self.pen)
        } else {
            match self.pen.try_lock() {
                Ok(pen) => pen,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return Turn::Others,
            }
        };
        self.with_pen(&mut pen, |pen| pen.round(self));
        drop(pen);
        self.pass_on();
        Turn::Led
    }

    fn demand(&self) {
        self.wake(&mut lock(&self.queue));
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no message",
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use standpipe_testkit::MemStorage;

    use crate::{Settings, Wal, lock::lock};

    #[test]
    fn a_thread_knows_every_log_that_it_writes_to() {
        let open = || Wal::open_in(MemStorage::new(), Settings::default()).unwrap().shared.clone();
        let (outer, inner) = (open(), open());
        let writes = || (outer.is_writing_here(), inner.is_writing_here());
        assert_eq!(writes(), (false, false));
        // As when a waker that the outer log calls waits for the inner one, whose waker asks again.
        outer.with_pen(&mut lock(&outer.pen), |_| {
            inner.with_pen(&mut lock(&inner.pen), |_| {
                assert_eq!(writes(), (true, true));
                Ok(())
            });
            assert_eq!(writes(), (true, false));
            Ok(())
        });
        assert_eq!(writes(), (false, false));
        assert!(std::thread::scope(|scope| scope.spawn(|| !outer.is_writing_here()).join().unwrap()));
    }
}
