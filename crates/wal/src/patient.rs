use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use standpipe_log::File;

/// What the file system reads, or refuses to read, at once.
const PAGE_BYTES: u64 = 4096;
/// What Linux answers where a medium cannot be read, or a file system's own checksums are wrong.
const EIO: i32 = 5;
const EBADMSG: i32 = 74;
const EUCLEAN: i32 = 117;

/// A file of which a medium may have lost a part: pages that cannot be read read as zeros, and are counted. For tools
/// that go on past damage; the checksums behind them tell.
#[derive(Debug)]
pub(crate) struct Patient<F> {
    file: F,
    unreadable: AtomicU64,
}

impl<F: File> Patient<F> {
    pub(crate) fn new(file: F) -> Self {
        Patient { file, unreadable: AtomicU64::new(0) }
    }

    /// How many bytes could not be read so far; those that were tried twice count twice.
    pub(crate) fn unreadable_bytes(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }
}

impl<F: File> File for Patient<F> {
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let error = match self.file.read_at(buf, offset) {
            Err(error) if is_lost(&error) => error,
            other => return other,
        };
        // Page by page, so that the sound ones around it are not lost with it.
        let page_end = (offset / PAGE_BYTES + 1) * PAGE_BYTES;
        let within = usize::try_from(page_end - offset).unwrap_or(usize::MAX).min(buf.len());
        if within == 0 {
            return Err(error);
        }
        match self.file.read_at(&mut buf[..within], offset) {
            Err(error) if is_lost(&error) => {
                buf[..within].fill(0);
                self.unreadable.fetch_add(within as u64, Ordering::Relaxed);
                Ok(within)
            }
            other => other,
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_all(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

fn is_lost(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EIO | EBADMSG | EUCLEAN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use standpipe_log::{FileExt, Storage};
    use standpipe_testkit::{CallKind, Fault, MemStorage};

    #[test]
    fn a_page_that_cannot_be_read_reads_as_zeros_and_the_others_as_they_are() {
        let disk = MemStorage::new();
        disk.create("f").unwrap().write_all_at(&[7; 20_000], 0).unwrap();
        let file = Patient::new(disk.open("f").unwrap());
        // The read of all, and that of its first page.
        disk.fail_nth(CallKind::ReadAt, 1, Fault::EIO);
        disk.fail_nth(CallKind::ReadAt, 2, Fault::EIO);
        let mut bytes = vec![1; 20_000];
        assert_eq!(file.read_full_at(&mut bytes, 5000).unwrap(), 15_000);
        assert!(bytes[..8192 - 5000].iter().all(|byte| *byte == 0));
        assert!(bytes[8192 - 5000..15_000].iter().all(|byte| *byte == 7));
        assert_eq!(file.unreadable_bytes(), 8192 - 5000);
        disk.fail_nth(CallKind::ReadAt, 1, Fault::Os(13));
        assert!(file.read_full_at(&mut bytes, 0).is_err(), "want of rights is no damage");
    }
}
