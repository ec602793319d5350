use std::io;

/// The files of one directory: all that a log asks of a file system. Every call blocks.
///
/// # Duties of an implementer
/// 1. `create`, `rename` and `remove` survive power loss only after `sync_dir` returned; until then any of them may
///    or may not have happened.
/// 2. `create` refuses a name that exists (`AlreadyExists`); `open` one that doesn't (`NotFound`).
/// 3. `rename` replaces the new name's file in one step.
/// 4. `list` names every file once, in any order, and nothing else.
/// 5. While a lock lives, a second `lock` of the same directory fails with `WouldBlock`, in this process and others. The lock goes with
///    its holder, however that ends.
/// 6. A name is one path component: empty names and names with separators are refused (`InvalidInput`).
pub trait Storage: Send + Sync + 'static {
    /// An open file.
    type File: File;
    /// Held for as long as the directory is owned.
    type Lock: Send + Sync + 'static;

    /// Makes an empty file, open for reading and writing.
    ///
    /// # Errors
    /// `AlreadyExists`, or what the system says.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Gives a file another name, in place of a file that had it.
    ///
    /// # Errors
    /// What the system says; neither name is then lost.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The names of all files.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Takes the directory for one owner.
    ///
    /// # Errors
    /// `WouldBlock` when it has one.
    fn lock(&self) -> io::Result<Self::Lock>;

    /// Makes names durable: creations, renames, removals up to now.
    ///
    /// # Errors
    /// What the system says; which names are durable is then unknown.
    fn sync_dir(&self) -> io::Result<()>;

    /// Where this is, for messages.
    fn describe(&self) -> String;
}

/// One open file. Calls take an offset, so that readers and the writer share no cursor. Every call blocks.
///
/// # Duties of an implementer
/// 1. Written bytes are read back at once by anyone in this process, durable or not.
/// 2. Written bytes are durable only after `sync_data` or `sync_all` returned `Ok`; until then any part of them may be lost,
///    in any order.
/// 3. After a failed sync nothing may be concluded about bytes that were unsynced then, not even from a later `Ok`.
/// 4. `write_at` may write less than asked, and says how much; `read_at` reads less only at the end of the file or on a
///    short read, 0 only at the end.
/// 5. `allocate` makes the file at least `len` long, reads as zeros what was not written, and reserves the space: a later write inside
///    it does not fail for want of space.
pub trait File: Send + Sync + 'static {
    /// Writes at `offset` and returns how many bytes were taken.
    ///
    /// # Errors
    /// What the system says; any part of the range may then hold anything.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// Reads at `offset` and returns how many bytes came.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Makes the contents durable, and of the metadata what reading them needs.
    ///
    /// # Errors
    /// See duty 3.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes contents and all metadata durable.
    ///
    /// # Errors
    /// See duty 3.
    fn sync_all(&self) -> io::Result<()>;

    /// Reserves space up to `len` bytes. Never shrinks.
    ///
    /// # Errors
    /// `StorageFull`, or what the system says.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Has the system begin to bring a range to the disk. Only a hint, for whoever syncs later: promises nothing, and need
    /// not do anything.
    fn write_out(&self, _offset: u64, _len: u64) {}

    /// The length in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// As [`len`](File::len).
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Whole reads and writes on top of [`File`]: short and interrupted calls are carried on.
pub trait FileExt: File {
    /// Writes all of `buf`.
    ///
    /// # Errors
    /// The first error that is not an interruption; `WriteZero` when the file takes nothing more.
    fn write_all_at(&self, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.write_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    buf = &buf[written..];
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fills `buf` as far as the file goes and returns how many bytes that were.
    ///
    /// # Errors
    /// The first error that is not an interruption.
    fn read_full_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.read_at(&mut buf[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl<F: File + ?Sized> FileExt for F {}
