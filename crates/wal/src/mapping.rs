use std::{io, ops::Deref, ptr::NonNull, slice};

use rustix::mm::{MapFlags, ProtFlags};
use standpipe_log::File;

use crate::{
    dir::DirFile,
    planted::{self, Plant},
};

/// How far ahead pages are asked for, in bytes.
const AHEAD_BYTES: u64 = 1 << 20;
/// Where a range of pages may start.
const PAGE_BYTES: u64 = 64 << 10;

/// The beginning of a sealed segment as memory. Whoever looks at a place asks for it with [`reach`](Mapping::reach) first.
///
/// Nothing of ours changes the file meanwhile: only a replay makes one, and while that lasts the log has no value to append
/// to or to truncate, and keeps its directory for itself.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
    /// Below this, pages were there when they were asked for.
    reached: u64,
}

// SAFETY: it is memory of the whole process, which nothing writes to, and whoever drops it was its only owner.
#[allow(unsafe_code, reason = "the pointer is the only field that is neither by itself")]
unsafe impl Send for Mapping {}
// SAFETY: as above.
#[allow(unsafe_code, reason = "as above")]
unsafe impl Sync for Mapping {}

impl Mapping {
    /// The first `bytes` bytes of a file.
    pub(crate) fn of(file: &DirFile, bytes: u64) -> io::Result<Self> {
        let length = usize::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput)?;
        let (read, shared) = (ProtFlags::READ, MapFlags::SHARED);
        // SAFETY: the system chooses a place where nothing is; no memory that is in use changes.
        #[allow(unsafe_code, reason = "there is no other way to map a file")]
        let start = unsafe { rustix::mm::mmap(std::ptr::null_mut(), length, read, shared, file.inner(), 0)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { start, length, reached: 0 })
    }

    /// Whether these bytes may be looked at: the file still has them, and the system could read them. What it cannot read
    /// is an answer here, and would be a SIGBUS where it is looked at.
    pub(crate) fn reach<F: File>(&mut self, file: &F, at: u64, bytes: usize) -> bool {
        let end = at.saturating_add(bytes as u64);
        if end <= self.reached || planted::is(Plant::TrustsMappings) {
            return true;
        }
        let Ok(file_bytes) = file.len() else { return false };
        let there = file_bytes.min(self.length as u64);
        let from = at.max(self.reached) / PAGE_BYTES * PAGE_BYTES;
        let to = end.max(from + AHEAD_BYTES).min(there);
        if end > there || !self.populate(from as usize, to as usize) {
            return false;
        }
        self.reached = to;
        true
    }

    /// Has the system read these pages now. `false` where it failed; a system that cannot be asked reads them when they are
    /// looked at.
    #[cfg(target_os = "linux")]
    fn populate(&self, from: usize, to: usize) -> bool {
        use rustix::{io::Errno, mm::Advice};
        let place = self.start.as_ptr().wrapping_add(from).cast();
        // SAFETY: the range lies within the mapping, and reading it in changes nothing that can be seen.
        #[allow(unsafe_code, reason = "madvise takes a pointer")]
        let populated = unsafe { rustix::mm::madvise(place, to - from, Advice::LinuxPopulateRead) };
        matches!(populated, Ok(()) | Err(Errno::INVAL))
    }

    #[cfg(not(target_os = "linux"))]
    fn populate(&self, _: usize, _: usize) -> bool {
        true
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `length` bytes are mapped at `start`, readable, until this is dropped. Nothing of ours writes to the file
        // as long; what an outsider may do to it, and what comes of that, the documentation of `Replay::mapped` says.
        #[allow(unsafe_code, reason = "a mapping is a pointer and a length")]
        unsafe {
            slice::from_raw_parts(self.start.as_ptr(), self.length)
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nobody has a borrow of it any more.
        #[allow(unsafe_code, reason = "the only way to give it back")]
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.length) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}
