use crate::{Claim, Error};

/// How a commit whose outcome was unknown ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It was committed, and the lanes are still ours.
    Committed,
    /// It was not committed, and never will be; the lanes are still ours.
    NotCommitted,
    /// The lanes have another owner. `committed` tells about our last commit.
    Fenced {
        /// Whether it was committed before the lanes were taken.
        committed: bool,
    },
}

/// What one lane's row in the ledger says about such a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneOutcome {
    /// The lane is still ours.
    Ours {
        /// Whether it has moved.
        committed: bool,
    },
    /// Another's. A position at or above the move's end may be the new owner's doing: it counts only where no lane
    /// says no.
    Taken {
        /// Whether it is at the move's end or above.
        committed: bool,
    },
}

impl LaneOutcome {
    /// What the ledger says of a move from the claim's position `to` another: whether the epoch is still the claim's, and
    /// the position, read behind every commit in flight. `None` where the ledger has no row of the lane.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when that fits neither outcome.
    pub fn of(claim: &Claim, to: u64, ours: bool, position: Option<u64>) -> Result<Self, Error> {
        let Some(position) = position else {
            return Err(Error::invalid(format!("the ledger has no row of {} any more", claim.lane)));
        };
        if !ours {
            return Ok(LaneOutcome::Taken { committed: position >= to });
        }
        if position == to {
            return Ok(LaneOutcome::Ours { committed: true });
        }
        if position == claim.position {
            return Ok(LaneOutcome::Ours { committed: false });
        }
        Err(Error::invalid(format!(
            "{} is at {position}, which is neither {} nor {to}, where a commit could have left it",
            claim.lane, claim.position
        )))
    }
}

impl Resolution {
    /// What all lanes of one commit say together.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) without lanes, or when some have moved and others have not.
    pub fn agree(lanes: &[LaneOutcome]) -> Result<Self, Error> {
        if lanes.is_empty() {
            return Err(Error::invalid("no moves, so there is no commit to ask about"));
        }
        let says = |committed| {
            lanes.contains(&LaneOutcome::Ours { committed })
                || lanes.contains(&LaneOutcome::Taken { committed })
        };
        let refuted = says(false);
        if refuted && lanes.contains(&LaneOutcome::Ours { committed: true }) {
            return Err(Error::invalid(
                "some lanes of one commit have moved and others have not; the ledger was changed by hand",
            ));
        }
        let fenced = lanes.iter().any(|lane| matches!(lane, LaneOutcome::Taken { .. }));
        Ok(match (fenced, refuted) {
            (true, refuted) => Resolution::Fenced { committed: !refuted },
            (false, true) => Resolution::NotCommitted,
            (false, false) => Resolution::Committed,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn all_lanes_must_agree() {
        let (done, undone) = (LaneOutcome::Ours { committed: true }, LaneOutcome::Ours { committed: false });
        let (above, below) =
            (LaneOutcome::Taken { committed: true }, LaneOutcome::Taken { committed: false });
        let agree = Resolution::agree;
        assert_eq!(agree(&[done, done]).unwrap(), Resolution::Committed);
        assert_eq!(agree(&[undone, undone]).unwrap(), Resolution::NotCommitted);
        assert_eq!(agree(&[done, above]).unwrap(), Resolution::Fenced { committed: true });
        // The new owner has gone further in the lane that it took; our commit moved neither.
        assert_eq!(agree(&[undone, above]).unwrap(), Resolution::Fenced { committed: false });
        assert_eq!(agree(&[above, below]).unwrap(), Resolution::Fenced { committed: false });
        assert!(agree(&[done, undone]).is_err());
        assert!(agree(&[done, below]).is_err());
        assert!(agree(&[]).is_err());
    }
}
