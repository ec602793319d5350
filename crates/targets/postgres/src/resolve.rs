//! How a commit ended whose outcome was unknown.

use standpipe_core::{Claim, Error, LaneOutcome, Resolution};

use crate::{
    error::Failure,
    ledger::{Ledger, is_absent, lane_is, stored},
    link::{Answer, Link},
    session::unopened,
};

/// Asks the ledger, behind whatever commit is in flight: the update waits for its lock.
pub(crate) async fn resolve(
    link: &mut Link,
    ledger: &Ledger,
    begin: &str,
    moves: &[(Claim, u64)],
) -> Result<Resolution, Error> {
    link.set_in_transaction(true);
    link.ask(begin).await.map_err(unopened)?;
    let asked = ask_all(link, ledger, moves).await;
    link.ask("ROLLBACK").await.map_err(|failure| failure.explain("ending a transaction"))?;
    link.set_in_transaction(false);
    Resolution::agree(&asked?)
}

async fn ask_all(
    link: &mut Link,
    ledger: &Ledger,
    moves: &[(Claim, u64)],
) -> Result<Vec<LaneOutcome>, Error> {
    let mut lanes = Vec::with_capacity(moves.len());
    for (claim, to) in moves {
        lanes.push(ask(link, ledger, claim, *to).await?);
    }
    Ok(lanes)
}

async fn ask(link: &mut Link, ledger: &Ledger, claim: &Claim, to: u64) -> Result<LaneOutcome, Error> {
    let (table, lane, epoch) = (&ledger.table, lane_is(&claim.lane), stored(claim.epoch)?);
    let answer = link
        .ask(&format!(
            "UPDATE {table} SET owner = owner WHERE {lane} AND epoch = {epoch}; \
             SELECT position::text FROM {table} WHERE {lane}"
        ))
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(Failure::Server(refusal)) if is_absent(&refusal) => {
            return Err(Error::invalid("the ledger that held the positions is gone"));
        }
        Err(failure) => return Err(failure.explain("finding out how a commit ended")),
    };
    let ours = answer.touched.first() == Some(&1);
    let position = match answer.rows.first() {
        Some(row) => Answer::text(row, 0)?.parse().ok(),
        None => None,
    };
    LaneOutcome::of(claim, to, ours, position)
}
