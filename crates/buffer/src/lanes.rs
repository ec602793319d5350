use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use crate::shared::{Shared, at};
use crate::{Budget, Clock, JoinLimit, Policy, Pressure, Producer, PushError, Taken, Taker, Weigh, Weight};

/// Items in order, one lane for each key, cut into batches as a [`Policy`] says.
///
/// A lane is due by rows, by bytes, by the age of its oldest item, by [pressure](Self::pressure), by a
/// [flush](Self::flush), or because the lanes are [closed](Self::close). Due lanes take turns, so a busy lane does not starve the others.
/// A lane whose batch is out is nobody else's until the batch is settled, so the order within a key holds
/// through failures. A lane that is empty and has nothing out is forgotten.
///
/// The buffer never gives memory back: a [`Permit`](crate::Permit) travels inside the item and ends when the taker drops the
/// item after its commit. Nor does it limit what is pushed; the budget does that, so each item should carry a permit.
///
/// Everything is in memory and ends with the process. A clone is another handle to the same lanes. A push finds its lane in a
/// sharded map and appends to it without a lock; a take is behind one short mutex, twice a batch, and costs a few tree
/// operations in the number of lanes. `K`'s `Hash`, `Eq`, `Clone` and `Drop` and the function of the shares run under locks and
/// must neither panic nor call back; wakers and `T`'s code run outside of them.
///
/// ```
/// use std::time::Instant;
/// use standpipe_buffer::{Lanes, Policy, Reason, Weigh, Weight};
///
/// struct Line(&'static str);
///
/// impl Weigh for Line {
///     fn weight(&self) -> Weight {
///         Weight { rows: 1, bytes: self.0.len() as u64 }
///     }
/// }
///
/// let lanes = Lanes::new(Policy { rows_max: 2, ..Policy::default() });
/// let now = Instant::now();
/// lanes.push("table", Line("a"), now)?;
/// assert!(lanes.try_take(now).is_none());
/// lanes.push("table", Line("b"), now)?;
/// let batch = lanes.try_take(now).expect("two rows are a batch");
/// assert_eq!((batch.items().len(), batch.reason()), (2, Reason::Rows));
/// batch.complete();
/// # Ok::<(), standpipe_buffer::PushError<Line>>(())
/// ```
pub struct Lanes<K: Clone + Eq + Hash, T> {
    shared: Arc<Shared<K, T>>,
}

