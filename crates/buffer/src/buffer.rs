use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use crate::budget::Relief;
use crate::shared::{Shared, Time, at};
use crate::{
    Budget, BufferError, Clock, Feed, JoinLimit, Lanes, Permit, Policy, Pressure, Taken, Taker, Weigh, Weight,
};

/// [`Lanes`] whose items' bytes are taken from a [`Budget`] before they are in, and given back when their batch is
/// done: a whole batch's in one step, after the commit.
///
/// Above the budget's soft limit pushes are held back a little, and lanes are taken whatever their age and size, the
/// largest first, so that memory comes free before anybody has to stop. At the hard limit pushes wait in line.
///
/// A clone is another handle to the same buffer.
///
/// ```
/// use standpipe_buffer::{Budget, Buffer, Policy, Weigh, Weight};
///
/// struct Line(&'static str);
/// impl Weigh for Line {
///     fn weight(&self) -> Weight {
///         Weight { rows: 1, bytes: self.0.len() as u64 }
///     }
/// }
///
/// let buffer = Buffer::new(Policy { rows_max: 2, ..Policy::default() }, Budget::new(1 << 20));
/// buffer.push_blocking("table", Line("a"))?;
/// buffer.push_blocking("table", Line("b"))?;
/// let batch = buffer.take_blocking().expect("two rows are a batch");
/// assert_eq!((batch.len(), buffer.budget().in_use()), (2, 2));
/// batch.complete(); // after the commit
/// assert_eq!(buffer.budget().in_use(), 0);
/// # Ok::<(), standpipe_buffer::BufferError<Line>>(())
/// ```
pub struct Buffer<K: Clone + Eq + Hash, T> {
    pub(crate) lanes: Lanes<K, T>,
    budget: Budget,
}

impl<K, T> Buffer<K, T>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    T: Weigh + Send + 'static,
{
    /// An empty buffer. Several may share one budget; [closing](Self::close) one then closes the budget for all.
    #[must_use]
    pub fn new(policy: Policy, budget: Budget) -> Self {
        Self::with_shares(policy, budget, |_| 1)
    }

    /// An empty buffer whose lanes take turns by [shares](Lanes::with_shares).
    #[must_use]
    pub fn with_shares(
        policy: Policy,
        budget: Budget,
        share_of: impl Fn(&K) -> u32 + Send + Sync + 'static,
    ) -> Self {
        let lanes = Lanes::with_budget(policy, budget.clone(), share_of);
        let relief: Arc<dyn Relief> = Arc::clone(lanes.shared()) as _;
        budget.listen(Arc::downgrade(&relief));
        Self { lanes, budget }
    }
}

impl<K: Clone + Eq + Hash, T: Weigh> Buffer<K, T> {
    /// Waits for room by the budget's rules ([`Budget::admit`]) and appends `item` to the lane of `key`.
    ///
    /// # Errors
    /// [`BufferError`], with the item: it is larger than the whole budget, or the buffer is closed.
    ///
    /// # Cancel safety
    /// Dropping the future before it has resolved drops the item, and leaves the budget as it was. To keep the item
    /// through a cancellation, take a permit of [`budget`](Self::budget) first and then [`push_with`](Self::push_with).
    pub async fn push<C: Clock>(&self, key: K, item: T, clock: &C) -> Result<(), BufferError<T>> {
        let weight = item.weight();
        if let Err(error) = self.budget.take_admitted(weight.bytes, clock).await {
            return Err(BufferError::refused(error, item));
        }
        self.enter(key, item, weight, || clock.now())
    }

    /// As [`push`](Self::push), but blocks the calling thread. Not to be called from an async task.
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    pub fn push_blocking(&self, key: K, item: T) -> Result<(), BufferError<T>> {
        let weight = item.weight();
        if let Err(error) = self.budget.take_admitted_blocking(weight.bytes) {
            return Err(BufferError::refused(error, item));
        }
        self.enter(key, item, weight, Instant::now)
    }

    /// Appends `item` if there is room now and nobody waits for it. Never blocks, and is never held back by the slope.
    ///
    /// # Errors
    /// [`BufferError`], with the item.
    pub fn try_push(&self, key: K, item: T) -> Result<(), BufferError<T>> {
        let weight = item.weight();
        let bytes = weight.bytes;
        match self.budget.take(bytes) {
            Ok(true) => self.enter(key, item, weight, Instant::now),
            Ok(false) => Err(BufferError::Full(item)),
            Err(error) => Err(BufferError::refused(error, item)),
        }
    }

