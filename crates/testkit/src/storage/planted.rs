use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
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
}

impl StorageMistake {
    /// Every mistake once.
    pub const ALL: [StorageMistake; 12] = [
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
}

impl<S: Storage> Planted<S> {
    /// `storage`, broken in one way.
    pub fn new(storage: S, mistake: StorageMistake) -> Self {
        Planted { storage, mistake }
    }

    fn file(&self, file: S::File) -> PlantedFile<S::File> {
        PlantedFile { file, mistake: self.mistake, synced: AtomicBool::new(false) }
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
        match self.storage.create(&self.name(name)) {
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
            opened => Ok(self.file(opened?)),
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

/// A file of a [`Planted`] storage.
#[derive(Debug)]
pub struct PlantedFile<F> {
    file: F,
    mistake: StorageMistake,
    synced: AtomicBool,
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
        self.file.write_at(buf, offset)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
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
        if self.mistake == StorageMistake::AllocateNothing { Ok(()) } else { self.file.allocate(len) }
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
