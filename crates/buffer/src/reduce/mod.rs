//! A batch, reduced to the last item of each key.

mod dense;
mod error;
mod integer;
mod run;
#[cfg(target_arch = "x86_64")]
mod simd;
mod sort;
mod table;

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::{BuildHasher, Hash},
    ops::Range,
};

pub use error::ReduceError;
pub use integer::Integer;
use {dense::Dense, run::Lanes4, sort::Sorter, table::Table};

/// Below this many keys a look at whether they are dense costs more than it gives.
const DENSE_MIN: usize = 64;

/// Reduces batches to the last item of each key, in the order in which the items were pushed.
///
/// For writes where the last one wins: an *upsert* whose rows all give the same columns, a *replace*, a put. PostgreSQL
/// needs it: it refuses an `INSERT .. ON CONFLICT DO UPDATE` that holds a key twice. It is wrong where an earlier item
/// counts: for *append*, for *ignore* (there the first wins), for updates that each set other columns. Two keys are one
/// where `Eq` says so; what only a database's collation takes for equal stays.
///
/// **Order kept** means: what is kept stands in the order in which it was pushed, each item where its own (its key's
/// last) push was. `a1 b1 a2 c1` becomes `b1 a2 c1`, not `a2 b1 c1`. Foreign keys, triggers and the log see the last
/// values in the order in which they came.
///
/// **One unique key.** A reducer is told by name which unique keys the table has, and is refused for all but one. With
/// a second one the rows that are left out matter to others: let `(id, email)` have a unique key each, the table hold
/// `(1, a@)`, and the batch be `(1, b@) (2, a@) (1, c@)`. Row by row that is right: 1 gives `a@` up, 2 takes it, 1
/// takes `c@`. Reduced it is `(2, a@) (1, c@)`, and 2 asks for what 1 still has: a batch without a fault fails. And a
/// *replace* removes every row that is in its way: what an item that was left out would have removed stays. With no
/// unique key at all nothing is ever written over, and leaving out is losing. When the table gets another unique key,
/// make another reducer.
///
/// ```
/// use standpipe_buffer::{ReduceError, Reducer};
///
/// let mut reducer = Reducer::new(&["users_pkey"])?;
/// let mut batch = vec![(7, "a1"), (3, "b1"), (7, "a2"), (9, "c1")];
/// assert_eq!(reducer.reduce(&mut batch, |row| row.0)?, 1);
/// assert_eq!(batch, [(3, "b1"), (7, "a2"), (9, "c1")]);
///
/// let refused = Reducer::new(&["users_pkey", "users_email_key"]).unwrap_err();
/// assert!(matches!(refused, ReduceError::SecondUniqueKey { .. }));
/// # Ok::<(), ReduceError>(())
/// ```
///
/// # Cost
/// Linear in the items, without an allocation once it has seen a batch as large; keep one for each worker.
/// [`shrink`](Self::shrink) gives its memory back: some 60 bytes for each item of the largest batch. Nothing blocks.
/// Which way is taken for which keys, and what each costs, is in `docs/decisions/0010-key-reduction.md`.
///
/// # Hostile keys
/// Integers are hashed with a seed that each reducer draws from the operating system's randomness, by a hash that is
/// fast and is not cryptographic. Whoever guesses the seed all the same wins little: keys that collide more often than
/// chance has them are sorted instead, `n log n` whatever they are. Keys of the `_hashed` methods are as safe as their
/// hasher: [`RandomState`] (SipHash, seeded) unless another is given.
pub struct Reducer<S = RandomState> {
    hasher: S,
    lanes4: Lanes4,
    table: Table,
    dense: Dense,
    sorter: Sorter,
    /// The keys of the batch as words, or their hashes.
    words: Vec<u64>,
    kept: Vec<u32>,
}

impl Reducer {
    /// A reducer for a table with these unique keys, the primary key among them.
    ///
    /// # Errors
    /// [`ReduceError::SecondUniqueKey`] and [`ReduceError::NoUniqueKey`]: reducing would change what the batch does.
    pub fn new(unique_keys: &[&str]) -> Result<Self, ReduceError> {
        Self::with_hasher(unique_keys, RandomState::new())
    }
}

