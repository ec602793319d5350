use std::{collections::BTreeSet, sync::Arc};

use standpipe_core::{
    Advance, Batch, Branch, Claim, DeadLetter, Error, ErrorKind, LetterId, Mode, Reject, TableName,
    async_trait,
};

use super::{
    call::CallKind,
    database::{Change, Effects, Move},
    fault::Exit,
    mistake::Mistake,
    server::{Server, State},
    table::{Refusal, SimRow},
    tuple,
    value::Value,
};

/// A transaction: its effects wait here until the commit, its locks are the server's.
pub(crate) struct SimBranch {
    server: Arc<Server>,
    session: u64,
    id: u64,
    lanes: Vec<Claim>,
    effects: Effects,
    /// A call failed or was dropped: fit for rollback only.
    spoilt: bool,
}

impl SimBranch {
    pub(crate) fn new(server: Arc<Server>, session: u64, id: u64, claims: &[&Claim]) -> Self {
        let lanes = claims.iter().map(|claim| (*claim).clone()).collect();
        SimBranch { server, session, id, lanes, effects: Effects::default(), spoilt: false }
    }

    /// Counts the call and marks the branch as spoilt until the call has succeeded, so that a dropped future leaves it so.
    async fn enter(&mut self, kind: CallKind) -> Result<Exit, Error> {
        let was_spoilt = std::mem::replace(&mut self.spoilt, true);
        let exit = self.server.enter(self.session, kind).await?;
        let state = self.server.lock();
        if !state.open.contains_key(&self.id) {
            return Err(Error::retry("the connection was lost; the database rolled the branch back"));
        }
        if was_spoilt && !state.mistakes.has(Mistake::CommitsAfterFailure) {
            return Err(Error::invalid("the branch has failed; roll it back").with_code("25P02"));
        }
        Ok(exit)
    }

