use std::time::Duration;

use crate::{Reason, Weight};

/// When a lane is due, and how large a batch may be. Plain data; the defaults suit a transactional database.
///
/// A lane is due when its rows or bytes reach the limit, or when its **oldest** item has waited for `age_max`; items that
/// come later never start the clock anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Most rows in a batch; 50,000 by default. A single item above it is a batch of its own.
    pub rows_max: u64,
    /// Most bytes in a batch; 4 MiB by default. A single item above it is a batch of its own.
    pub bytes_max: u64,
    /// How long the oldest item of a lane may wait; 1 s by default. `Duration::MAX` means for ever.
    pub age_max: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { rows_max: 50_000, bytes_max: 4 << 20, age_max: Duration::from_secs(1) }
    }
}

impl Policy {
    /// Why a lane of `weight` makes a whole batch, if it does.
    pub(crate) fn full(&self, weight: Weight) -> Option<Reason> {
        if weight.rows >= self.rows_max {
            Some(Reason::Rows)
        } else {
            (weight.bytes >= self.bytes_max).then_some(Reason::Bytes)
        }
    }
}

/// How much [`Lanes::take_more`](crate::Lanes::take_more) may add to a commit, over all the lanes it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JoinLimit {
    /// Most rows in all.
    pub rows: u64,
    /// Most bytes in all.
    pub bytes: u64,
    /// Most lanes.
    pub lanes: usize,
}
