use std::{
    fmt, io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use standpipe_log::{Log, LogError, LogId, Lsn, Record, Storage, Ticket};

use crate::{
    committer::Committer,
    dir::Dir,
    extent::Extent,
    lock::lock,
    open::{self, Recovery},
    queue::{Queue, Space, Standing},
    reader::WalReader,
    record, segment,
    settings::Settings,
    shared::Shared,
    ticket::WalTicket,
};

/// A write-ahead log in a directory. Share it behind an `Arc`.
///
/// Appends lay their bytes into memory under one short lock and return; a thread of the log's own writes and syncs.
/// An append never waits for the disk, so it may be called on the thread of an async runtime. What waits in memory is
/// counted against [`Settings::size_bytes_max`].
///
/// Dropping the log closes it: everything appended is written and synced first, and the drop blocks for that long.
pub struct Wal<S: Storage = Dir> {
    pub(crate) shared: Arc<Shared<S>>,
    recovery: Recovery,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Wal<Dir> {
    /// Opens the log in a directory, and makes both when they are not there. Blocks: reads the last segment, and
    /// writes and syncs a fresh one.
    ///
    /// # Errors
    /// As [`open_in`](Wal::open_in).
    pub fn open(path: impl AsRef<Path>, settings: Settings) -> Result<Self, LogError> {
        let path = path.as_ref();
        let opened = Dir::open(path);
        let dir = opened.map_err(|error| LogError::io(format!("opening {}", path.display()), error))?;
        Wal::open_in(dir, settings)
    }
}

impl<S: Storage> Wal<S> {
    /// Opens the log in any storage. Blocks.
    ///
    /// # Errors
    /// [`LogError::InUse`]; [`LogError::Corrupt`] where durable records are damaged (nothing is changed then);
    /// [`LogError::Unsupported`]; [`LogError::Full`]; [`LogError::Invalid`] for settings that make no sense;
    /// [`LogError::Io`].
    pub fn open_in(storage: S, settings: Settings) -> Result<Self, LogError> {
        let settings = settings.checked()?;
        let owner = storage.lock().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => LogError::InUse { place: storage.describe() },
            _ => LogError::io(format!("locking {}", storage.describe()), error),
        })?;
        let opened = open::open(&storage, &settings)?;
        let (active, pins) = (opened.active, opened.pins);
        let space = Space {
            taken: opened.entries.iter().map(|entry| entry.length).sum(),
            active_free: if opened.is_sealed { 0 } else { active.free() },
            cap: settings.size_bytes_max,
            segment_bytes: settings.segment_bytes,
        };
        let pinned_bytes = pins.iter().map(|(key, value)| record::pin_bytes(key, value)).sum();
        let queue = Queue::new(active.lsn, space, settings.frame_bytes_soft(), pinned_bytes);
        let shared = Arc::new(Shared {
            extent: Extent::new(opened.entries, active.lsn, active.offset),
            queue: Mutex::new(queue),
            arrived: AtomicU64::new(0),
            work: Condvar::new(),
            pins: Mutex::new(pins.clone()),
            truncation: Mutex::new(None),
            id: opened.id,
            storage,
            settings,
        });
        let committer = Committer::new(shared.clone(), active, opened.is_sealed, pins);
        let run = move || {
            committer.run();
            // The directory is given up when nothing more will be written, and not before.
            drop(owner);
        };
        let spawned = thread::Builder::new().name("standpipe-wal".to_owned()).spawn(run);
        let thread = spawned.map_err(|error| LogError::io("starting the log's thread", error))?;
        Ok(Wal { shared, recovery: opened.recovery, thread: Mutex::new(Some(thread)) })
    }

    /// What opening found and did.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    fn queued<T>(&self, change: impl FnOnce(&mut Queue) -> Result<T, LogError>) -> Result<T, LogError> {
        let mut queue = lock(&self.shared.queue);
        let out = change(&mut queue)?;
        self.shared.arrived.fetch_add(1, Ordering::Relaxed);
        let wakes = std::mem::take(&mut queue.asleep);
        drop(queue);
        if wakes {
            self.shared.work.notify_one();
        }
        Ok(out)
    }

    fn check_size(&self, size_bytes: u64) -> Result<(), LogError> {
        let limit_bytes = self.shared.settings.record_bytes_max;
        if size_bytes > limit_bytes { Err(LogError::TooLarge { size_bytes, limit_bytes }) } else { Ok(()) }
    }
}

impl<S: Storage> Log for Wal<S> {
    type Ticket = WalTicket;
    type Reader = WalReader<S>;

    fn identity(&self) -> LogId {
        self.shared.id
    }

