use std::fmt;
use std::hash::Hash;
use std::time::Instant;

use crate::producer::Run;
use crate::shared::Time;
use crate::{Budget, BufferError, Clock, Producer, Weigh, Weight};

/// Pushes to one lane of a [`Buffer`](crate::Buffer), without looking it up. A clone is another handle to the same lane.
///
/// The lane is not forgotten while one lives.
pub struct Feed<K: Clone + Eq + Hash, T> {
    producer: Producer<K, T>,
    budget: Budget,
}

impl<K: Clone + Eq + Hash, T: Weigh> Feed<K, T> {
    pub(crate) fn new(producer: Producer<K, T>, budget: Budget) -> Self {
        Self { producer, budget }
    }

    /// The lane's key.
    #[must_use]
    pub fn key(&self) -> &K {
        self.producer.key()
    }

    /// As [`Buffer::push`](crate::Buffer::push).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As there.
    #[inline]
    pub async fn push<C: Clock>(&self, item: T, clock: &C) -> Result<(), BufferError<T>> {
        let weight = item.weight();
        if let Err(error) = self.budget.take_admitted(weight.bytes, clock).await {
            return Err(BufferError::refused(error, item));
        }
        self.enter(item, weight, || clock.now())
    }

    /// As [`Buffer::push_blocking`](crate::Buffer::push_blocking).
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn push_blocking(&self, item: T) -> Result<(), BufferError<T>> {
        let weight = item.weight();
        if let Err(error) = self.budget.take_admitted_blocking(weight.bytes) {
            return Err(BufferError::refused(error, item));
        }
        self.enter(item, weight, Instant::now)
    }

    /// As [`Buffer::try_push`](crate::Buffer::try_push).
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn try_push(&self, item: T) -> Result<(), BufferError<T>> {
        let weight = item.weight();
        match self.budget.take(weight.bytes) {
            Ok(true) => self.enter(item, weight, Instant::now),
            Ok(false) => Err(BufferError::Full(item)),
            Err(error) => Err(BufferError::refused(error, item)),
        }
    }

    /// Waits for room for all of `items` together and appends them, in order and next to each other: a taker sees them
    /// all or none of them. They leave the vector, which keeps its capacity for the next ones.
    ///
    /// # Errors
    /// [`BufferError`]: together they are larger than the whole budget, or the buffer is closed. The items are back
    /// in the vector.
    ///
    /// # Cancel safety
    /// Dropping the future before it has resolved puts the items back into the vector and leaves the budget as it was.
    pub async fn push_batch<C: Clock>(&self, items: &mut Vec<T>, clock: &C) -> Result<(), BufferError<()>> {
        let Some(laid) = self.lay(items, clock.now()) else { return Ok(()) };
        if let Err(error) = self.budget.take_admitted(laid.bytes(), clock).await {
            return Err(BufferError::refused(error, ()));
        }
        self.publish(laid)
    }

    /// As [`push_batch`](Self::push_batch), but blocks the calling thread.
    ///
    /// # Errors
    /// As for [`push_batch`](Self::push_batch).
    pub fn push_batch_blocking(&self, items: &mut Vec<T>) -> Result<(), BufferError<()>> {
        let Some(laid) = self.lay(items, Instant::now()) else { return Ok(()) };
        if let Err(error) = self.budget.take_admitted_blocking(laid.bytes()) {
            return Err(BufferError::refused(error, ()));
        }
        self.publish(laid)
    }

    #[inline]
    fn enter(&self, item: T, weight: Weight, clock: impl Fn() -> Instant) -> Result<(), BufferError<T>> {
        self.producer.push_weighed(item, weight, Time::By(clock)).map_err(|item| {
            self.budget.release(weight.bytes);
            BufferError::Closed(item)
        })
    }

    /// Moves the items to where they will wait, before there is room for them.
    fn lay<'v>(&self, items: &'v mut Vec<T>, now: Instant) -> Option<Laid<'v, T>> {
        if items.is_empty() {
            return None;
        }
        let run = self.producer.run_of(items, now);
        Some(Laid { run: Some(run), items })
    }

    fn publish(&self, mut laid: Laid<'_, T>) -> Result<(), BufferError<()>> {
        let Some(run) = laid.run.take() else { return Ok(()) };
        let bytes = run.weight.bytes;
        self.producer.push_run(run).map_err(|refused| {
            self.budget.release(bytes);
            laid.run = Some(refused);
            BufferError::Closed(())
        })
    }
}

/// Items of a vector that wait for room; dropped, they go back into it.
struct Laid<'v, T> {
    run: Option<Run<T>>,
    items: &'v mut Vec<T>,
}

impl<T> Laid<'_, T> {
    fn bytes(&self) -> u64 {
        self.run.as_ref().map_or(0, |run| run.weight.bytes)
    }
}

impl<T> Drop for Laid<'_, T> {
    fn drop(&mut self) {
        if let Some(mut run) = self.run.take() {
            run.chain.drain(|entry| self.items.push(entry.item));
        }
    }
}

impl<K: Clone + Eq + Hash, T> Clone for Feed<K, T> {
    fn clone(&self) -> Self {
        Self { producer: self.producer.clone(), budget: self.budget.clone() }
    }
}

impl<K: Clone + Eq + Hash + fmt::Debug, T> fmt::Debug for Feed<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("producer", &self.producer).finish_non_exhaustive()
    }
}
