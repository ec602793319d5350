use std::{num::NonZeroUsize, sync::Arc, thread};

use standpipe_log::{Entry, LogError, Lsn, Storage};

use super::{
    ReplayError,
    feed::Feed,
    progress::{Listener, Meter, Progress, Replayed},
    ring::Ring,
    serial::{self, Map},
};
use crate::{meter::Since, record::Item, shared::Shared};

/// How much is read, checked and handed over at once, in bytes, when the frame is not larger.
const BLOCK_BYTES: usize = 256 << 10;
const BLOCK_BYTES_MIN: usize = 4 << 10;
/// Logs of fewer blocks are read by one thread.
const BLOCKS_FOR_THREADS: u64 = 16;

/// A replay that has not begun: say how, then what to do with the records.
///
/// Nothing happens until one of [`each`](Replay::each), [`batches`](Replay::batches), [`by_key`](Replay::by_key) and
/// [`transactions`](Replay::transactions), each of which blocks until all is applied or something failed. Records come
/// in the order of their numbers; pins and gaps in the numbers are passed over.
///
/// ```
/// use standpipe_wal::{Settings, Wal};
///
/// # let place = tempfile::tempdir()?;
/// # let path = place.path();
/// let recovering = Wal::recover(path, Settings::default())?;
/// let told = recovering
///     .replay(recovering.start())
///     .workers(2)
///     .batch(1000, 1 << 20)
///     .progress(|progress| println!("{} of {} bytes", progress.bytes, progress.bytes_total))
///     .batches(|entries| {
///         println!("{} records from {} on", entries.len(), entries[0].lsn);
///         Ok::<(), std::io::Error>(())
///     })?;
/// assert_eq!((told.records, told.end), (0, recovering.end()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a replay does nothing until it is told what to do with the records"]
pub struct Replay<'a, S: Storage> {
    shared: &'a Arc<Shared<S>>,
    from: Lsn,
    pub(crate) workers: usize,
    pub(crate) block_bytes: usize,
    pub(crate) batch_records: usize,
    pub(crate) batch_bytes: usize,
    pub(crate) memory_bytes: usize,
    listener: Option<Listener<'a>>,
    map: Option<Map<S::File>>,
}

/// More threads than this serve nobody.
const WORKERS_MAX: usize = 256;

impl<'a, S: Storage> Replay<'a, S> {
    pub(crate) fn new(shared: &'a Arc<Shared<S>>, from: Lsn) -> Self {
        Replay {
            shared,
            from,
            workers: 1,
            block_bytes: BLOCK_BYTES,
            batch_records: 1024,
            batch_bytes: 1 << 20,
            memory_bytes: 64 << 20,
            listener: None,
            map: None,
        }
    }

    /// How many threads to use, at most 256; 0 for as many as the machine has cores. With 1, the default, all is done on the
    /// caller's. With more, frames of a log above 4 MiB (16 blocks) are checked on all of them, and [`by_key`](Replay::by_key)
    /// applies on as many again: of the two kinds, those that have nothing to do sleep.
    pub fn workers(mut self, threads: usize) -> Self {
        self.workers = match threads {
            0 => thread::available_parallelism().map_or(1, NonZeroUsize::get),
            threads => threads.min(WORKERS_MAX),
        };
        self
    }

    /// The most records and the most bytes of records in one batch; 1024 and 1 MiB unless told. A single record may
    /// be larger, and is then a batch of its own.
    pub fn batch(mut self, records_max: usize, bytes_max: usize) -> Self {
        (self.batch_records, self.batch_bytes) = (records_max.max(1), bytes_max);
        self
    }

    /// The most that transactions which are neither committed nor aborted may hold together, in bytes; 64 MiB unless
    /// told.
    pub fn memory(mut self, bytes_max: usize) -> Self {
        self.memory_bytes = bytes_max;
        self
    }

    /// How much is read and handed from thread to thread at once, in bytes; 256 KiB unless told, 4 KiB at least. Of a
    /// larger frame, all of it. With several workers up to eight such blocks, or 8 MiB if that is more, lie checked
    /// and ready, and up to sixteen wait in [`by_key`](Replay::by_key); beyond either bound goes at most what each
    /// thread has in hand.
    pub fn block(mut self, bytes: usize) -> Self {
        self.block_bytes = bytes.max(BLOCK_BYTES_MIN);
        self
    }