impl<S: BuildHasher> Reducer<S> {
    /// A reducer whose `_hashed` methods use this hasher.
    ///
    /// # Errors
    /// As [`new`](Reducer::new).
    pub fn with_hasher(unique_keys: &[&str], hasher: S) -> Result<Self, ReduceError> {
        match unique_keys {
            [] => Err(ReduceError::NoUniqueKey),
            [_] => Ok(Self {
                hasher,
                lanes4: Lanes4::detected(),
                table: Table::seeded(),
                dense: Dense::default(),
                sorter: Sorter::default(),
                words: Vec::new(),
                kept: Vec::new(),
            }),
            [first, second, ..] => {
                Err(ReduceError::SecondUniqueKey { first: Box::from(*first), second: Box::from(*second) })
            }
        }
    }

    /// The same without instructions that the processor may lack: slower, and with the same results.
    #[must_use]
    pub fn without_simd(mut self) -> Self {
        self.lanes4 = Lanes4::none();
        self
    }

    /// The places of the items to keep, ascending: those after which their key does not come again.
    ///
    /// # Errors
    /// [`ReduceError::TooMany`] beyond `u32::MAX` keys.
    pub fn keep_last(&mut self, keys: &[u64]) -> Result<&[u32], ReduceError> {
        error::check_count(keys.len())?;
        let kept = self.last_words(keys);
        Ok(&self.kept[kept])
    }

    /// As [`keep_last`](Self::keep_last), for items that have an integer for a key.
    ///
    /// # Errors
    /// [`ReduceError::TooMany`] beyond `u32::MAX` items.
    pub fn keep_last_by<T, K: Integer>(
        &mut self,
        items: &[T],
        key: impl Fn(&T) -> K,
    ) -> Result<&[u32], ReduceError> {
        let kept = self.last_integers(items, key)?;
        Ok(&self.kept[kept])
    }

    /// As [`keep_last`](Self::keep_last), for items with any other key: bytes, text, a tuple. A key's hash is taken
    /// once.
    ///
    /// # Errors
    /// [`ReduceError::TooMany`] beyond `u32::MAX` items.
    pub fn keep_last_hashed<T, K: Hash + Eq + ?Sized>(
        &mut self,
        items: &[T],
        key: impl Fn(&T) -> &K,
    ) -> Result<&[u32], ReduceError> {
        let kept = self.last_hashed(items, key)?;
        Ok(&self.kept[kept])
    }

    /// Leaves in `items` the last of each integer key, in order, and returns how many went. They are dropped here: an
    /// item whose drop says something (a receipt, a permit) says it now, before the batch is written. Where that is too
    /// early, use [`keep_last_by`](Self::keep_last_by).
    ///
    /// # Errors
    /// [`ReduceError::TooMany`] beyond `u32::MAX` items; they are all still there.
    pub fn reduce<T, K: Integer>(
        &mut self,
        items: &mut Vec<T>,
        key: impl Fn(&T) -> K,
    ) -> Result<usize, ReduceError> {
        let kept = self.last_integers(items, key)?;
        Ok(retain(items, &self.kept[kept]))
    }

    /// As [`reduce`](Self::reduce), for items with any other key.
    ///
    /// # Errors
    /// [`ReduceError::TooMany`] beyond `u32::MAX` items; they are all still there.
    pub fn reduce_hashed<T, K: Hash + Eq + ?Sized>(
        &mut self,
        items: &mut Vec<T>,
        key: impl Fn(&T) -> &K,
    ) -> Result<usize, ReduceError> {
        let kept = self.last_hashed(items, key)?;
        Ok(retain(items, &self.kept[kept]))
    }

    /// Gives back the memory that is kept from batch to batch.
    pub fn shrink(&mut self) {
        self.table.shrink();
        self.dense = Dense::default();
        self.sorter = Sorter::default();
        self.words = Vec::new();
        self.kept = Vec::new();
    }

    fn last_integers<T, K: Integer>(
        &mut self,
        items: &[T],
        key: impl Fn(&T) -> K,
    ) -> Result<Range<usize>, ReduceError> {
        error::check_count(items.len())?;
        // Taken out, so that a key that panics leaves an empty one.
        let mut words = std::mem::take(&mut self.words);
        words.clear();
        words.extend(items.iter().map(|item| key(item).word()));
        let kept = self.last_words(&words);
        self.words = words;
        Ok(kept)
    }

