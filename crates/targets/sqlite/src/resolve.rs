//! How a commit ended whose outcome was unknown.

use rusqlite::{OptionalExtension, Transaction, params};
use standpipe_core::{Claim, Error, LaneOutcome, Resolution};

use crate::{
    ledger::{LedgerSql, exists, stored},
    worker::{WorkError, Worker},
};

/// Asks the ledger, behind whatever commit is in flight. The write settles a commit that failed half way: what it left
/// in the journal can come back no more.
pub(crate) fn resolve(worker: &mut Worker, moves: &[(Claim, u64)]) -> Result<Resolution, Error> {
    let answered = worker.transaction("finding out how a commit ended", |transaction, place| {
        if !exists(transaction, &place.ledger)? {
            return Err(Error::invalid("the ledger that held the positions is gone").into());
        }
        let lanes = moves.iter().map(|(claim, to)| ask(transaction, &place.ledger, claim, *to));
        Resolution::agree(&lanes.collect::<Result<Vec<LaneOutcome>, WorkError>>()?)
            .map(Some)
            .map_err(WorkError::Other)
    })?;
    answered.ok_or_else(|| Error::invalid("the ledger gave no answer"))
}

fn ask(
    transaction: &Transaction<'_>,
    sql: &LedgerSql,
    claim: &Claim,
    to: u64,
) -> Result<LaneOutcome, WorkError> {
    let (stream, lane, epoch) = (claim.lane.stream.as_str(), claim.lane.lane, stored(claim.epoch)?);
    let ours = transaction.execute(&sql.touch, params![stream, lane, epoch])? == 1;
    let position: Option<i64> =
        transaction.query_row(&sql.position, params![stream, lane], |row| row.get(0)).optional()?;
    let position = position.and_then(|position| u64::try_from(position).ok());
    Ok(LaneOutcome::of(claim, to, ours, position)?)
}
