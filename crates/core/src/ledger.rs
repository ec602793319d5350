use crate::{LaneId, SourceId};

/// The version of what a ledger row means, kept in its `format` column. Others are refused by name.
pub const LEDGER_FORMAT: u32 = 1;

/// One row of a target's ledger: how far a lane has come, and who may move it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// The lane.
    pub lane: LaneId,
    /// The number of lanes of the stream, fixed when it was first claimed.
    pub lanes: u32,
    /// Goes up by one with every claim; only the holder of the latest may commit.
    pub epoch: u64,
    /// Everything below this is applied.
    pub position: u64,
    /// What the positions count in.
    pub source: SourceId,
    /// What the source wants to remember about `position`; opaque to the target.
    pub source_position: String,
    /// The source ended here and all of it is applied.
    pub complete: bool,
    /// The version of the row's meaning.
    pub format: u32,
    /// Who claimed last: host, process and time, for people.
    pub owner: String,
    /// When it was written last, as the target's clock says, for people.
    pub updated_at: String,
}
