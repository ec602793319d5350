use std::collections::{HashMap, hash_map::Entry as Slot};

use standpipe_log::{Entry, Lsn, Storage};

use super::{
    Replay, ReplayError, Replayed,
    pile::{Pile, Shelf},
};

/// What an open transaction counts for beside its records, in bytes.
const OPEN_BYTES: usize = 128;
/// Piles kept for their memory, and the most that one of them may take, in bytes.
const SPARES_MAX: usize = 8;
const KEPT_BYTES_MAX: usize = 64 << 10;

/// What a record says about a transaction. Ids are the caller's; one may be used again after its transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// A transaction begins.
    Begin(u64),
    /// The record is part of one.
    Data(u64),
    /// It is to be applied.
    Commit(u64),
    /// It never happened.
    Abort(u64),
    /// The record is of no transaction: it is not delivered, and counted in [`Transacted::outside`].
    None,
}

/// A transaction that was committed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Transaction<'a> {
    /// Its id.
    pub id: u64,
    /// The record that began it.
    pub begin: Lsn,
    /// The record that committed it.
    pub commit: Lsn,
    /// The records marked as its data, in order.
    pub records: &'a [Entry<'a>],
}

/// A transaction that was neither committed nor aborted when the log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unfinished {
    /// Its id.
    pub id: u64,
    /// The record that began it.
    pub begin: Lsn,
    /// How many records were marked as its data.
    pub records: u64,
}

/// What a replay of transactions came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transacted {
    /// What was read.
    pub replayed: Replayed,
    /// Transactions applied.
    pub committed: u64,
    /// Transactions that were taken back.
    pub aborted: u64,
    /// Records that were marked [`Mark::None`].
    pub outside: u64,
    /// Transactions without an end, in the order in which they began: none of them was delivered.
    pub unfinished: Vec<Unfinished>,
}

