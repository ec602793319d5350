use std::{
    fs, io,
    num::NonZeroU64,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{Advice, FallocateFlags};
use standpipe_log::{File, FileExt as _, Storage};

static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// A directory of the file system, as a [`Storage`]. Its lock is `flock` on the directory itself: advisory, and gone
/// with the process.
#[derive(Debug)]
pub struct Dir {
    path: PathBuf,
    handle: fs::File,
}

impl Dir {
    /// Opens a directory, and makes it (durably) when it is not there. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        make_durably(path)?;
        Dir::open_existing(path)
    }

    /// Opens a directory that must be there; for tools that must not make one. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn open_existing(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        if !fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Dir { path: path.to_path_buf(), handle: fs::File::open(path)? })
    }

    fn place(&self, name: &str) -> io::Result<PathBuf> {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a file name: {name:?}")));
        }
        Ok(self.path.join(name))
    }
}

/// Makes the directory and syncs every parent that got a new entry, without which the log could vanish whole.
fn make_durably(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make_durably(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::File::open(parent)?.sync_all()
}

impl Storage for Dir {
    type File = DirFile;
    type Lock = DirLock;

    fn create(&self, name: &str) -> io::Result<DirFile> {
        let path = self.place(name)?;
        fs::OpenOptions::new().read(true).write(true).create_new(true).open(path).map(DirFile)
    }

    fn open(&self, name: &str) -> io::Result<DirFile> {
        fs::OpenOptions::new().read(true).write(true).open(self.place(name)?).map(DirFile)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.place(from)?, self.place(to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.place(name)?)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        files_of(&self.path)
    }

    fn lock(&self) -> io::Result<DirLock> {
        DirLock::of(&self.path)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }
}

/// The names of a directory's files.
pub(crate) fn files_of(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // Names that are no UTF-8 cannot be ours.
        if let (true, Ok(name)) = (entry.file_type()?.is_file(), entry.file_name().into_string()) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Keeps a [`Dir`] for one owner until it is dropped.
#[derive(Debug)]
pub struct DirLock {
    _handle: fs::File,
}

impl DirLock {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        // A handle of its own: `flock` belongs to the open file, so that a second lock by the same owner is refused.
        let handle = fs::File::open(path)?;
        match handle.try_lock() {
            Ok(()) => Ok(DirLock { _handle: handle }),
            Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// A file of a [`Dir`].
#[derive(Debug)]
pub struct DirFile(fs::File);

#[cfg(feature = "mmap")]
impl DirFile {
    pub(crate) fn inner(&self) -> &fs::File {
        &self.0
    }
}

impl File for DirFile {
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(buf, offset)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        loop {
            match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, len) {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => break,
                Err(error) => return Err(error.into()),
            }
        }
        // A sparse file would let a later write fail for want of space; zeros that are really written do not.
        let mut at = self.len()?;
        while at < len {
            let step = usize::try_from(len - at).unwrap_or(usize::MAX).min(ZEROS.len());
            self.write_all_at(&ZEROS[..step], at)?;
            at += step as u64;
        }
        Ok(())
    }

    fn write_out(&self, offset: u64, len: u64) {
        // What the system begins to write it keeps meanwhile; it lets go of pages only that are on the disk already.
        let _ = rustix::fs::fadvise(&self.0, offset, NonZeroU64::new(len), Advice::DontNeed);
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
