use standpipe_log::Lsn;

/// The end of a segment that gets nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) end: u64,
    pub(crate) end_lsn: Lsn,
    /// The checksum of its last frame.
    pub(crate) chain: u32,
}