impl<S: Storage> Replay<'_, S> {
    /// Applies what was committed, and only that, in the order of the commits, in one pass, on the caller's thread.
    /// Transactions may be interleaved. `mark_of` is called for each record in order. The records of open
    /// transactions are kept in memory, up to [`memory`](Replay::memory).
    ///
    /// Begin at or below the first record of every transaction that is wanted: from within one, its data is
    /// [`OutOfPlace`](ReplayError::OutOfPlace).
    ///
    /// ```
    /// use standpipe_wal::{Log, Mark, Record, Settings, Ticket, Wal};
    ///
    /// # let place = tempfile::tempdir()?;
    /// # let path = place.path();
    /// # let log = Wal::open(path, Settings::default())?;
    /// # for text in ["b1", "d1 pay", "b2", "d2 lost", "c1"] { log.append(Record::new(&[text.as_bytes()]))?.wait()?; }
    /// # drop(log);
    /// let recovering = Wal::recover(path, Settings::default())?;
    /// let mut applied = Vec::new();
    /// let told = recovering.replay(recovering.start()).transactions(
    ///     |entry| match entry.payload {
    ///         [b'b', id, ..] => Mark::Begin(u64::from(*id)),
    ///         [b'd', id, ..] => Mark::Data(u64::from(*id)),
    ///         [b'c', id, ..] => Mark::Commit(u64::from(*id)),
    ///         [b'a', id, ..] => Mark::Abort(u64::from(*id)),
    ///         _ => Mark::None,
    ///     },
    ///     |transaction| {
    ///         applied.extend(transaction.records.iter().map(|entry| entry.payload.to_vec()));
    ///         Ok::<(), std::io::Error>(())
    ///     },
    /// )?;
    /// assert_eq!(applied, [b"d1 pay"]);
    /// assert_eq!(told.unfinished[0].id, u64::from(b'2'));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ReplayError::Apply`] with the number of the commit; [`ReplayError::TooLarge`]; [`ReplayError::OutOfPlace`]
    /// for data, a commit or an abort of a transaction that did not begin, and for one that begins twice;
    /// [`ReplayError::Log`]. What was committed before was applied.
    ///
    /// # Panics
    /// Where `apply` or `mark_of` does.
    pub fn transactions<E>(
        self,
        mut mark_of: impl FnMut(&Entry<'_>) -> Mark,
        mut apply: impl FnMut(&Transaction<'_>) -> Result<(), E>,
    ) -> Result<Transacted, ReplayError<E>> {
        let mut open = OpenOnes::new(self.memory_bytes);
        let mut shelf = Shelf::default();
        let (mut committed, mut aborted, mut outside) = (0, 0, 0);
        let replayed = self.entries(|entry| {
            match mark_of(entry) {
                Mark::None => outside += 1,
                Mark::Begin(id) => open.begin(id, entry)?,
                Mark::Data(id) => open.data(id, entry)?,
                Mark::Abort(id) => {
                    let (_, pile) = open.end(id, entry)?;
                    open.reuse(pile);
                    aborted += 1;
                }
                Mark::Commit(id) => {
                    let (begin, pile) = open.end(id, entry)?;
                    let commit = entry.lsn;
                    let applied =
                        pile.show(&mut shelf, |records| apply(&Transaction { id, begin, commit, records }));
                    applied.map_err(|error| ReplayError::Apply { lsn: commit, error })?;
                    open.reuse(pile);
                    committed += 1;
                }
            }
            Ok(())
        })?;
        Ok(Transacted { replayed, committed, aborted, outside, unfinished: open.unfinished() })
    }
}

/// The transactions that began and did not end, and what they hold.
struct OpenOnes {
    ones: HashMap<u64, (Lsn, Pile)>,
    held_bytes: usize,
    limit_bytes: usize,
    spares: Vec<Pile>,
}

impl OpenOnes {
    fn new(limit_bytes: usize) -> Self {
        OpenOnes { ones: HashMap::new(), held_bytes: 0, limit_bytes, spares: Vec::new() }
    }

    fn begin<E>(&mut self, id: u64, entry: &Entry<'_>) -> Result<(), ReplayError<E>> {
        let (lsn, limit_bytes) = (entry.lsn, self.limit_bytes);
        let Slot::Vacant(place) = self.ones.entry(id) else {
            return Err(out_of_place(lsn, id, "the transaction begins a second time"));
        };
        let mut pile = self.spares.pop().unwrap_or_default();
        if self.held_bytes + OPEN_BYTES + pile.memory_bytes() > limit_bytes {
            pile = Pile::default();
        }
        let bytes = OPEN_BYTES + pile.memory_bytes();
        let held_bytes = self.held_bytes + bytes;
        if held_bytes > limit_bytes {
            let (transaction, transaction_bytes) = (id, bytes);
            return Err(ReplayError::TooLarge {
                lsn,
                transaction,
                transaction_bytes,
                held_bytes,
                limit_bytes,
            });
        }
        self.held_bytes = held_bytes;
        place.insert((lsn, pile));
        Ok(())
    }

    fn data<E>(&mut self, id: u64, entry: &Entry<'_>) -> Result<(), ReplayError<E>> {
        let (lsn, limit_bytes) = (entry.lsn, self.limit_bytes);
        let Some((_, pile)) = self.ones.get_mut(&id) else {
            return Err(out_of_place(lsn, id, "data of a transaction that did not begin"));
        };
        let others = self.held_bytes - pile.memory_bytes();
        if !pile.push_within(entry, limit_bytes - others) {
            let needed = pile.memory_bytes_with(entry.payload.len());
            let (transaction, transaction_bytes, held_bytes) = (id, OPEN_BYTES + needed, others + needed);
            return Err(ReplayError::TooLarge {
                lsn,
                transaction,
                transaction_bytes,
                held_bytes,
                limit_bytes,
            });
        }
        self.held_bytes = others + pile.memory_bytes();
        Ok(())
    }

    fn end<E>(&mut self, id: u64, entry: &Entry<'_>) -> Result<(Lsn, Pile), ReplayError<E>> {
        let Some((begin, pile)) = self.ones.remove(&id) else {
            return Err(out_of_place(entry.lsn, id, "the end of a transaction that did not begin"));
        };
        self.held_bytes -= OPEN_BYTES + pile.memory_bytes();
        Ok((begin, pile))
    }

    fn reuse(&mut self, mut pile: Pile) {
        if self.spares.len() < SPARES_MAX && pile.memory_bytes() <= KEPT_BYTES_MAX {
            pile.clear();
            self.spares.push(pile);
        }
    }

    fn unfinished(&self) -> Vec<Unfinished> {
        let one = |(id, (begin, pile)): (&u64, &(Lsn, Pile))| Unfinished {
            id: *id,
            begin: *begin,
            records: pile.len() as u64,
        };
        let mut all: Vec<_> = self.ones.iter().map(one).collect();
        all.sort_unstable_by_key(|one| one.begin);
        all
    }
}

fn out_of_place<E>(lsn: Lsn, transaction: u64, what: &'static str) -> ReplayError<E> {
    ReplayError::OutOfPlace { lsn, transaction, what }
}
