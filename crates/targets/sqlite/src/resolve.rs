//! How a commit ended whose outcome was unknown.

use rusqlite::{OptionalExtension, Transaction, params};
use standpipe_core::{Claim, Error, Resolution};

use crate::{
    ledger::{LedgerSql, exists, stored},
    worker::{WorkError, Worker},
};

/// What one lane says.
#[derive(Clone, Copy, PartialEq)]
enum Lane {
    Ours {
        committed: bool,
    },
    /// Another's. A position at or above the move's end may be the new owner's doing: it counts only where no lane
    /// says no.
    Taken {
        committed: bool,
    },
}

/// Asks the ledger, behind whatever commit is in flight. The write settles a commit that failed half way: what it left
/// in the journal can come back no more.
pub(crate) fn resolve(worker: &mut Worker, moves: &[(Claim, u64)]) -> Result<Resolution, Error> {
    let answered = worker.transaction("finding out how a commit ended", |transaction, place| {
        if moves.is_empty() {
            return Err(Error::invalid("no moves, so there is no commit to ask about").into());
        }
        if !exists(transaction, &place.ledger)? {
            return Err(Error::invalid("the ledger that held the positions is gone").into());
        }
        let lanes = moves.iter().map(|(claim, to)| ask(transaction, &place.ledger, claim, *to));
        agree(&lanes.collect::<Result<Vec<Lane>, WorkError>>()?).map(Some).map_err(WorkError::Other)
    })?;
    answered.ok_or_else(|| Error::invalid("no moves, so there is no commit to ask about"))
}

fn ask(transaction: &Transaction<'_>, sql: &LedgerSql, claim: &Claim, to: u64) -> Result<Lane, WorkError> {
    let (stream, lane, epoch) = (claim.lane.stream.as_str(), claim.lane.lane, stored(claim.epoch)?);
    let ours = transaction.execute(&sql.touch, params![stream, lane, epoch])? == 1;
    let position: Option<i64> =
        transaction.query_row(&sql.position, params![stream, lane], |row| row.get(0)).optional()?;
    let Some(position) = position.and_then(|position| u64::try_from(position).ok()) else {
        return Err(Error::invalid(format!("the ledger has no row of {} any more", claim.lane)).into());
    };
    if !ours {
        return Ok(Lane::Taken { committed: position >= to });
    }
    if position == to {
        return Ok(Lane::Ours { committed: true });
    }
    if position == claim.position {
        return Ok(Lane::Ours { committed: false });
    }
    Err(Error::invalid(format!(
        "{} is at {position}, which is neither {} nor {to}, where a commit could have left it",
        claim.lane, claim.position
    ))
    .into())
}

fn agree(lanes: &[Lane]) -> Result<Resolution, Error> {
    let refuted =
        lanes.contains(&Lane::Ours { committed: false }) || lanes.contains(&Lane::Taken { committed: false });
    if refuted && lanes.contains(&Lane::Ours { committed: true }) {
        return Err(Error::invalid(
            "some lanes of one commit have moved and others have not; the ledger was changed by hand",
        ));
    }
    let fenced = lanes.iter().any(|lane| matches!(lane, Lane::Taken { .. }));
    Ok(match (fenced, refuted) {
        (true, refuted) => Resolution::Fenced { committed: !refuted },
        (false, true) => Resolution::NotCommitted,
        (false, false) => Resolution::Committed,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn all_lanes_must_agree() {
        let (done, undone) = (Lane::Ours { committed: true }, Lane::Ours { committed: false });
        let (above, below) = (Lane::Taken { committed: true }, Lane::Taken { committed: false });
        assert_eq!(agree(&[done, done]).unwrap(), Resolution::Committed);
        assert_eq!(agree(&[undone, undone]).unwrap(), Resolution::NotCommitted);
        assert_eq!(agree(&[done, above]).unwrap(), Resolution::Fenced { committed: true });
        // The new owner has gone further in the lane that it took; our commit moved neither.
        assert_eq!(agree(&[undone, above]).unwrap(), Resolution::Fenced { committed: false });
        assert_eq!(agree(&[above, below]).unwrap(), Resolution::Fenced { committed: false });
        assert!(agree(&[done, undone]).is_err());
        assert!(agree(&[done, below]).is_err());
    }
}
