use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use standpipe_core::{
    Advance, ClaimRequest, DeadLetter, Destination, Error, LEDGER_FORMAT, LaneId, LedgerRow, LetterId,
    LetterPage, StreamId, TableName, Verdict,
};

use super::{
    mistake::Mistake,
    server::Mistakes,
    table::{Refusal, SimRow, Table},
};

/// All that is durable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Database {
    pub(crate) tables: BTreeMap<TableName, Table>,
    pub(crate) ledger: BTreeMap<LaneId, LedgerRow>,
    pub(crate) letters: Vec<(TableName, DeadLetter)>,
    ticks: u64,
}

/// A change of a table that a branch makes.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Truncate(TableName),
    Put(Arc<Destination>, SimRow),
}

impl Change {
    pub(crate) fn table(&self) -> &TableName {
        match self {
            Change::Truncate(table) => table,
            Change::Put(destination, _) => &destination.table,
        }
    }

    pub(crate) fn apply(&self, table: &mut Table) -> Result<(), Refusal> {
        match self {
            Change::Truncate(_) => {
                table.truncate();
                Ok(())
            }
            Change::Put(destination, row) => table.put(row.clone(), destination),
        }
    }
}

/// A lane's move.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    pub(crate) lane: LaneId,
    pub(crate) from: u64,
    pub(crate) to: Advance,
}

/// All that a branch does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects {
    pub(crate) changes: Vec<Change>,
    pub(crate) letters: Vec<(TableName, DeadLetter)>,
    /// Letters taken out, before those above are kept.
    pub(crate) withdrawn: BTreeSet<(TableName, LetterId)>,
    pub(crate) moves: Vec<Move>,
    /// Keyed tables as the branch sees them, so that a commit need not do its work twice.
    pub(crate) views: BTreeMap<TableName, Table>,
}

impl Database {
    pub(crate) fn table(&self, name: &TableName) -> Result<&Table, Error> {
        self.tables.get(name).ok_or_else(|| no_table(name))
    }

    pub(crate) fn table_mut(&mut self, name: &TableName) -> Result<&mut Table, Error> {
        self.tables.get_mut(name).ok_or_else(|| no_table(name))
    }

    pub(crate) fn rows_of(&self, stream: &StreamId) -> Vec<LedgerRow> {
        self.ledger.values().filter(|row| row.lane.stream == *stream).cloned().collect()
    }

    pub(crate) fn claim(
        &mut self,
        request: &ClaimRequest,
        mistakes: &Mistakes,
    ) -> Result<Vec<LedgerRow>, Error> {
        if mistakes.has(Mistake::ClaimWritesBeforeJudging) {
            self.take(request);
        }
        match request.judge(&self.rows_of(&request.stream))? {
            Verdict::Complete => {
                if mistakes.has(Mistake::ClaimTouchesComplete) {
                    self.ledger
                        .values_mut()
                        .filter(|row| row.lane.stream == request.stream)
                        .for_each(|row| row.epoch += 1);
                }
                return Ok(Vec::new());
            }
            Verdict::Insert { lanes } => self.insert(request, lanes),
            Verdict::Take if mistakes.has(Mistake::ClaimWritesBeforeJudging) => {}
            Verdict::Take => self.take(request),
        }
        Ok(self.rows_of(&request.stream))
    }

    fn insert(&mut self, request: &ClaimRequest, lanes: u32) {
        let updated_at = self.tick();
        for lane in 0..lanes {
            let lane = LaneId { stream: request.stream.clone(), lane };
            self.ledger.insert(
                lane.clone(),
                LedgerRow {
                    lane,
                    lanes,
                    epoch: 1,
                    position: request.origin,
                    source: request.source.clone(),
                    source_position: String::new(),
                    complete: false,
                    format: LEDGER_FORMAT,
                    owner: request.owner.clone(),
                    updated_at: updated_at.clone(),
                },
            );
        }
    }

    fn take(&mut self, request: &ClaimRequest) {
        let updated_at = self.tick();
        for row in self.ledger.values_mut().filter(|row| row.lane.stream == request.stream) {
            row.epoch += 1;
            row.owner.clone_from(&request.owner);
            row.complete = false;
            row.updated_at.clone_from(&updated_at);
        }
    }

