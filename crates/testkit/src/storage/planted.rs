use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use standpipe_log::{File, Storage};

/// One way in which a storage can break its duties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StorageMistake {
    /// `sync_dir` does nothing (breaks duty 1 of `Storage`; visible only after a power cut).
    NoDirSync,
    /// `sync_data` and `sync_all` do nothing and say `Ok` (duty 2 of `File`; visible only after a power cut).
    LyingSync,
    /// A failed sync is tried again and the second answer is given (duty 3 of `File`; visible only after a power cut).
    RetryingSync,
    /// `create` opens a file that exists (duty 2).
    CreateOpens,
    /// `open` creates a file that is missing (duty 2).
    OpenCreates,
    /// `rename` removes the replaced file first, and so may leave neither (duty 3): here, it refuses to replace.
    RenameKeeps,
    /// `list` names a file twice (duty 4).
    ListRepeats,
    /// A second `lock` is given (duty 5).
    LockShared,
    /// Names that are no path component are bent into one (duty 6).
    AnyName,
    /// Bytes are read back only after a sync (duty 1 of `File`).
    StaleReads,
    /// `write_at` takes half and says that it took all (duty 4 of `File`).
    WriteOverstates,
    /// `allocate` does nothing (duty 5 of `File`).
    AllocateNothing,
    /// A write that fails says that it took all (duty 4 of `File`; visible only where writes fail).
    WriteErrorsIgnored,
    /// Once the disk was full, nothing is taken any more, however much room there is again.
    StaysFull,
    /// Opening a file reads it whole; breaks no duty, and makes opening a log as slow as reading it.
    ReadsWhole,
    /// A read beyond the last page of a file panics, as touching it ends a process that mapped it (duty 4 of `File`).
    DiesBeyondEnd,
}

/// The unit in which a file is mapped, in bytes.
const PAGE_BYTES: u64 = 4096;

impl StorageMistake {
    /// Every mistake once.
    pub const ALL: [StorageMistake; 16] = [
        StorageMistake::NoDirSync,
        StorageMistake::LyingSync,
        StorageMistake::RetryingSync,
        StorageMistake::CreateOpens,
        StorageMistake::OpenCreates,
        StorageMistake::RenameKeeps,
        StorageMistake::ListRepeats,
        StorageMistake::LockShared,
        StorageMistake::AnyName,
        StorageMistake::StaleReads,
        StorageMistake::WriteOverstates,
        StorageMistake::AllocateNothing,
        StorageMistake::WriteErrorsIgnored,
        StorageMistake::StaysFull,
        StorageMistake::ReadsWhole,
        StorageMistake::DiesBeyondEnd,
    ];
}

/// A storage with one mistake planted in it, to show that a suite or a sweep finds it.
///
/// ```
/// use standpipe_log::Storage;
/// use standpipe_testkit::{Cut, MemStorage, Planted, StorageMistake};
///
/// let disk = MemStorage::new();
/// let broken = Planted::new(disk.clone(), StorageMistake::NoDirSync);
/// broken.create("a")?;
/// broken.sync_dir()?;
/// assert!(disk.power_cut(Cut::LoseUnsynced).names().is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Planted<S> {
    storage: S,
    mistake: StorageMistake,
    was_full: Arc<AtomicBool>,
}

impl<S: Storage> Planted<S> {
    /// `storage`, broken in one way.
    pub fn new(storage: S, mistake: StorageMistake) -> Self {
        Planted { storage, mistake, was_full: Arc::default() }
    }

    fn file(&self, file: S::File) -> PlantedFile<S::File> {
        let (mistake, was_full) = (self.mistake, self.was_full.clone());
        PlantedFile { file, mistake, synced: AtomicBool::new(false), was_full }
    }

    fn name(&self, name: &str) -> String {
        if self.mistake != StorageMistake::AnyName {
            return name.to_owned();
        }
        match name {
            "" | "." | ".." => "_".to_owned(),
            _ => name.replace(['/', '\\', '\0'], "_"),
        }
    }
}

impl<S: Storage> Storage for Planted<S> {
    type File = PlantedFile<S::File>;
    type Lock = Option<S::Lock>;

