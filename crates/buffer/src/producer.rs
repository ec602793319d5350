use std::fmt;
use std::hash::Hash;
use std::sync::Arc as Handle;
use std::time::Instant;

use crate::lane::Lane;
use crate::queue::{Chain, Entry};
use crate::shared::{Shared, Time, at, counted};
use crate::sync::Arc;
use crate::{PushError, Weigh, Weight};

/// Pushes to one lane, without looking it up. A clone is another handle to the same lane.
///
/// Order is kept for each producer: what one thread pushed first is taken first, whichever handle it used.
pub struct Producer<K: Clone + Eq + Hash, T> {
    shared: Handle<Shared<K, T>>,
    lane: Arc<Lane<K, T>>,
}

impl<K: Clone + Eq + Hash, T> Producer<K, T> {
    pub(crate) fn new(shared: &Handle<Shared<K, T>>, key: K) -> Result<Self, PushError<K>> {
        match shared.lane(key.clone()) {
            Some(lane) => Ok(Self { shared: Handle::clone(shared), lane }),
            None => Err(PushError { item: key }),
        }
    }

    /// The lane's key.
    #[must_use]
    pub fn key(&self) -> &K {
        &self.lane.key
    }

    /// Appends an item; as [`Lanes::push`](crate::Lanes::push). Lock-free, but where it wakes a taker that sleeps.
    ///
    /// # Errors
    /// Hands the item back when the lanes are closed.
    #[inline]
    pub fn push(&self, item: T, now: Instant) -> Result<(), PushError<T>>
    where
        T: Weigh,
    {
        let weight = item.weight();
        self.push_weighed(item, weight, at(now)).map_err(|item| PushError { item })
    }

    #[inline]
    pub(crate) fn push_weighed(
        &self,
        item: T,
        weight: Weight,
        time: Time<impl Fn() -> Instant>,
    ) -> Result<(), T> {
        let is_asleep = self.shared.push_to(&self.lane, item, weight, time)?;
        self.shared.wake_if(is_asleep);
        Ok(())
    }

    /// Appends all of `items`, in order and next to each other: a taker sees them all or none of them. They leave the
    /// vector, which keeps its room for the next ones.
    ///
    /// # Errors
    /// When the lanes are closed; the items stay where they are.
    ///
    /// # Panics
    /// When an item's `weight` panics; what is left in `items` is not specified then, and nothing was pushed.
    pub fn push_batch(&self, items: &mut Vec<T>, now: Instant) -> Result<(), PushError<()>>
    where
        T: Weigh,
    {
        if items.is_empty() {
            return Ok(());
        }
        let run = self.run_of(items, now);
        self.push_run(run).map_err(|mut refused| {
            refused.chain.drain(|entry| items.push(entry.item));
            PushError { item: () }
        })
    }

    /// Moves the items to where they will wait, unknown to the taker as yet.
    pub(crate) fn run_of(&self, items: &mut Vec<T>, now: Instant) -> Run<T>
    where
        T: Weigh,
    {
        let came = self.shared.time_word(now);
        let mut chain = Chain::new(items.len(), &self.shared.spares);
        let (mut weight, mut left) = (Weight::ZERO, items.len());
        for item in items.drain(..) {
            let each = counted(item.weight());
            weight = weight.add(each);
            chain.push(Entry { weight: each, at: came, item }, left);
            left -= 1;
        }
        Run { chain, weight, came }
    }

    pub(crate) fn push_run(&self, run: Run<T>) -> Result<(), Run<T>> {
        let Run { chain, weight, came } = run;
        match self.shared.push_chain_to(&self.lane, chain, weight, came) {
            Ok(is_asleep) => {
                self.shared.wake_if(is_asleep);
                Ok(())
            }
            Err(chain) => Err(Run { chain, weight, came }),
        }
    }
}

/// Items that are pushed in one step.
pub(crate) struct Run<T> {
    pub(crate) chain: Chain<T>,
    pub(crate) weight: Weight,
    came: u64,
}

impl<K: Clone + Eq + Hash, T> Clone for Producer<K, T> {
    fn clone(&self) -> Self {
        Self { shared: Handle::clone(&self.shared), lane: Arc::clone(&self.lane) }
    }
}

impl<K: Clone + Eq + Hash + fmt::Debug, T> fmt::Debug for Producer<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("key", self.key()).finish_non_exhaustive()
    }
}
