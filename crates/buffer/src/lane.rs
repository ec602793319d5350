use crate::budget::Panicked;
use crate::planted::{self, Plant};
use crate::queue::{Chain, Entry, Queue, Spares};
use crate::sync::{Arc, AtomicBool, AtomicI64, AtomicPtr, AtomicU64, Line, Ordering};
use crate::{Budget, Policy, Weight};

/// One key's items, and what producers tell the scheduler about them.
pub(crate) struct Lane<K, T> {
    /// What each push writes.
    hot: Line<Hot<T>>,
    pub(crate) key: K,
    /// The scheduler's number for it, 0 before it has one.
    pub(crate) id: AtomicU64,
    /// Whether it is in the inbox, and what is behind it there.
    pub(crate) is_posted: AtomicBool,
    pub(crate) behind: AtomicPtr<Lane<K, T>>,
    /// Gets the bytes of what is dropped with the lane.
    budget: Option<Budget>,
}

struct Hot<T> {
    /// Four for each row that waits, plus [`STUCK`](Lane::STUCK). Counted after the items are published, so it may be
    /// below nought for a moment, when the reader was faster.
    load: AtomicI64,
    /// Bytes that wait, likewise.
    bytes: AtomicI64,
    /// When the item came that found the lane empty, as [`Entry::at`]; for items that nobody timed.
    began: AtomicU64,
    queue: Queue<T>,
}

/// What came of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// The scheduler need not know.
    Quietly,
    /// The lane was empty, or is full now, or its reader waited for this item: the scheduler is to look at it.
    Tell,
}

impl<K, T> Lane<K, T> {
    /// The reader met a slot that was given out and not filled.
    const STUCK: i64 = 1;
    const ROW: i64 = 4;

    pub(crate) fn new(key: K, spares: &Arc<Spares<T>>, budget: Option<Budget>) -> Arc<Self> {
        Arc::new(Self {
            hot: Line(Hot {
                load: AtomicI64::new(0),
                bytes: AtomicI64::new(0),
                began: AtomicU64::new(0),
                queue: Queue::new(Arc::clone(spares)),
            }),
            key,
            id: AtomicU64::new(0),
            is_posted: AtomicBool::new(false),
            behind: AtomicPtr::new(std::ptr::null_mut()),
            budget,
        })
    }

    /// Appends an item. `clock` is asked where it found the lane empty, and for some of those that have no time.
    #[inline]
    pub(crate) fn push(
        &self,
        entry: Entry<T>,
        policy: &Policy,
        clock: impl Fn() -> u64,
    ) -> Result<Pushed, T> {
        let weight = entry.weight;
        if planted::is(Plant::CountsFirst) {
            let pushed = self.count(weight, policy, &clock);
            return self.hot.0.queue.push(entry, &clock).map(|()| pushed).map_err(|entry| entry.item);
        }
        self.hot.0.queue.push(entry, &clock).map_err(|entry| entry.item)?;
        Ok(self.count(weight, policy, clock))
    }

    /// Appends many in one step.
    pub(crate) fn push_chain(
        &self,
        chain: Chain<T>,
        weight: Weight,
        at: u64,
        policy: &Policy,
    ) -> Result<Pushed, Chain<T>> {
        self.hot.0.queue.push_chain(chain)?;
        Ok(self.count(weight, policy, || at))
    }

    #[inline]
    fn count(&self, weight: Weight, policy: &Policy, clock: impl FnOnce() -> u64) -> Pushed {
        let (rows, bytes) = (signed(weight.rows), signed(weight.bytes));
        let bytes_before = self.hot.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        // The last step, and AcqRel: whoever reads this word after it sees the item.
        let before = self.hot.0.load.fetch_add(rows.saturating_mul(Self::ROW), Ordering::AcqRel);
        let rows_before = before >> 2;
        if rows_before <= 0 {
            self.hot.0.began.store(clock(), Ordering::Release);
            return Pushed::Tell;
        }
        if before & Self::STUCK != 0 {
            self.hot.0.load.fetch_and(!Self::STUCK, Ordering::AcqRel);
            return Pushed::Tell;
        }
        let crosses = |before: i64, added: i64, limit: u64| {
            let limit = signed(limit);
            before < limit && before.saturating_add(added) >= limit
        };
        if crosses(rows_before, rows, policy.rows_max) || crosses(bytes_before, bytes, policy.bytes_max) {
            return Pushed::Tell;
        }
        Pushed::Quietly
    }

    pub(crate) fn queue(&self) -> &Queue<T> {
        &self.hot.0.queue
    }

    /// Says that the reader waits for a slot that was given out: the next push tells the scheduler.
    pub(crate) fn mark_stuck(&self) {
        if planted::is(Plant::ForgetsStuck) {
            return;
        }
        self.hot.0.load.fetch_or(Self::STUCK, Ordering::AcqRel);
    }

    /// What waits, as far as it is counted.
    pub(crate) fn waiting(&self) -> Weight {
        let rows = self.hot.0.load.load(Ordering::Acquire) >> 2;
        let bytes = self.hot.0.bytes.load(Ordering::Acquire);
        Weight { rows: unsigned(rows), bytes: unsigned(bytes) }
    }

    /// A batch of it was taken out.
    pub(crate) fn took(&self, weight: Weight) {
        self.hot.0.load.fetch_sub(signed(weight.rows).saturating_mul(Self::ROW), Ordering::AcqRel);
        self.hot.0.bytes.fetch_sub(signed(weight.bytes), Ordering::AcqRel);
    }

    /// A batch of it came back.
    pub(crate) fn restored(&self, weight: Weight) {
        self.hot.0.load.fetch_add(signed(weight.rows).saturating_mul(Self::ROW), Ordering::AcqRel);
        self.hot.0.bytes.fetch_add(signed(weight.bytes), Ordering::AcqRel);
    }

    /// When the lane's first item came that was not timed itself; 0 if nobody knows.
    pub(crate) fn began(&self) -> u64 {
        self.hot.0.began.load(Ordering::Acquire)
    }

    /// The bytes of items that are gone.
    pub(crate) fn release(&self, bytes: u64) {
        if let Some(budget) = &self.budget
            && bytes > 0
        {
            budget.release(bytes);
            // Once for a batch: an item does not pay for it.
            budget.record();
        }
    }
}

impl<K, T> Drop for Lane<K, T> {
    fn drop(&mut self) {
        let waiting = self.waiting();
        let mut panicked = Panicked::default();
        self.hot.0.queue.clear(|item| panicked.catch(|| drop(item)));
        // After the items: until then their bytes are in use.
        if !planted::is(Plant::ReleasesWhenTaken) {
            panicked.catch(|| self.release(waiting.bytes));
        }
        panicked.go_on();
    }
}

/// Weights above this are taken as this; no memory holds as many bytes.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX / 4)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
