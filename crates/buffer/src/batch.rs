use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use crate::index::LaneId;
use crate::lane::Cut;
use crate::lanes::Shared;
use crate::{Weight, meter};

/// The front of one lane, in order, out of the buffer until it is settled.
///
/// While it lives its lane belongs to it: no other taker gets items of the same key. It ends by
/// [`complete`](Self::complete) after the commit, or by [`give_back`](Self::give_back). Dropping it, also by a panic
/// or by cancelling the task that holds it, gives it back, so nothing is lost.
///
/// To back off after a failure, keep it for as long as the pause lasts and give it back then; a batch that is given
/// back at once is due again at once.
#[must_use = "dropping a batch puts it back"]
pub struct Taken<K: Clone + Eq + Hash, T> {
    shared: Arc<Shared<K, T>>,
    /// `None` once it is settled.
    batch: Option<Batch<K, T>>,
}

/// Why a batch was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The lane had reached the most rows of a batch.
    Rows,
    /// The lane had reached the most bytes of a batch.
    Bytes,
    /// The oldest item had waited long enough.
    Age,
    /// A flush was asked for.
    Flush,
    /// Somebody waits for memory.
    Pressure,
    /// The lanes are closed.
    Close,
    /// The lane was not due; it joined another lane's commit.
    Joined,
}

impl Reason {
    /// A short lower-case name, for metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Age => "age",
            Self::Flush => "flush",
            Self::Pressure => "pressure",
            Self::Close => "close",
            Self::Joined => "joined",
        }
    }
}

pub(crate) struct Batch<K, T> {
    pub(crate) id: LaneId,
    pub(crate) generation: u64,
    pub(crate) key: K,
    pub(crate) cut: Cut<T>,
    pub(crate) reason: Reason,
}

impl<K: Clone + Eq + Hash, T> Taken<K, T> {
    pub(crate) fn new(shared: Arc<Shared<K, T>>, batch: Batch<K, T>) -> Self {
        meter::batch(batch.cut.weight, batch.reason);
        Self { shared, batch: Some(batch) }
    }

    /// The lane's key.
    #[must_use]
    pub fn key(&self) -> &K {
        &self.batch().key
    }

    /// The items, oldest first. Never empty.
    #[must_use]
    pub fn items(&self) -> &[T] {
        &self.batch().cut.items
    }

    /// Rows and bytes in all, as they were when pushed.
    #[must_use]
    pub fn weight(&self) -> Weight {
        self.batch().cut.weight
    }

    /// Why the batch was taken.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.batch().reason
    }

    /// When the oldest item was pushed.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        self.batch().cut.marks.first().map(|mark| mark.at)
    }

    /// The batch is committed. Frees the lane for the next taker and hands over the items; whatever permits they carry
    /// are given back when the caller drops them.
    ///
    /// Call it after the commit and not before: until then the batch must be able to go back.
    #[must_use = "the items carry whatever permits they were pushed with"]
    pub fn complete(mut self) -> Vec<T> {
        let Some(batch) = self.batch.take() else { return Vec::new() };
        self.shared.change(|state| state.complete(batch.id, batch.cut.weight));
        batch.cut.items
    }

    /// The batch failed. Puts it back in front of its lane, in order and with its age, and wakes a taker if it is due.
    ///
    /// # Errors
    /// Hands the items back when the lane was [removed](crate::Lanes::remove) while they were out.
    pub fn give_back(mut self) -> Result<(), Vec<T>> {
        self.put_back()
    }

    fn put_back(&mut self) -> Result<(), Vec<T>> {
        let Some(Batch { id, generation, cut, .. }) = self.batch.take() else { return Ok(()) };
        self.shared.change(|state| state.give_back(id, generation, cut))
    }

    #[expect(clippy::expect_used, reason = "an invariant")]
    fn batch(&self) -> &Batch<K, T> {
        self.batch.as_ref().expect("invariant: only methods that consume the batch empty it")
    }
}

impl<K: Clone + Eq + Hash, T> Drop for Taken<K, T> {
    fn drop(&mut self) {
        // Items of a removed lane have no place to go back to; the removal said that they are not wanted.
        drop(self.put_back());
    }
}

impl<K: Clone + Eq + Hash + fmt::Debug, T> fmt::Debug for Taken<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken")
            .field("key", self.key())
            .field("items", &self.items().len())
            .field("weight", &self.weight())
            .field("reason", &self.reason())
            .finish_non_exhaustive()
    }
}
