use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

pub(crate) type FileId = u64;
pub(crate) type Names = BTreeMap<String, FileId>;

/// The state of a whole simulated disk: what the process sees, what is durable, and the changes between the two.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) files: BTreeMap<FileId, Contents>,
    pub(crate) visible: Names,
    pub(crate) durable: Names,
    pub(crate) unsynced_names: Vec<(u64, NameChange)>,
    pub(crate) capacity_bytes: Option<u64>,
    next_file: FileId,
    changes: u64,
}

/// One file: the page cache, the platter, and what lies between.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    pub(crate) visible: Vec<u8>,
    pub(crate) durable: Vec<u8>,
    /// Written and not synced: the next good sync makes them durable.
    pub(crate) unsynced: Vec<Change>,
    /// Unsynced when a sync failed: the cache calls them clean, so no sync writes them again. The disk may have some.
    pub(crate) limbo: Vec<Change>,
    pub(crate) handles: u32,
}

/// Bytes at an offset. Without bytes it stretches the file to `offset`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) order: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
}

/// A change of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NameChange {
    Create { name: String, file: FileId },
    Rename { from: String, to: String, file: FileId },
    Remove { name: String, file: FileId },
}

impl Disk {
    /// A disk on which everything visible is durable.
    pub(crate) fn settled(files: BTreeMap<String, Vec<u8>>, capacity_bytes: Option<u64>) -> Self {
        let mut disk = Disk { capacity_bytes, ..Disk::default() };
        for (name, bytes) in files {
            let id = disk.next_file;
            disk.next_file += 1;
            disk.files.insert(id, Contents { visible: bytes.clone(), durable: bytes, ..Contents::default() });
            disk.visible.insert(name, id);
        }
        disk.durable = disk.visible.clone();
        disk
    }

    /// The number of the latest change; a sync covers the changes up to the one that was the latest when it began.
    pub(crate) fn latest_change(&self) -> u64 {
        self.changes
    }

    fn next_change(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    pub(crate) fn create(&mut self, name: &str) -> io::Result<FileId> {
        if self.visible.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = self.next_file;
        self.next_file += 1;
        self.files.insert(file, Contents { handles: 1, ..Contents::default() });
        self.visible.insert(name.to_owned(), file);
        self.note(NameChange::Create { name: name.to_owned(), file });
        Ok(file)
    }

    pub(crate) fn open(&mut self, name: &str) -> io::Result<FileId> {
        let file = self.find(name)?;
        self.contents_mut(file).handles += 1;
        Ok(file)
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let file = self.find(from)?;
        if from != to {
            self.visible.remove(from);
            self.visible.insert(to.to_owned(), file);
            self.note(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), file });
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &str) -> io::Result<()> {
        let file = self.find(name)?;
        self.visible.remove(name);
        self.note(NameChange::Remove { name: name.to_owned(), file });
        Ok(())
    }

    pub(crate) fn sync_names(&mut self, up_to: u64) {
        let split = self.unsynced_names.partition_point(|(order, _)| *order <= up_to);
        for (_, change) in self.unsynced_names.drain(..split) {
            change.apply(&mut self.durable);
        }
        self.drop_unreachable();
    }

