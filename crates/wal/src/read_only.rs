use std::{
    fs, io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use standpipe_log::{File, Storage};

use crate::{
    dir::{DirLock, files_of},
    segment,
};

/// A directory of the file system that is only looked at: every call that would change something is refused
/// (`ReadOnlyFilesystem`), files are opened for reading and nothing else, and symbolic links are not followed. For
/// [`inspect`](crate::inspect), [`verify`](crate::verify), [`dump`](crate::dump) and the source of a
/// [`repair`](crate::repair).
#[derive(Debug)]
pub struct ReadOnlyDir {
    path: PathBuf,
}

impl ReadOnlyDir {
    /// A directory that must be there. Blocks.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, or what the system says.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        if !fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        // Whether it may be read is better said now than in the middle.
        fs::read_dir(path)?;
        Ok(ReadOnlyDir { path: path.to_path_buf() })
    }

    /// What has a segment's name and is no plain file, a symbolic link for example: a log does not follow it. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn misfits(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if let (false, Ok(name)) = (entry.file_type()?.is_file(), entry.file_name().into_string())
                && segment::sequence_of(&name).is_some()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

impl Storage for ReadOnlyDir {
    type File = ReadOnlyFile;
    type Lock = DirLock;

    fn create(&self, _: &str) -> io::Result<ReadOnlyFile> {
        Err(refused())
    }

    fn open(&self, name: &str) -> io::Result<ReadOnlyFile> {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a file name: {name:?}")));
        }
        // Not blocking, so that a pipe that took a file's place since it was listed holds nobody up.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let opened = fs::OpenOptions::new()
            .read(true)
            .custom_flags(i32::try_from(flags).unwrap_or(0))
            .open(self.path.join(name))?;
        if !opened.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file"));
        }
        Ok(ReadOnlyFile(opened))
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(refused())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Err(refused())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        files_of(&self.path)
    }

    fn lock(&self) -> io::Result<DirLock> {
        DirLock::of(&self.path)
    }

    fn sync_dir(&self) -> io::Result<()> {
        Err(refused())
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }
}

/// A file of a [`ReadOnlyDir`].
#[derive(Debug)]
pub struct ReadOnlyFile(fs::File);

impl File for ReadOnlyFile {
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(refused())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(refused())
    }

    fn sync_all(&self) -> io::Result<()> {
        Err(refused())
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        Err(refused())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

fn refused() -> io::Error {
    io::ErrorKind::ReadOnlyFilesystem.into()
}
