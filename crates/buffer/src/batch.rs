use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use crate::budget::Panicked;
use crate::index::LaneId;
use crate::planted::{self, Plant};
use crate::queue::{Reader, Span, Walk};
use crate::schedule::Ended;
use crate::shared::Shared;
use crate::{Weight, meter};

/// The front of one lane, in order, lent to one taker until it is settled.
///
/// While it lives its lane belongs to it: no other taker gets items of the same key. The items stay where they were
/// pushed; nothing is copied or moved to make a batch. It ends by [`complete`](Self::complete) after the commit, or by
/// [`give_back`](Self::give_back). Dropping it, also by a panic or by cancelling the task that holds it, gives it back, so nothing is lost.
#[must_use = "dropping a batch puts it back"]
pub struct Taken<K: Clone + Eq + Hash, T> {
    shared: Arc<Shared<K, T>>,
    id: LaneId,
    /// `None` once it is settled.
    reader: Option<Reader<K, T>>,
    span: Span,
    reason: Reason,
    oldest: Option<Instant>,
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
    /// Memory is short.
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

impl<K: Clone + Eq + Hash, T> Taken<K, T> {
    pub(crate) fn new(
        shared: Arc<Shared<K, T>>,
        id: LaneId,
        reader: Reader<K, T>,
        span: Span,
        reason: Reason,
        oldest: Option<Instant>,
    ) -> Self {
        meter::batch(span.weight, reason);
        Self { shared, id, reader: Some(reader), span, reason, oldest }
    }

    /// The lane's key.
    #[must_use]
    pub fn key(&self) -> &K {
        &self.reader().lane().key
    }

    /// The items, oldest first. Never empty.
    #[must_use]
    pub fn items(&self) -> Items<'_, T> {
        Items(self.reader().walk(self.span.items))
    }

    /// How many items there are. Never 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.span.items
    }

    /// Rows and bytes in all, as they were when pushed.
    #[must_use]
    pub fn weight(&self) -> Weight {
        self.span.weight
    }

    /// Why the batch was taken.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// When the oldest item was pushed, or a little before where pushes were not timed; `None` in the rare case that it is not known yet.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        self.oldest
    }

    /// The batch is committed. Drops the items, gives their bytes back to the budget in one step, and frees the lane for
    /// the next taker.
    ///
    /// Call it after the commit and not before: until then the batch must be able to go back.
    ///
    /// # Panics
    /// When dropping an item panics; the others are dropped and the lane is free all the same.
    pub fn complete(self) {
        self.complete_with(drop);
    }

    /// As [`complete`](Self::complete), but hands each item over. Their bytes leave the budget when the last one was.
    ///
    /// # Panics
    /// When `each` panics; the items left are dropped, and the lane is free all the same.
    pub fn complete_with(mut self, each: impl FnMut(T)) {
        let Some(reader) = self.reader.take() else { return };
        let mut done =
            Done { shared: &self.shared, id: self.id, reader: Some(reader), bytes: self.span.weight.bytes };
        if let Some(reader) = &mut done.reader {
            reader.consume(self.span.items, each);
        }
    }

    /// The batch failed. It stays in front of its lane, in order and with its age, and is due again at once.
    ///
    /// Returns false when the lane was [discarded](crate::Lanes::discard) while it was out: it is dropped then.
    pub fn give_back(mut self) -> bool {
        self.put_back(None)
    }

    /// As [`give_back`](Self::give_back), but its lane rests until then: it is not taken, whatever it holds and even
    /// after [closing](crate::Lanes::close). The other lanes go on.
    pub fn give_back_until(mut self, rest_until: Instant) -> bool {
        self.put_back(Some(rest_until))
    }

    fn put_back(&mut self, rest_until: Option<Instant>) -> bool {
        let Some(reader) = self.reader.take() else { return true };
        self.shared.settle(self.id, reader, self.span.items, Ended::Back { rest_until })
    }

    #[expect(clippy::expect_used, reason = "an invariant")]
    fn reader(&self) -> &Reader<K, T> {
        self.reader.as_ref().expect("invariant: only methods that consume the batch empty it")
    }
}

impl<K: Clone + Eq + Hash, T> Drop for Taken<K, T> {
    fn drop(&mut self) {
        self.put_back(None);
    }
}

impl<K: Clone + Eq + Hash + fmt::Debug, T> fmt::Debug for Taken<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken")
            .field("key", self.key())
            .field("items", &self.len())
            .field("weight", &self.weight())
            .field("reason", &self.reason())
            .finish_non_exhaustive()
    }
}

impl<'t, K: Clone + Eq + Hash, T> IntoIterator for &'t Taken<K, T> {
    type Item = &'t T;
    type IntoIter = Items<'t, T>;

    fn into_iter(self) -> Items<'t, T> {
        self.items()
    }
}

/// The items of a [`Taken`] batch, oldest first.
pub struct Items<'t, T>(Walk<'t, T>);

impl<'t, T> Iterator for Items<'t, T> {
    type Item = &'t T;

    #[inline]
    fn next(&mut self) -> Option<&'t T> {
        self.0.next_full().map(|entry| &entry.item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left(), Some(self.0.left()))
    }
}

impl<T> ExactSizeIterator for Items<'_, T> {}

impl<T> Clone for Items<'_, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Items<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("left", &self.0.left()).finish()
    }
}

/// Frees the lane of a batch that is done, also when an item panicked.
struct Done<'s, K: Clone + Eq + Hash, T> {
    shared: &'s Shared<K, T>,
    id: LaneId,
    reader: Option<Reader<K, T>>,
    bytes: u64,
}

impl<K: Clone + Eq + Hash, T> Drop for Done<'_, K, T> {
    fn drop(&mut self) {
        let Some(reader) = self.reader.take() else { return };
        // The bytes may wake one who waits, and his waker may panic.
        let mut panicked = Panicked::default();
        if !planted::is(Plant::ReleasesWhenTaken) {
            panicked.catch(|| reader.lane().release(self.bytes));
        }
        panicked.catch(|| {
            self.shared.settle(self.id, reader, 0, Ended::Done);
        });
        panicked.go_on();
    }
}
