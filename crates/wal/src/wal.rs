use std::{
    fmt, io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use standpipe_log::{Log, LogError, LogId, Lsn, Record, Storage, Ticket};

use crate::{
    dir::Dir,
    extent::Extent,
    group::{Lead, Stage, waits_for_itself},
    lock::lock,
    names::Names,
    open::{self, Recovery},
    pen::Pen,
    queue::{Queue, Rest, Standing},
    reader::WalReader,
    record,
    retention::{Hold, HoldReport, Holds},
    segment,
    service::Service,
    settings::{Durability, Settings},
    shared::Shared,
    space::Space,
    supply::{Free, Supply},
    ticket::WalTicket,
};

/// What is appended and not waited for is written at once when it is more than this.
const UNATTENDED_BYTES_MAX: u64 = 256 << 10;

/// A write-ahead log in a directory. Share it behind an `Arc`.
///
/// Appends lay their bytes into memory under one short lock and return. Whoever blocks on a ticket writes and syncs on his
/// own thread, for all who wait; a thread of the log's own serves futures. An append never waits for the disk, so it may be
/// called on the thread of an async runtime. What waits in memory is counted against [`Settings::size_bytes_max`].
///
/// Dropping the log closes it: everything appended is written and synced first, and the drop blocks for that long. What the
/// disk has no room for is refused, and its tickets say so.
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
        let names = Names::default();
        let opened = open::open(&storage, &settings, &names)?;
        let (active, pins) = (opened.active, opened.pins);
        let space = Space {
            taken: opened.entries.iter().map(|entry| entry.length).sum::<u64>()
                + opened.free.iter().map(|free| free.bytes).sum::<u64>(),
            active_free: if opened.is_sealed { 0 } else { active.free() },
            ready: 0,
            kept: opened.free.iter().map(|free| free.bytes).sum(),
            cap: settings.size_bytes_max,
            segment_bytes: settings.segment_bytes,
        };
        let pinned_bytes = pins.iter().map(|(key, value)| record::pin_bytes(key, value)).sum();
        let has_supplier = settings.segment_ahead;
        let shared = Arc::new_cyclic(|shared: &Weak<Shared<S>>| {
            let lead: Weak<dyn Lead> = shared.clone();
            let (own, soft) = (settings.durability, settings.frame_bytes_soft());
            Shared {
                extent: Extent::new(opened.entries, active.lsn, active.offset),
                queue: Mutex::new(Queue::new(active.lsn, space, soft, pinned_bytes, own, lead)),
                arrived: AtomicU64::new(0),
                work: Condvar::new(),
                pins: Mutex::new(pins.clone()),
                pen: Mutex::new(Pen::new(active, opened.is_sealed, pins)),
                supply: Supply::new(opened.free, has_supplier),
                names,
                holds: Holds::default(),
                truncation: Mutex::default(),
                id: opened.id,
                storage,
                settings,
            }
        });
        let supplier = if has_supplier {
            let supplied = shared.clone();
            Some(spawn("standpipe-wal-next", move || supplied.supply.run(&supplied))?)
        } else {
            None
        };
        let served = shared.clone();
        let serve = move || {
            Service::new().run(&served);
            served.supply.stop();
            if let Some(supplier) = supplier {
                // It catches its own panics.
                let _ = supplier.join();
            }
            // The directory is given up when nothing more will be written, and not before.
            drop(owner);
        };
        let thread = spawn("standpipe-wal", serve).inspect_err(|_| shared.supply.stop())?;
        Ok(Wal { shared, recovery: opened.recovery, thread: Mutex::new(Some(thread)) })
    }

    /// What opening found and did.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Appends a record that is made durable as it says, whatever the log's own [`Settings::durability`] is. Returns at once.
    ///
    /// A log that syncs shows its readers nothing that is not synced: what is appended as [`Durability::Os`] there is
    /// acknowledged when it is written, and synced, and shown, with the next group, or after 100 ms. The first such append of
    /// a log's life is synced before it is acknowledged: it notes that there are numbers that were told and may be lost, which
    /// are not given again.
    ///
    /// # Errors
    /// As [`append`](Log::append). [`LogError::Full`] also while a ticket is held that was told so after its append had been
    /// taken: what is appended without waiting has no holes.
    pub fn append_with(&self, record: Record<'_>, durability: Durability) -> Result<WalTicket, LogError> {
        let size = record.size_bytes();
        self.check_size(size as u64)?;
        let laid = size + record::HEADER_BYTES;
        let parts = [record.parts()].into_iter();
        let (group, lsn) = self.queued(|queue| queue.append(parts, laid, durability))?;
        Ok(WalTicket::new(group, lsn, stage(durability)))
    }

    /// Makes everything appended so far durable, whatever it was appended as. Blocks.
    ///
    /// # Errors
    /// [`LogError::Full`] when the disk had no room for something that was appended since the last call (its tickets say so
    /// too); the rest is durable. [`LogError::Poisoned`], [`LogError::Closed`]. [`LogError::Invalid`] within a waker that the
    /// log calls.
    pub fn sync(&self) -> Result<(), LogError> {
        let shared = &*self.shared;
        if shared.is_writing_here() {
            return Err(waits_for_itself());
        }
        let end = {
            let queue = lock(&shared.queue);
            queue.check()?;
            queue.next()
        };
        {
            let mut pen = lock(&shared.pen);
            // Another one may have seen to it meanwhile.
            if pen.synced() < end {
                shared.with_pen(&mut pen, |pen| {
                    pen.round(shared)?;
                    pen.sync(shared)
                });
            }
        }
        shared.pass_on();
        let mut queue = lock(&shared.queue);
        if let Standing::Poisoned(error) = &queue.standing {
            return Err(error.clone());
        }
        queue.refused.take().map_or(Ok(()), Err)
    }

    /// Keeps everything at and above `lsn`, whatever is truncated, until the hold is moved or dropped. The name is for
    /// [`holds`](Wal::holds).
    pub fn hold(&self, name: impl Into<String>, lsn: Lsn) -> Hold {
        self.shared.holds.hold(name.into(), lsn)
    }

    /// Everything that holds records in the log, the lowest first, and for how long it has not moved.
    #[must_use]
    pub fn holds(&self) -> Vec<HoldReport> {
        self.shared.holds.report()
    }

    /// The log's own durability.
    fn own(&self) -> Durability {
        self.shared.settings.durability
    }

    fn queued<T>(&self, change: impl FnOnce(&mut Queue) -> Result<T, LogError>) -> Result<T, LogError> {
        let mut queue = lock(&self.shared.queue);
        let out = change(&mut queue)?;
        self.shared.arrived.fetch_add(1, Ordering::Relaxed);
        // Whoever waits will see to it; the log's thread looks after the rest, at the latest when it is much.
        match queue.rest {
            Rest::Asleep => self.shared.work.notify_all(),
            Rest::Dozing if queue.waiting.bytes > UNATTENDED_BYTES_MAX => self.shared.wake(&mut queue),
            _ => {}
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
        self.append_with(record, self.own())
    }

    fn append_batch(&self, records: &[Record<'_>]) -> Result<WalTicket, LogError> {
        if records.is_empty() {
            return Err(LogError::Invalid("an empty batch has no number to return".to_owned()));
        }
        let laid = records.iter().map(|record| record.size_bytes() + record::HEADER_BYTES).sum::<usize>();
        self.check_size((laid - record::HEADER_BYTES) as u64)?;
        let parts = records.iter().map(Record::parts);
        let (group, lsn) = self.queued(|queue| queue.append(parts, laid, self.own()))?;
        Ok(WalTicket::new(group, lsn, stage(self.own())))
    }

    fn pin(&self, key: &[u8], value: &[u8]) -> Result<WalTicket, LogError> {
        self.check_size((key.len() + value.len()) as u64)?;
        let (group, lsn) = self.queued(|queue| queue.pin(key, value))?;
        Ok(WalTicket::new(group, lsn, stage(self.own())))
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

    /// Removes the segments that hold nothing at or above `lsn`, or at or above the lowest [`Hold`], except the last one.
    /// Blocks. One after the other, each synced, so that after a crash there is no gap. A segment whose removal did not
    /// reach the disk may be there again after power loss, whole. One file is kept for a segment to come.
    fn truncate_before(&self, lsn: Lsn) -> Result<(), LogError> {
        let shared = &*self.shared;
        let _alone = lock(&shared.truncation);
        shared.names.check()?;
        lock(&shared.queue).check()?;
        let lsn = shared.holds.lowest(lsn);
        while let Some(entry) = shared.extent.removable(lsn) {
            let name = segment::name(entry.sequence);
            let is_whole = entry.length == shared.settings.segment_bytes && !self.own().is_relaxed();
            let free = (is_whole && shared.supply.wants_free()).then(|| segment::free_name(entry.sequence));
            // First: whoever finds the file gone is told of a start behind it.
            shared.extent.forget(entry.sequence);
            shared.names.change(&shared.storage, &format!("after removing {name}"), |storage| {
                let removed = match &free {
                    Some(free) => storage.rename(&name, free),
                    None => storage.remove(&name),
                };
                match removed {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        shared.extent.restore(entry);
                        Err(LogError::io(format!("removing {name} from {}", storage.describe()), error))
                    }
                    _ => Ok(()),
                }
            })?;
            match free {
                Some(name) => {
                    lock(&shared.queue).space.kept += entry.length;
                    shared.supply.give(Free { name, bytes: entry.length });
                }
                None => {
                    let mut queue = lock(&shared.queue);
                    queue.space.taken = queue.space.taken.saturating_sub(entry.length);
                }
            }
        }
        Ok(())
    }

    /// Blocks until that is durable.
    fn advance_to(&self, lsn: Lsn) -> Result<(), LogError> {
        match self.queued(|queue| queue.advance(lsn))? {
            Some(group) => WalTicket::new(group, lsn, stage(self.own())).wait().map(|_| ()),
            // The numbers below are given away; that must survive as well.
            None if self.durable_end() < lsn => self.sync(),
            None => Ok(()),
        }
    }

    /// Everything reserved: the segment that is ready, and the file that is kept for one, too.
    fn size_bytes(&self) -> u64 {
        lock(&self.shared.queue).space.taken
    }

    fn close(&self) -> Result<(), LogError> {
        // Held throughout, so that a second closer returns when the log is closed and not before.
        let mut running = lock(&self.thread);
        // Nobody needs another segment.
        self.shared.supply.hurry();
        {
            let mut queue = lock(&self.shared.queue);
            if matches!(queue.standing, Standing::Open) {
                queue.standing = Standing::Closing;
                self.shared.work.notify_all();
            }
        }
        // A waker that drops the log's last owner runs on the thread that writes, for which the log's own would wait. That
        // one ends by itself.
        let is_inside = self.shared.is_writing_here();
        if let Some(thread) = running.take().filter(|_| !is_inside) {
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

fn stage(durability: Durability) -> Stage {
    if durability.is_relaxed() { Stage::Written } else { Stage::Synced }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LogError> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map_err(|error| LogError::io("starting the log's thread", error))
}
