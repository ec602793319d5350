use std::{fmt, io, sync::Arc};

use standpipe_log::File;

use super::{
    call::CallKind,
    disk::FileId,
    fault::Fault,
    mem::{Entered, Shared},
};

/// An open file of a [`MemStorage`](super::MemStorage).
///
/// It stays usable after its name was removed, as on Unix.
pub struct MemFile {
    shared: Arc<Shared>,
    id: FileId,
    name: String,
}

impl MemFile {
    pub(crate) fn new(shared: Arc<Shared>, id: FileId, name: &str) -> Self {
        MemFile { shared, id, name: name.to_owned() }
    }

    fn sync(&self, kind: CallKind) -> io::Result<()> {
        let entered = self.shared.enter(kind, &self.name, None, 0, 0)?;
        let mut state = self.shared.state();
        let contents = state.disk.contents_mut(self.id);
        match entered.failure() {
            // A signal that arrives before the sync began leaves the pages as they were.
            Some(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Some(error) => {
                contents.fail_sync(entered.latest_change);
                Err(error)
            }
            None => {
                contents.sync(entered.latest_change);
                Ok(())
            }
        }
    }
}

impl File for MemFile {
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let entered = self.shared.enter(CallKind::WriteAt, &self.name, None, offset, buf.len() as u64)?;
        let mut state = self.shared.state();
        let taken = match entered {
            Entered { fault: Some(Fault::Short(most) | Fault::Partial { bytes: most, .. }), .. } => {
                most.min(buf.len())
            }
            Entered { fault: None, .. } => buf.len(),
            _ => 0,
        };
        let written = if taken == 0 && entered.fault.is_some() {
            Ok(0)
        } else {
            state.disk.write(self.id, &buf[..taken], offset)
        };
        match entered.failure() {
            Some(error) => Err(error),
            None => written,
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let entered = self.shared.enter(CallKind::ReadAt, &self.name, None, offset, buf.len() as u64)?;
        if let Some(error) = entered.failure() {
            return Err(error);
        }
        let most = match entered.fault {
            Some(Fault::Short(most)) => most.min(buf.len()),
            _ => buf.len(),
        };
        let mut state = self.shared.state();
        let visible = &state.disk.contents_mut(self.id).visible;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(visible.len());
        let read = most.min(visible.len() - start);
        buf[..read].copy_from_slice(&visible[start..start + read]);
        Ok(read)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(CallKind::SyncData)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(CallKind::SyncAll)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let entered = self.shared.enter(CallKind::Allocate, &self.name, None, 0, len)?;
        if let Some(error) = entered.failure() {
            return Err(error);
        }
        self.shared.state().disk.allocate(self.id, len)
    }

    fn len(&self) -> io::Result<u64> {
        let entered = self.shared.enter(CallKind::Len, &self.name, None, 0, 0)?;
        if let Some(error) = entered.failure() {
            return Err(error);
        }
        Ok(self.shared.state().disk.contents_mut(self.id).visible.len() as u64)
    }
}

impl Drop for MemFile {
    fn drop(&mut self) {
        self.shared.state().disk.close(self.id);
    }
}

impl fmt::Debug for MemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemFile").field("name", &self.name).finish_non_exhaustive()
    }
}