    fn last_words(&mut self, words: &[u64]) -> Range<usize> {
        let kept = room(&mut self.kept, words.len());
        if let Some(count) = self.lanes4.last_of_runs(words, kept) {
            return 0..count;
        }
        if words.len() >= DENSE_MIN
            && let Some(from) = self.dense.last(words, kept)
        {
            return from..words.len();
        }
        // Chance makes a collision of one key in seven; so many as there are keys are somebody's work.
        let steps_max = words.len() as u64 + 64;
        match self.table.last(words, kept, steps_max, |one, other| words[one] == words[other]) {
            Some(from) => from..words.len(),
            None => 0..self.sorter.last(words, kept),
        }
    }

    fn last_hashed<T, K: Hash + Eq + ?Sized>(
        &mut self,
        items: &[T],
        key: impl Fn(&T) -> &K,
    ) -> Result<Range<usize>, ReduceError> {
        error::check_count(items.len())?;
        let Self { hasher, table, kept, words, .. } = self;
        words.clear();
        words.extend(items.iter().map(|item| hasher.hash_one(key(item))));
        let kept = room(kept, items.len());
        let same = |one: usize, other: usize| {
            words[one] == words[other] && (one == other || key(&items[one]) == key(&items[other]))
        };
        let from = table.last(words, kept, u64::MAX, same).unwrap_or(0);
        Ok(from..items.len())
    }
}

/// Room for the places of `count` items, and for what is written past them four at a time.
fn room(kept: &mut Vec<u32>, count: usize) -> &mut [u32] {
    if kept.len() < count + run::SPARE {
        kept.resize(count + run::SPARE, 0);
    }
    &mut kept[..count + run::SPARE]
}

fn retain<T>(items: &mut Vec<T>, kept: &[u32]) -> usize {
    let went = items.len() - kept.len();
    if went > 0 {
        let (mut place, mut kept) = (0, kept.iter().copied().peekable());
        items.retain(|_| {
            let stays = kept.next_if_eq(&place).is_some();
            place = place.wrapping_add(1);
            stays
        });
    }
    went
}

impl<S> fmt::Debug for Reducer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reducer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_keys_are_sorted_and_come_out_right() -> Result<(), ReduceError> {
        let mut reducer = Reducer::new(&["key"])?;
        let mut keys = table::tests::colliding(&reducer.table, 512);
        // One of them twice, and in no order.
        keys[511] = keys[0];
        let expected: Vec<u32> = (1..512).collect();
        assert_eq!(reducer.keep_last(&keys)?, expected);
        assert!(!reducer.sorter.is_unused(), "the table gave up");
        Ok(())
    }

    #[test]
    fn keys_at_even_distances_are_no_hostile_keys() -> Result<(), ReduceError> {
        let mut reducer = Reducer::new(&["key"])?;
        for distance in (5..52).map(|bit| 1_u64 << bit).chain([1000, 1_000_003, 1_000_000_000]) {
            // Falling, so that they are not in order.
            let keys: Vec<u64> = (0..4096).rev().map(|number| number * distance).collect();
            assert_eq!(reducer.keep_last(&keys)?.len(), keys.len());
            assert!(reducer.sorter.is_unused(), "the table gave up at a distance of {distance}");
        }
        Ok(())
    }

    #[test]
    fn each_way_is_taken_for_the_keys_it_is_for() -> Result<(), ReduceError> {
        let mut reducer = Reducer::new(&["key"])?;
        let ascending: Vec<u64> = (0..1000).map(|key| key << 40).collect();
        assert_eq!(reducer.keep_last(&ascending)?.len(), 1000);
        assert!(reducer.dense.is_unused() && reducer.table.is_unused());
        let dense: Vec<u64> = (0..1000).rev().map(|key| key + (1 << 40)).collect();
        assert_eq!(reducer.keep_last(&dense)?.len(), 1000);
        assert!(!reducer.dense.is_unused() && reducer.table.is_unused());
        let sparse: Vec<u64> = ascending.iter().rev().copied().collect();
        assert_eq!(reducer.keep_last(&sparse)?.len(), 1000);
        assert!(!reducer.table.is_unused() && reducer.sorter.is_unused());
        reducer.shrink();
        assert!(reducer.dense.is_unused() && reducer.table.is_unused());
        assert_eq!(reducer.keep_last(&[9, 3, 9])?, [1, 2]);
        Ok(())
    }
}