impl<K: Clone + Eq + Hash, T> Lanes<K, T> {
    /// No lanes yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self::with_shares(policy, |_| 1)
    }

    /// No lanes yet; where several are due, a lane gets its turn for `share_of(key)` whole batches where one with 1
    /// gets it for one. 0 is taken as 1. Asked once, when the lane is first looked at; it must not call back.
    #[must_use]
    pub fn with_shares(policy: Policy, share_of: impl Fn(&K) -> u32 + Send + Sync + 'static) -> Self {
        Self { shared: Arc::new(Shared::new(policy, None, Box::new(share_of))) }
    }

    pub(crate) fn with_budget(
        policy: Policy,
        budget: Budget,
        share_of: impl Fn(&K) -> u32 + Send + Sync + 'static,
    ) -> Self {
        Self { shared: Arc::new(Shared::new(policy, Some(budget), Box::new(share_of))) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<K, T>> {
        &self.shared
    }

    /// Appends `item` to the lane of `key`. Never waits: waiting is for the budget, before.
    ///
    /// `now` starts the item's age. Within a lane it should not go back: the lane is as old as the item in front.
    ///
    /// # Errors
    /// Hands the item back when the lanes are closed.
    pub fn push(&self, key: K, item: T, now: Instant) -> Result<(), PushError<T>>
    where
        T: Weigh,
    {
        let weight = item.weight();
        self.shared.push(key, item, weight, at(now)).map_err(|item| PushError { item })
    }

    /// A handle that pushes to the lane of `key` without looking it up. The lane is not forgotten while it lives.
    ///
    /// # Errors
    /// When the lanes are closed.
    pub fn producer(&self, key: K) -> Result<Producer<K, T>, PushError<K>> {
        Producer::new(&self.shared, key)
    }

    /// A taker, to poll or to take many batches with.
    #[must_use]
    pub fn taker(&self) -> Taker<K, T> {
        Taker::new(Arc::clone(&self.shared))
    }

    /// Waits for the next due lane's batch; see [`Taker::take`].
    ///
    /// # Cancel safety
    /// Dropping the future at any point loses nothing.
    pub async fn take<C: Clock>(&self, clock: &C) -> Option<Taken<K, T>> {
        self.taker().take(clock).await
    }

    /// Blocks the calling thread for the next due lane's batch; see [`Taker::take_blocking`].
    pub fn take_blocking(&self) -> Option<Taken<K, T>> {
        self.taker().take_blocking()
    }

    /// The next due lane's batch as of `now`, if there is one. Never waits.
    #[must_use]
    pub fn try_take(&self, now: Instant) -> Option<Taken<K, T>> {
        self.shared.take(now)
    }

    /// Batches of further lanes, due or not, to join a commit that is made anyway. Never waits.
    ///
    /// Due lanes come first, in their turn, then those whose oldest item is oldest. Never more than `limit` in all: it ends
    /// before the first lane whose first item does not fit.
    #[must_use]
    pub fn take_more(&self, now: Instant, limit: JoinLimit) -> Vec<Taken<K, T>> {
        self.shared.take_more(now, limit)
    }

    /// Makes due at once what the lane of `key` now holds, a batch that is out and comes back included. Later items are not affected.
    pub fn flush(&self, key: &K) {
        self.shared.flush(key);
    }

    /// Makes due at once what all the lanes now hold, as [`flush`](Self::flush) does.
    pub fn flush_all(&self) {
        self.shared.flush_all();
    }

    /// Says that somebody waits for memory, for as long as the returned value lives.
    ///
    /// Until then lanes that are not due are taken too, the largest first, whatever their size and age, for as long as
    /// the batches that are out weigh less than what waits. (What is out comes free by itself; taking the rest at
    /// once would only make small batches.) A state and not a ping: a taker that is busy now finds it at its next take.
    ///
    /// ```
    /// # use standpipe_buffer::{Budget, BudgetError, Lanes, Permit};
    /// async fn room<T>(budget: &Budget, lanes: &Lanes<u32, T>, bytes: u64) -> Result<Permit, BudgetError> {
    ///     if let Some(permit) = budget.try_acquire(bytes) {
    ///         return Ok(permit);
    ///     }
    ///     let _pressure = lanes.pressure();
    ///     budget.acquire(bytes).await
    /// }
    /// ```
    pub fn pressure(&self) -> Pressure<K, T> {
        Pressure::new(Arc::clone(&self.shared))
    }

    /// Drops what waits in the lane of `key`, so that a lane which failed for good does not stop the others.
    ///
    /// While a batch of it is out, what waits behind it is dropped when the batch is settled, and the batch does not come
    /// back. Later pushes are not affected: a caller that must not let them in must refuse them before.
    pub fn discard(&self, key: &K) {
        self.shared.discard(key);
    }

    /// Refuses later items and makes everything left due at once. Takers get the rest, and `None` when it is settled.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// When the next lane becomes due by the age of its oldest item, if nothing else happens first.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.shared.read(|schedule| schedule.deadline())
    }

    /// Whether nothing waits. Batches may be out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.waiting().rows == 0
    }

    /// Rows that wait, without those that are out. Goes over all lanes, as [`bytes`](Self::bytes) and [`is_empty`](Self::is_empty) do.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.shared.waiting().rows
    }

    /// Bytes that wait, without those that are out.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.waiting().bytes
    }

    /// What takers have out.
    #[must_use]
    pub fn out(&self) -> Weight {
        self.shared.read(|schedule| schedule.out)
    }

    /// Lanes that have items or a batch out.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.shared.read(|schedule| schedule.active())
    }

    /// The policy they were made with.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.shared.policy
    }
}

impl<K: Clone + Eq + Hash, T> Clone for Lanes<K, T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K: Clone + Eq + Hash, T> fmt::Debug for Lanes<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes")
            .field("lanes", &self.lanes())
            .field("rows", &self.rows())
            .field("bytes", &self.bytes())
            .field("out", &self.out())
            .finish_non_exhaustive()
    }
}