    fn put(&mut self, state: &mut State, batch: &Batch) -> Result<Vec<Reject>, Error> {
        let table = state.database.table(&batch.destination.table)?;
        for block in &batch.blocks {
            table.check(&block.schema, &batch.destination)?;
        }
        if table.is_keyed() && !self.effects.views.contains_key(&batch.destination.table) {
            self.effects.views.insert(batch.destination.table.clone(), table.copy());
        }
        let mut rejects = Vec::new();
        let mut changes = Vec::new();
        for (number, block) in batch.blocks.iter().enumerate() {
            let tuples = tuple::split(block).ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, format!("block {number} is not what its schema says"))
            })?;
            if block.truncate {
                self.change(state, Change::Truncate(batch.destination.table.clone()), &mut changes)?.ok();
            }
            for (row, tuple) in (0_u32..).zip(tuples) {
                let tuple = stored(state, &block.schema, tuple);
                let refused =
                    state.reject_if.as_ref().is_some_and(|bad| bad(&batch.destination.table, &tuple));
                let row_of = SimRow { lane: batch.lane.clone(), schema: Arc::clone(&block.schema), tuple };
                let outcome = if refused {
                    Err(Refusal::new(None, "SIM02", "the test refuses this row"))
                } else {
                    self.change(state, Change::Put(Arc::clone(&batch.destination), row_of), &mut changes)?
                };
                if let Err(refusal) = outcome {
                    let Refusal { column, code, reason } = refusal;
                    rejects.push(Reject { block: number, row, column, code: Some(code.to_owned()), reason });
                }
            }
        }
        self.keep(state, changes, !rejects.is_empty())?;
        if state.mistakes.has(Mistake::DropsRejects) {
            rejects.clear();
        }
        Ok(rejects)
    }

    /// Tries one change on the branch's view and notes it if it holds.
    fn change(
        &mut self,
        state: &State,
        change: Change,
        changes: &mut Vec<Change>,
    ) -> Result<Result<(), Refusal>, Error> {
        let name = change.table();
        let outcome = match self.effects.views.get_mut(name) {
            Some(view) => change.apply(view),
            None => match &change {
                Change::Truncate(_) => Ok(()),
                Change::Put(_, row) => state.database.table(name)?.accepts(row, Mode::Append),
            },
        };
        if outcome.is_ok() {
            changes.push(change);
        }
        Ok(outcome)
    }

    fn keep(&mut self, state: &mut State, mut changes: Vec<Change>, some_bad: bool) -> Result<(), Error> {
        if state.mistakes.has(Mistake::RejectsWholeBatch) && some_bad {
            self.effects.views.clear();
            return Ok(());
        }
        if state.mistakes.has(Mistake::Reorders) {
            self.effects.views.clear();
            changes.reverse();
        }
        if state.mistakes.has(Mistake::WritesAtOnce) {
            self.effects.views.clear();
            return state.database.apply_changes(&changes, None);
        }
        if state.mistakes.has(Mistake::TruncatesAtOnce) {
            let (now, later): (Vec<_>, Vec<_>) =
                changes.into_iter().partition(|change| matches!(change, Change::Truncate(_)));
            state.database.apply_changes(&now, None)?;
            changes = later;
        }
        self.effects.changes.extend(changes);
        Ok(())
    }

    fn step(&self, state: &mut State, claim: &Claim, to: &Advance) -> Result<(), Error> {
        let stored = state.stored_lane(&claim.lane);
        let epoch_checked = !state.mistakes.has(Mistake::UnconditionalAdvance);
        let position_checked = epoch_checked && !state.mistakes.has(Mistake::PositionNotChecked);
        let holds = state.database.ledger.get(&stored).is_some_and(|row| {
            (!epoch_checked || row.epoch == claim.epoch)
                && (!position_checked || row.position == claim.position)
        });
        if !holds {
            return Err(Error::Fenced { lane: claim.lane.clone(), epoch: claim.epoch });
        }
        if to.position < claim.position {
            return Err(Error::invalid(format!(
                "{} cannot go back from {} to {}",
                claim.lane, claim.position, to.position
            )));
        }
        if let Some(branch) = state.open.get_mut(&self.id) {
            branch.locks.insert(stored);
        }
        Ok(())
    }
}

#[async_trait]
impl Branch for SimBranch {
    async fn write(&mut self, batch: &Batch) -> Result<Vec<Reject>, Error> {
        let exit = self.enter(CallKind::Write).await?;
        let server = Arc::clone(&self.server);
        let rejects = self.put(&mut server.lock(), batch)?;
        let rejects = exit.pass(rejects).await?;
        self.spoilt = false;
        Ok(rejects)
    }

    async fn dead_letter(&mut self, table: &TableName, letters: &[DeadLetter]) -> Result<(), Error> {
        let exit = self.enter(CallKind::DeadLetter).await?;
        let letters = letters.iter().map(|letter| (table.clone(), letter.clone()));
        {
            let mut state = self.server.lock();
            if state.mistakes.has(Mistake::LettersAtOnce) {
                state.database.letters.extend(letters);
            } else {
                self.effects.letters.extend(letters);
            }
        }
        exit.pass(()).await?;
        self.spoilt = false;
        Ok(())
    }

    async fn withdraw(&mut self, table: &TableName, letters: &[LetterId]) -> Result<u64, Error> {
        let exit = self.enter(CallKind::Withdraw).await?;
        let letters: Vec<_> = letters.iter().map(|id| (table.clone(), id.clone())).collect();
        let server = Arc::clone(&self.server);
        let there = server
            .attempt(self.session, |state| {
                if !state.mistakes.has(Mistake::WithdrawDoesNotWait) {
                    state.withdrawer(self.id, &letters)?;
                }
                let there = letters.iter().filter(|letter| state.database.has_letter(letter));
                let there: BTreeSet<_> = there.cloned().collect();
                if let Some(branch) = state.open.get_mut(&self.id) {
                    branch.letters.extend(there.iter().cloned());
                }
                if state.mistakes.has(Mistake::WithdrawsAtOnce) {
                    state.database.withdraw(&there);
                }
                Ok(Ok(there))
            })
            .await?;
        let kept_before = self.effects.letters.len();
        self.effects.letters.retain(|(kept_in, letter)| !letters.contains(&(kept_in.clone(), letter.id())));
        let taken_back = kept_before - self.effects.letters.len();
        let counted = there.iter().filter(|letter| !self.effects.withdrawn.contains(letter)).count();
        let all = server.lock().mistakes.has(Mistake::WithdrawCountsWhatWasAsked);
        let count = if all { letters.len() } else { counted + taken_back };
        self.effects.withdrawn.extend(there);
        let count = exit.pass(count as u64).await?;
        self.spoilt = false;
        Ok(count)
    }