    fn create(&self, name: &str) -> io::Result<Self::File> {
        match full(self.mistake, &self.was_full, || self.storage.create(&self.name(name))) {
            Err(error)
                if self.mistake == StorageMistake::CreateOpens
                    && error.kind() == io::ErrorKind::AlreadyExists =>
            {
                self.open(name)
            }
            made => Ok(self.file(made?)),
        }
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        match self.storage.open(&self.name(name)) {
            Err(error)
                if self.mistake == StorageMistake::OpenCreates && error.kind() == io::ErrorKind::NotFound =>
            {
                Ok(self.file(self.storage.create(name)?))
            }
            opened => {
                let file = opened?;
                if self.mistake == StorageMistake::ReadsWhole {
                    read_whole(&file)?;
                }
                Ok(self.file(file))
            }
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if self.mistake == StorageMistake::RenameKeeps && self.storage.open(to).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.storage.rename(&self.name(from), &self.name(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.storage.remove(&self.name(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = self.storage.list()?;
        if self.mistake == StorageMistake::ListRepeats {
            names.extend(names.first().cloned());
        }
        Ok(names)
    }

    fn lock(&self) -> io::Result<Self::Lock> {
        match self.storage.lock() {
            Err(error)
                if self.mistake == StorageMistake::LockShared
                    && error.kind() == io::ErrorKind::WouldBlock =>
            {
                Ok(None)
            }
            lock => lock.map(Some),
        }
    }

    fn sync_dir(&self) -> io::Result<()> {
        if self.mistake == StorageMistake::NoDirSync { Ok(()) } else { self.storage.sync_dir() }
    }

    fn describe(&self) -> String {
        format!("{} with {:?}", self.storage.describe(), self.mistake)
    }
}

/// [`StorageMistake::StaysFull`] around a call that needs room.
fn full<T>(
    mistake: StorageMistake,
    was_full: &AtomicBool,
    call: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    if mistake != StorageMistake::StaysFull {
        return call();
    }
    if was_full.load(Ordering::Acquire) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let outcome = call();
    if outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::StorageFull) {
        was_full.store(true, Ordering::Release);
    }
    outcome
}

fn read_whole(file: &impl File) -> io::Result<()> {
    let (mut page, mut at) = (vec![0; 64 << 10], 0);
    loop {
        match file.read_at(&mut page, at)? {
            0 => return Ok(()),
            read => at += read as u64,
        }
    }
}

/// A file of a [`Planted`] storage.
#[derive(Debug)]
pub struct PlantedFile<F> {
    file: F,
    mistake: StorageMistake,
    synced: AtomicBool,
    was_full: Arc<AtomicBool>,
}

impl<F: File> PlantedFile<F> {
    fn sync(&self, sync: impl Fn() -> io::Result<()>) -> io::Result<()> {
        self.synced.store(true, Ordering::Release);
        match self.mistake {
            StorageMistake::LyingSync => Ok(()),
            StorageMistake::RetryingSync => sync().or_else(|_| sync()),
            _ => sync(),
        }
    }
}

impl<F: File> File for PlantedFile<F> {
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        if self.mistake == StorageMistake::WriteOverstates {
            self.file.write_at(&buf[..buf.len() / 2], offset)?;
            return Ok(buf.len());
        }
        self.synced.store(false, Ordering::Release);
        let written = full(self.mistake, &self.was_full, || self.file.write_at(buf, offset));
        if self.mistake == StorageMistake::WriteErrorsIgnored { written.or(Ok(buf.len())) } else { written }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.mistake == StorageMistake::DiesBeyondEnd {
            let end = self.file.len()?.next_multiple_of(PAGE_BYTES);
            assert!(offset + buf.len() as u64 <= end, "planted: touched beyond the end of a mapped file");
        }
        let read = self.file.read_at(buf, offset)?;
        if self.mistake == StorageMistake::StaleReads && !self.synced.load(Ordering::Acquire) {
            buf[..read].fill(0);
        }
        Ok(read)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(|| self.file.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(|| self.file.sync_all())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        match self.mistake {
            StorageMistake::AllocateNothing => Ok(()),
            mistake => full(mistake, &self.was_full, || self.file.allocate(len)),
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
