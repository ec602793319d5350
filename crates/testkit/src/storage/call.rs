/// What was called: the methods of `Storage` and of `File` that reach the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallKind {
    /// `Storage::create`
    Create,
    /// `Storage::open`
    Open,
    /// `Storage::rename`
    Rename,
    /// `Storage::remove`
    Remove,
    /// `Storage::list`
    List,
    /// `Storage::lock`
    Lock,
    /// `Storage::sync_dir`
    SyncDir,
    /// `File::write_at`
    WriteAt,
    /// `File::read_at`
    ReadAt,
    /// `File::sync_data`
    SyncData,
    /// `File::sync_all`
    SyncAll,
    /// `File::allocate`
    Allocate,
    /// `File::len`
    Len,
}

impl CallKind {
    /// Every kind once, for sweeps.
    pub const ALL: [CallKind; 13] = [
        CallKind::Create,
        CallKind::Open,
        CallKind::Rename,
        CallKind::Remove,
        CallKind::List,
        CallKind::Lock,
        CallKind::SyncDir,
        CallKind::WriteAt,
        CallKind::ReadAt,
        CallKind::SyncData,
        CallKind::SyncAll,
        CallKind::Allocate,
        CallKind::Len,
    ];

    /// Whether the call can change what is on disk.
    #[must_use]
    pub const fn changes_disk(self) -> bool {
        !matches!(self, CallKind::Open | CallKind::List | CallKind::Lock | CallKind::ReadAt | CallKind::Len)
    }
}

/// One call as it was made, whether it succeeded or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its running number, from 1.
    pub number: u64,
    /// What was called.
    pub kind: CallKind,
    /// The file's name when it was opened; empty for calls on the whole directory.
    pub file: String,
    /// The new name of a rename.
    pub to: Option<String>,
    /// Where in the file, in bytes; 0 where it means nothing.
    pub offset: u64,
    /// How many bytes were asked for, or the length to allocate; 0 where it means nothing.
    pub len: u64,
}