    fn append(&self, record: Record<'_>) -> Result<WalTicket, LogError> {
        let size = record.size_bytes();
        self.check_size(size as u64)?;
        let laid = size + record::HEADER_BYTES;
        let (group, lsn) = self.queued(|queue| queue.append([record.parts()].into_iter(), laid))?;
        Ok(WalTicket::new(group, lsn))
    }

    fn append_batch(&self, records: &[Record<'_>]) -> Result<WalTicket, LogError> {
        if records.is_empty() {
            return Err(LogError::Invalid("an empty batch has no number to return".to_owned()));
        }
        let laid = records.iter().map(|record| record.size_bytes() + record::HEADER_BYTES).sum::<usize>();
        self.check_size((laid - record::HEADER_BYTES) as u64)?;
        let parts = records.iter().map(Record::parts);
        let (group, lsn) = self.queued(|queue| queue.append(parts, laid))?;
        Ok(WalTicket::new(group, lsn))
    }

    fn pin(&self, key: &[u8], value: &[u8]) -> Result<WalTicket, LogError> {
        self.check_size((key.len() + value.len()) as u64)?;
        let (group, lsn) = self.queued(|queue| queue.pin(key, value))?;
        Ok(WalTicket::new(group, lsn))
    }

    /// Every durable pin: one whose ticket has not resolved yet may be missing.
    fn pinned(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        lock(&self.shared.pins).iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn start(&self) -> Lsn {
        self.shared.extent.start()
    }

    fn end(&self) -> Lsn {
        lock(&self.shared.queue).next()
    }

    /// Under [`Periodic`](crate::Durability::Periodic) and [`Os`](crate::Durability::Os) everything below is written
    /// and survives the process, not power loss.
    fn durable_end(&self) -> Lsn {
        self.shared.extent.durable_end()
    }

    fn follow(&self, from: Lsn) -> Result<WalReader<S>, LogError> {
        let entry = self.shared.extent.locate(from)?.ok_or(LogError::Closed)?;
        Ok(WalReader::new(self.shared.clone(), from, entry))
    }

    /// Removes the segments that hold nothing at or above `lsn`, except the last one. Blocks. One after the other, each synced, so
    /// that after a crash there is no gap. A segment whose removal did not reach the disk may be there again after power
    /// loss, whole.
    fn truncate_before(&self, lsn: Lsn) -> Result<(), LogError> {
        let mut stopped = lock(&self.shared.truncation);
        if let Some(why) = &*stopped {
            return Err(why.clone());
        }
        lock(&self.shared.queue).check()?;
        let (storage, extent) = (&self.shared.storage, &self.shared.extent);
        while let Some(entry) = extent.removable(lsn) {
            let name = segment::name(entry.sequence);
            match storage.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(LogError::io(format!("removing {name} from {}", storage.describe()), error));
                }
                _ => extent.forget(entry.sequence),
            }
            let mut queue = lock(&self.shared.queue);
            queue.space.taken = queue.space.taken.saturating_sub(entry.length);
            drop(queue);
            if let Err(error) = storage.sync_dir() {
                // Which removals are durable is unknown now; going on could leave a gap that looks like damage.
                let why =
                    LogError::io(format!("syncing {} after removing {name}", storage.describe()), error);
                *stopped = Some(why.clone());
                return Err(why);
            }
        }
        Ok(())
    }

    /// Blocks until that is durable.
    fn advance_to(&self, lsn: Lsn) -> Result<(), LogError> {
        match self.queued(|queue| queue.advance(lsn))? {
            Some(group) => WalTicket::new(group, lsn).wait().map(|_| ()),
            None => Ok(()),
        }
    }

    fn size_bytes(&self) -> u64 {
        self.shared.extent.size_bytes()
    }

    fn close(&self) -> Result<(), LogError> {
        // Held throughout, so that a second closer returns when the log is closed and not before.
        let mut running = lock(&self.thread);
        {
            let mut queue = lock(&self.shared.queue);
            if matches!(queue.standing, Standing::Open) {
                queue.standing = Standing::Closing;
                self.shared.work.notify_one();
            }
        }
        // A waker that drops the log's last owner runs on the log's own thread, which ends by itself.
        if let Some(thread) = running.take().filter(|running| running.thread().id() != thread::current().id())
        {
            // The thread catches its own panics and poisons the log.
            let _ = thread.join();
        }
        match &lock(&self.shared.queue).standing {
            Standing::Poisoned(error) => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

impl<S: Storage> Drop for Wal<S> {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

impl<S: Storage> fmt::Debug for Wal<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wal")
            .field("place", &self.shared.storage.describe())
            .field("id", &self.shared.id)
            .finish_non_exhaustive()
    }
}
