use std::ops::ControlFlow;

use standpipe_log::{LogError, Storage};

use crate::inspect::{Inspection, Watch, inspect_watched};

/// What [`verify`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// Everything that was seen.
    pub inspection: Inspection,
}

impl Verification {
    /// Whether every durable record is as it was written. A directory without a segment is sound.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.inspection.damage.is_empty()
    }

    /// Sound frames, whose checksums were checked.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.inspection.segments.iter().map(|segment| segment.frames).sum()
    }

    /// Records in them, pins and marks included.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.inspection.segments.iter().map(|segment| segment.records).sum()
    }

    /// Whether a record may be lost.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        self.inspection.damage.iter().any(|damage| damage.lost.is_some())
    }
}

/// Checks every checksum of the log in a storage, that each frame follows on the one before and each segment on the one before, and that
/// segments end where their successors say. As [`inspect`](crate::inspect()) in all else.
///
/// # Errors
/// As [`inspect`](crate::inspect()).
pub fn verify<S: Storage>(storage: &S) -> Result<Verification, LogError> {
    verify_watched(storage, &mut |_| ControlFlow::Continue(()))
}

/// [`verify`] with someone who watches.
///
/// # Errors
/// As [`verify`]; [`LogError::Io`] of the kind `Interrupted` when the watcher breaks.
pub fn verify_watched<S: Storage>(storage: &S, watch: Watch<'_>) -> Result<Verification, LogError> {
    inspect_watched(storage, watch).map(|inspection| Verification { inspection })
}