    /// Carries a branch out, or nothing of it.
    pub(crate) fn apply(&mut self, effects: &Effects, mistakes: &Mistakes) -> Result<(), Error> {
        let half = mistakes.has(Mistake::HalfCommit);
        let changes =
            if half { &effects.changes[..effects.changes.len().div_ceil(2)] } else { &effects.changes };
        let moves = if half { effects.moves.get(..1).unwrap_or(&[]) } else { &effects.moves };
        self.apply_changes(changes, if half { None } else { Some(&effects.views) })?;
        self.withdraw(&effects.withdrawn);
        self.letters.extend(effects.letters.iter().cloned());
        if mistakes.has(Mistake::CommitWithoutLedger) {
            return Ok(());
        }
        let updated_at = self.tick();
        for step in moves {
            if let Some(row) = self.ledger.get_mut(&step.lane) {
                row.position = step.to.position;
                row.source_position.clone_from(&step.to.source_position);
                row.complete = step.to.complete;
                row.updated_at.clone_from(&updated_at);
            }
        }
        Ok(())
    }

    pub(crate) fn has_letter(&self, (table, id): &(TableName, LetterId)) -> bool {
        self.letters.iter().any(|(kept_in, letter)| kept_in == table && letter.id() == *id)
    }

    pub(crate) fn withdraw(&mut self, letters: &BTreeSet<(TableName, LetterId)>) {
        if !letters.is_empty() {
            self.letters.retain(|(table, letter)| !letters.contains(&(table.clone(), letter.id())));
        }
    }

    pub(crate) fn page(&self, table: &TableName, page: &LetterPage, mistakes: &Mistakes) -> Vec<DeadLetter> {
        let is_behind = |letter: &DeadLetter| match &page.after {
            Some(after) if mistakes.has(Mistake::PagesOverlap) => letter.id() >= *after,
            Some(after) => letter.id() > *after,
            None => true,
        };
        let kept = self.letters.iter().filter(|(kept_in, letter)| kept_in == table && is_behind(letter));
        let mut letters: Vec<&DeadLetter> = kept.map(|(_, letter)| letter).collect();
        letters.sort_by_key(|letter| letter.id());
        let letters_max = usize::try_from(page.letters_max).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let fits = move |letter: &&&DeadLetter| {
            let has_room = bytes < page.bytes_max;
            bytes += letter.row.len() as u64;
            has_room
        };
        letters.iter().take(letters_max).take_while(fits).map(|letter| (*letter).clone()).collect()
    }

    pub(crate) fn apply_changes(
        &mut self,
        changes: &[Change],
        views: Option<&BTreeMap<TableName, Table>>,
    ) -> Result<(), Error> {
        let mut keyed: BTreeMap<TableName, (Table, bool)> = BTreeMap::new();
        for change in changes {
            let name = change.table();
            let present = self.table(name)?;
            if !present.is_keyed() || keyed.contains_key(name) {
                continue;
            }
            // Where nobody else changed the table since, the branch's own view already is the outcome.
            let fresh = views.and_then(|views| views.get(name)).filter(|view| view.is_copy_of(present));
            keyed.insert(
                name.clone(),
                fresh.map_or_else(|| (present.clone(), false), |view| (view.clone(), true)),
            );
        }
        for change in changes {
            match keyed.get_mut(change.table()) {
                Some((_, true)) => {}
                Some((table, false)) => change.apply(table).map_err(|refusal| {
                    Error::retry(format!("another transaction was first: {}", refusal.reason))
                        .with_code("40001")
                })?,
                None => {}
            }
        }
        for change in changes.iter().filter(|change| !keyed.contains_key(change.table())) {
            // A table without a key refused what it refuses when the row was written.
            let _ = change.apply(self.table_mut(change.table())?);
        }
        self.tables.extend(keyed.into_iter().map(|(name, (table, _))| (name, table)));
        Ok(())
    }

    fn tick(&mut self) -> String {
        self.ticks += 1;
        format!("tick {}", self.ticks)
    }
}

pub(crate) fn no_table(name: &TableName) -> Error {
    Error::invalid(format!("there is no table {name}")).with_code("42P01")
}