    async fn advance(&mut self, claim: &Claim, to: &Advance) -> Result<(), Error> {
        let exit = self.enter(CallKind::Advance).await?;
        if !self.lanes.contains(claim) {
            return Err(Error::invalid(format!("the branch was not begun for {}", claim.lane)));
        }
        let server = Arc::clone(&self.server);
        server
            .attempt(self.session, |state| {
                let stored = state.stored_lane(&claim.lane);
                if !state.mistakes.has(Mistake::ClaimDoesNotWait) {
                    state.holder(Some(self.id), |lane| *lane == stored)?;
                }
                Ok(self.step(state, claim, to))
            })
            .await?;
        let lane = server.lock().stored_lane(&claim.lane);
        self.effects.moves.push(Move { lane, from: claim.position, to: to.clone() });
        exit.pass(()).await?;
        self.spoilt = false;
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<(), Error> {
        let outcome = self.finish().await;
        let state = self.server.lock();
        match outcome {
            Err(_) if state.mistakes.has(Mistake::SwallowCommitError) => Ok(()),
            Err(error)
                if error.kind() == ErrorKind::InDoubt && state.mistakes.has(Mistake::DoubtIsFailure) =>
            {
                Err(Error::retry("nothing was committed"))
            }
            outcome => outcome,
        }
    }

    async fn rollback(mut self: Box<Self>) -> Result<(), Error> {
        let exit = self.server.enter(self.session, CallKind::Rollback).await?;
        self.server.change(|state| state.open.remove(&self.id));
        exit.pass(()).await
    }
}

impl SimBranch {
    async fn finish(&mut self) -> Result<(), Error> {
        let exit = self.enter(CallKind::Commit).await?;
        let effects = std::mem::take(&mut self.effects);
        if let Exit::Late(error) = exit {
            self.server.lock().late.push((self.id, effects));
            return Err(error);
        }
        self.server.change(|state| state.commit(self.id, &effects))?;
        exit.pass(()).await
    }
}

impl Drop for SimBranch {
    fn drop(&mut self) {
        self.server.change(|state| {
            // A commit that the server still carries out keeps its locks whatever becomes of the client.
            if state.late.iter().any(|(id, _)| *id == self.id) {
                return;
            }
            if state.mistakes.has(Mistake::CommitsOnDrop) {
                // The mistake has nobody to tell.
                let _ = state.commit(self.id, &self.effects);
            }
            state.open.remove(&self.id);
        });
    }
}

/// The tuple as it is kept, which is the tuple itself unless a mistake says otherwise.
fn stored(state: &State, schema: &standpipe_core::Schema, tuple: bytes::Bytes) -> bytes::Bytes {
    if !state.mistakes.has(Mistake::EmptyIsNull) {
        return tuple;
    }
    let Some(fields) = tuple::fields(&tuple) else { return tuple };
    let values: Vec<Value> = schema
        .columns()
        .iter()
        .zip(fields)
        .map(|(column, field)| {
            Value::decode(column.kind, field.as_deref().filter(|bytes| !bytes.is_empty()))
                .unwrap_or(Value::Null)
        })
        .collect();
    tuple::tuple(&values).into()
}