    /// Appends an item that came at `now` and for which room was taken before. Never waits. The permit becomes the item's: what it holds more than the
    /// item weighs is given back, and one that holds less is refused.
    ///
    /// # Errors
    /// [`BufferError::Closed`], and [`BufferError::Unpermitted`] when the permit is of another budget or too small.
    /// The permit's bytes are given back.
    pub fn push_with(&self, key: K, item: T, mut permit: Permit, now: Instant) -> Result<(), BufferError<T>> {
        let weight = item.weight();
        let bytes = weight.bytes;
        match permit.split(bytes) {
            Some(own) if own.is_of(&self.budget) => {
                let pushed = self.lanes.shared().push(key, item, weight, at(now));
                // From here on the lane answers for the bytes, unless it refused the item.
                pushed.map(|()| _ = own.dissolve()).map_err(BufferError::Closed)
            }
            _ => Err(BufferError::Unpermitted(item)),
        }
    }

    /// A handle that pushes to the lane of `key` without looking it up each time.
    ///
    /// # Errors
    /// When the buffer is closed.
    pub fn feed(&self, key: K) -> Result<Feed<K, T>, BufferError<K>> {
        let producer = self.lanes.producer(key).map_err(|error| BufferError::Closed(error.item))?;
        Ok(Feed::new(producer, self.budget.clone()))
    }

    /// The item's bytes are taken.
    fn enter(
        &self,
        key: K,
        item: T,
        weight: Weight,
        clock: impl Fn() -> Instant,
    ) -> Result<(), BufferError<T>> {
        self.lanes.shared().push(key, item, weight, Time::By(clock)).map_err(|item| {
            self.budget.release(weight.bytes);
            BufferError::Closed(item)
        })
    }
}

impl<K: Clone + Eq + Hash, T> Buffer<K, T> {
    /// The memory that the items take.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// A taker, to poll or to take many batches with.
    #[must_use]
    pub fn taker(&self) -> Taker<K, T> {
        self.lanes.taker()
    }

    /// Blocks the calling thread for the next due batch; see [`Taker::take_blocking`].
    pub fn take_blocking(&self) -> Option<Taken<K, T>> {
        self.lanes.take_blocking()
    }

    /// The next due batch as of `now`, if there is one. Never waits.
    #[must_use]
    pub fn try_take(&self, now: Instant) -> Option<Taken<K, T>> {
        self.lanes.try_take(now)
    }

    /// Waits for the next due batch; see [`Taker::take`].
    ///
    /// # Cancel safety
    /// Dropping the future at any point loses nothing.
    pub async fn take<C: Clock>(&self, clock: &C) -> Option<Taken<K, T>> {
        self.lanes.take(clock).await
    }

    /// Batches of further lanes to join a commit; see [`Lanes::take_more`].
    #[must_use]
    pub fn take_more(&self, now: Instant, limit: JoinLimit) -> Vec<Taken<K, T>> {
        self.lanes.take_more(now, limit)
    }

    /// Makes due at once what the lane of `key` now holds; see [`Lanes::flush`].
    pub fn flush(&self, key: &K) {
        self.lanes.flush(key);
    }

    /// Makes due at once what all the lanes now hold.
    pub fn flush_all(&self) {
        self.lanes.flush_all();
    }

    /// Drops what the lane of `key` holds; see [`Lanes::discard`].
    pub fn discard(&self, key: &K) {
        self.lanes.discard(key);
    }

    /// Says that somebody waits for something that commits will free, for as long as the returned value lives; see
    /// [`Lanes::pressure`]. The budget's own pressure needs no such word.
    pub fn pressure(&self) -> Pressure<K, T> {
        self.lanes.pressure()
    }

    /// When the next lane becomes due by itself, if nothing else happens first.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.lanes.deadline()
    }

    /// What waits, without what takers have out. Goes over all lanes.
    #[must_use]
    pub fn waiting(&self) -> Weight {
        self.lanes.shared().waiting()
    }

    /// What takers have out.
    #[must_use]
    pub fn out(&self) -> Weight {
        self.lanes.out()
    }

    /// Lanes that have items or a batch out.
    #[must_use]
    pub fn active_lanes(&self) -> usize {
        self.lanes.lanes()
    }

    /// Refuses whoever waits and whoever comes; what is in can still be taken.
    ///
    /// The budget is closed with it, so that buffers that share it take nothing in any more either; they are not closed, and
    /// each needs its own call for its takers to come to an end.
    pub fn close(&self) {
        self.budget.close();
        self.lanes.close();
    }
}

impl<K: Clone + Eq + Hash + Send + Sync, T: Send> Relief for Shared<K, T> {
    fn relieve(&self) {
        self.change(|_| ());
    }
}

impl<K: Clone + Eq + Hash, T> Clone for Buffer<K, T> {
    fn clone(&self) -> Self {
        Self { lanes: self.lanes.clone(), budget: self.budget.clone() }
    }
}

impl<K: Clone + Eq + Hash, T> fmt::Debug for Buffer<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("lanes", &self.lanes).field("budget", &self.budget).finish()
    }
}