    /// Whom to tell how far it has come: after each 64 frames, and at the end. Called on the caller's thread.
    pub fn progress(mut self, listener: impl FnMut(&Progress) + 'a) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// The first number that is wanted.
    pub(crate) fn from(&self) -> Lsn {
        self.from
    }

    /// Lets `body` go over the log's frames, with threads that check them ahead where that is worth it.
    pub(crate) fn run<E>(
        mut self,
        body: impl FnOnce(&Self, &mut Feed<'_, S>, &mut Meter<'a>) -> Result<(), ReplayError<E>>,
    ) -> Result<Replayed, ReplayError<E>> {
        let (shared, block_bytes, since) = (self.shared, self.block_bytes, Since::now());
        let entry = shared.extent.locate(self.from)?.ok_or(LogError::Closed)?;
        let bytes = serial::bytes_from(shared, entry.sequence);
        let mut meter = Meter::new(bytes, self.from, self.listener.take());
        if self.workers > 1 && self.map.is_none() && bytes > BLOCKS_FOR_THREADS * block_bytes as u64 {
            let ring = Ring::new(shared.clone(), &entry, block_bytes);
            thread::scope(|scope| {
                let _stop = Stop(&ring);
                for _ in 1..self.workers {
                    let named = thread::Builder::new().name("standpipe-decode".to_owned());
                    // With fewer threads it takes longer, no more.
                    if named.spawn_scoped(scope, || ring.work()).is_err() {
                        break;
                    }
                }
                body(
                    &self,
                    &mut Feed::new(shared.clone(), &entry, Some(&ring), block_bytes, None),
                    &mut meter,
                )
            })?;
        } else {
            let mut feed = Feed::new(shared.clone(), &entry, None, block_bytes, self.map);
            body(&self, &mut feed, &mut meter)?;
        }
        let replayed = meter.end(shared.extent.durable_end());
        crate::meter::replayed(since, replayed.records);
        Ok(replayed)
    }

    /// Hands each wanted record to `take`, in order, on the caller's thread.
    pub(crate) fn entries<E>(
        self,
        mut take: impl FnMut(&Entry<'_>) -> Result<(), ReplayError<E>>,
    ) -> Result<Replayed, ReplayError<E>> {
        self.run(|replay, feed, meter| {
            while let Some(mut frame) = feed.frame()? {
                let mut records = 0;
                while let Some(item) = frame.walk.next(frame.payload) {
                    if let Some((lsn, bytes)) = wanted(item, replay.from)? {
                        take(&Entry { lsn, payload: &frame.payload[bytes] })?;
                        records += 1;
                    }
                }
                meter.passed(records, frame.span, frame.end);
            }
            Ok(())
        })
    }
}

#[cfg(feature = "mmap")]
impl Replay<'_, crate::Dir> {
    /// Looks at sealed segments as memory instead of reading them: what is not compressed is lent to the caller where it
    /// lies, in the system's page cache. All frames are checked on the caller's thread then, whatever
    /// [`workers`](Replay::workers) says. The last segment is read as ever, and so is what the system will not map.
    ///
    /// The log itself never changes what is mapped: segments are truncated, recycled and written to by a
    /// [`Wal`](crate::Wal) only, and there is none before the replay has ended. Before each MiB is looked at, the length of
    /// the file is looked at and the system is asked to read the pages in (Linux 5.14 and later): a file that was cut and a
    /// disk that fails are errors then, told as without this.
    ///
    /// It saves a copy and costs page tables; measured, the two come out about even (the crate's README has the figures), so
    /// measure before choosing it.
    ///
    /// # What is left
    /// A file that somebody else cuts, or a page that the system drops and cannot read again, in the moment in which it is
    /// looked at, ends the process with SIGBUS; and what somebody else writes into a segment while a record of it is lent
    /// changes that record after it was checked. Somebody else is whoever does not ask for the directory's lock. Reading has neither
    /// fault, which is why it is the default.
    ///
    /// ```
    /// # use standpipe_wal::{Settings, Wal};
    /// # let place = tempfile::tempdir()?;
    /// # let path = place.path();
    /// let recovering = Wal::recover(path, Settings::default())?;
    /// recovering.replay(recovering.start()).mapped().each(|entry| {
    ///     println!("{} has {} bytes", entry.lsn, entry.payload.len());
    ///     Ok::<(), std::io::Error>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mapped(mut self) -> Self {
        self.map = Some(crate::mapping::Mapping::of);
        self
    }
}

/// The place of a record that is wanted.
#[inline]
pub(crate) fn wanted(
    item: Result<Item, &'static str>,
    from: Lsn,
) -> Result<Option<(Lsn, std::ops::Range<usize>)>, LogError> {
    match item {
        Ok(Item::Data { lsn, bytes }) if lsn >= from => Ok(Some((lsn, bytes))),
        Ok(_) => Ok(None),
        // The frame was walked over when it was checked.
        Err(what) => Err(LogError::Invalid(format!("a frame changed in memory: {what}"))),
    }
}

/// Lets the threads of a ring end, on every path out.
struct Stop<'a, S: Storage>(&'a Ring<S>);

impl<S: Storage> Drop for Stop<'_, S> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl<S: Storage> std::fmt::Debug for Replay<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("from", &self.from)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}