    /// Writes what there is room for. `StorageFull` when there is room for nothing.
    pub(crate) fn write(&mut self, file: FileId, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let asked_end = end_of(offset, bytes.len())?;
        let end = asked_end.min(self.room_end(file));
        if end <= offset {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = usize::try_from(end - offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.change(file, offset, bytes[..taken].to_vec());
        Ok(taken)
    }

    pub(crate) fn allocate(&mut self, file: FileId, len: u64) -> io::Result<()> {
        let present = self.contents_mut(file).visible.len() as u64;
        if len <= present {
            return Ok(());
        }
        end_of(len, 0)?;
        if len > self.room_end(file) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.change(file, len, Vec::new());
        Ok(())
    }

    /// How far this file can reach with the space that is left.
    fn room_end(&self, file: FileId) -> u64 {
        let present = self.files.get(&file).map_or(0, |contents| contents.visible.len() as u64);
        match self.capacity_bytes {
            None => u64::MAX,
            Some(capacity) => present.saturating_add(capacity.saturating_sub(self.used_bytes())),
        }
    }

    /// The bytes of every file that has a name or is held open.
    pub(crate) fn used_bytes(&self) -> u64 {
        let named: BTreeSet<FileId> = self.visible.values().copied().collect();
        self.files
            .iter()
            .filter(|(id, contents)| contents.handles > 0 || named.contains(id))
            .map(|(_, contents)| contents.visible.len() as u64)
            .sum()
    }

    fn change(&mut self, file: FileId, offset: u64, bytes: Vec<u8>) {
        let order = self.next_change();
        let change = Change { order, offset, bytes };
        let contents = self.contents_mut(file);
        change.apply(&mut contents.visible);
        contents.unsynced.push(change);
    }

    pub(crate) fn contents_mut(&mut self, file: FileId) -> &mut Contents {
        self.files.entry(file).or_default()
    }

    pub(crate) fn find(&self, name: &str) -> io::Result<FileId> {
        self.visible.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(crate) fn close(&mut self, file: FileId) {
        let contents = self.contents_mut(file);
        contents.handles = contents.handles.saturating_sub(1);
        self.drop_unreachable();
    }

    fn note(&mut self, change: NameChange) {
        let order = self.next_change();
        self.unsynced_names.push((order, change));
    }

    /// Frees files that neither a handle, nor a name, nor an unsynced change of names can bring back.
    fn drop_unreachable(&mut self) {
        let mut named: BTreeSet<FileId> =
            self.visible.values().chain(self.durable.values()).copied().collect();
        named.extend(self.unsynced_names.iter().map(|(_, change)| change.file()));
        self.files.retain(|id, contents| contents.handles > 0 || named.contains(id));
    }
}

impl Contents {
    /// A good sync: changes up to `up_to` are durable.
    pub(crate) fn sync(&mut self, up_to: u64) {
        let split = self.unsynced.partition_point(|change| change.order <= up_to);
        for change in self.unsynced.drain(..split) {
            change.apply(&mut self.durable);
            if !self.limbo.is_empty() {
                self.limbo = self.limbo.drain(..).flat_map(|old| old.without(&change)).collect();
            }
        }
    }

    /// A failed sync: the pages are marked clean, so what was unsynced is never written by a later sync.
    pub(crate) fn fail_sync(&mut self, up_to: u64) {
        let split = self.unsynced.partition_point(|change| change.order <= up_to);
        self.limbo.extend(self.unsynced.drain(..split));
    }
}

impl Change {
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// Applies the whole change to an image.
    pub(crate) fn apply(&self, image: &mut Vec<u8>) {
        let (Ok(start), Ok(end)) = (usize::try_from(self.offset), usize::try_from(self.end())) else {
            return;
        };
        if image.len() < end {
            image.resize(end, 0);
        }
        image[start..end].copy_from_slice(&self.bytes);
    }

    /// The part of this change from `from` up to `to`, both offsets in the file.
    pub(crate) fn part(&self, from: u64, to: u64) -> Option<Change> {
        let (from, to) = (from.max(self.offset), to.min(self.end()));
        if from >= to {
            return None;
        }
        let bytes = self.bytes[(from - self.offset) as usize..(to - self.offset) as usize].to_vec();
        Some(Change { order: self.order, offset: from, bytes })
    }

    /// What is left of this change where `newer` did not write.
    fn without(self, newer: &Change) -> Vec<Change> {
        if self.bytes.is_empty() {
            return vec![self];
        }
        [self.part(0, newer.offset), self.part(newer.end(), u64::MAX)].into_iter().flatten().collect()
    }
}

impl NameChange {
    /// Applies the change to a directory. A change whose file is not there under the old name does nothing: it
    /// cannot have happened when what it builds on did not.
    pub(crate) fn apply(&self, names: &mut Names) {
        match self {
            NameChange::Create { name, file } => {
                names.insert(name.clone(), *file);
            }
            NameChange::Rename { from, to, file } => {
                if names.get(from) == Some(file) {
                    names.remove(from);
                    names.insert(to.clone(), *file);
                }
            }
            NameChange::Remove { name, file } => {
                if names.get(name) == Some(file) {
                    names.remove(name);
                }
            }
        }
    }

    fn file(&self) -> FileId {
        match self {
            NameChange::Create { file, .. }
            | NameChange::Rename { file, .. }
            | NameChange::Remove { file, .. } => *file,
        }
    }
}

/// The largest file the model holds: a length beyond it is a mistake of the caller, not a request for memory.
const FILE_BYTES_MAX: u64 = 1 << 32;

fn end_of(offset: u64, len: usize) -> io::Result<u64> {
    match offset.checked_add(len as u64) {
        Some(end) if end <= FILE_BYTES_MAX => Ok(end),
        _ => Err(io::ErrorKind::FileTooLarge.into()),
    }
}
