use std::sync::Arc;

use standpipe_core::{
    Branch, Claim, ClaimRequest, Column, DeadLetter, Error, Guarantee, LedgerRow, LetterPage, Resolution,
    Schema, StreamId, TableName, TableShape, Target, Xid, async_trait,
};

use super::{
    branch::SimBranch,
    call::{Call, CallKind},
    commit::Commit,
    database::Database,
    fault::Fault,
    mistake::Mistake,
    server::{Server, State},
    table::{SimRow, Table},
    value::Value,
};

/// A database in memory with transactions, row locks on its ledger and unique keys, whose every call can be made to fail.
///
/// A clone is the same connection; [`connect`](Self::connect) makes another one to the same database. A branch that has advanced a
/// lane holds that ledger row until it ends: claims, other branches and `resolve` wait for it. Nothing is on disk;
/// the database lives as long as a handle or branch of it.
///
/// ```
/// use standpipe_core::ErrorKind;
/// use standpipe_testkit::target::{CallKind, Fault, SimTarget};
///
/// let target = SimTarget::new();
/// target.fail_nth(CallKind::Commit, 2, Fault::in_doubt(true));
/// target.fail_nth(CallKind::Begin, 1, Fault::Fail(ErrorKind::Retry));
/// assert!(target.ledger_rows().is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct SimTarget {
    server: Arc<Server>,
    session: u64,
}

/// All that was durable at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot(Database);

impl Default for SimTarget {
    fn default() -> Self {
        Self::new()
    }
}

impl SimTarget {
    /// An empty database that promises [`Guarantee::Transactional`].
    #[must_use]
    pub fn new() -> Self {
        let server = Arc::new(Server::default());
        let session = server.connect();
        SimTarget { server, session }
    }

    /// Another connection to the same database: closing one does not close the other.
    #[must_use]
    pub fn connect(&self) -> Self {
        SimTarget { server: Arc::clone(&self.server), session: self.server.connect() }
    }

    /// Makes a table, without a call that counts. The first key is the primary key. A table of that name is replaced.
    ///
    /// # Errors
    /// A key names a column that is not there.
    pub fn create_table(&self, table: &TableName, schema: &Schema, keys: &[&[&str]]) -> Result<(), Error> {
        let keys = keys.iter().map(|key| key.iter().map(|column| (*column).to_owned()).collect()).collect();
        let made = Table::new(table, schema, keys)?;
        self.server.lock().database.tables.insert(table.clone(), made);
        Ok(())
    }

    /// Adds a unique key to a table.
    ///
    /// # Errors
    /// There is no such table, or its rows break the key.
    pub fn add_key(&self, table: &TableName, key: &[&str]) -> Result<(), Error> {
        let key = key.iter().map(|column| (*column).to_owned()).collect();
        self.server.lock().database.table_mut(table)?.add_key(key)
    }

    /// Refuses rows for which this is true, given the table and the tuple's bytes. Runs while the database is locked: it must not call it.
    pub fn reject_if(&self, bad: impl Fn(&TableName, &[u8]) -> bool + Send + Sync + 'static) {
        self.server.lock().reject_if = Some(Arc::new(bad));
    }

    /// Changes what [`Target::guarantee`] says. What is kept does not change.
    pub fn set_guarantee(&self, guarantee: Guarantee) {
        self.server.lock().guarantee = guarantee;
    }

    /// From now on whoever waits for a lock fails with `Retry` once polled more often than this; `None` waits for ever, as at first.
    pub fn set_lock_polls(&self, most: Option<u64>) {
        self.server.lock().lock_polls = most;
    }

    /// Makes a mistake from now on.
    pub fn plant(&self, mistake: Mistake) {
        self.server.lock().mistakes.0.insert(mistake);
    }

    /// Plans a fault for the call with this number.
    pub fn fail_call(&self, number: u64, fault: Fault) {
        self.server.lock().plan.at(number, fault);
    }

    /// Plans a fault for the nth call of a kind from now, from 1.
    pub fn fail_nth(&self, kind: CallKind, nth: u64, fault: Fault) {
        self.server.lock().plan.nth(kind, nth, fault);
    }

    /// Plans a fault for every call of a kind from now.
    pub fn fail_every(&self, kind: CallKind, fault: Fault) {
        self.server.lock().plan.every(kind, fault);
    }

    /// Forgets every planned fault.
    pub fn clear_faults(&self) {
        self.server.lock().plan = super::fault::Plan::default();
    }

    /// Takes the database down: every call fails with `Retry`, every open branch is rolled back.
    pub fn down(&self) {
        self.server.change(|state| {
            state.down = true;
            state.lose_branches();
        });
    }

    /// Brings the database back as it was committed.
    pub fn up(&self) {
        self.server.lock().down = false;
    }

    /// Carries out the commits that were told to be [`Fault::Late`], in their order, and gives back their locks. Returns how many there were.
    pub fn finish_late_commits(&self) -> usize {
        self.server.change(|state| {
            let late = std::mem::take(&mut state.late);
            for (id, effects) in &late {
                // A commit that cannot be carried out any more leaves nothing, as a crash before it would.
                let _ = state.commit(*id, effects);
            }
            late.len()
        })
    }

    /// Calls made so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.server.lock().trace.len() as u64
    }

    /// Every call made so far, in order.
    #[must_use]
    pub fn trace(&self) -> Vec<Call> {
        self.server.lock().trace.clone()
    }

    /// Runs at the start of every call, before its faults.
    pub fn on_call(&self, hook: impl Fn(&Call) + Send + Sync + 'static) {
        self.server.lock().hook = Some(Arc::new(hook));
    }

    /// The rows of a table in the order in which they came; empty when there is no such table.
    #[must_use]
    pub fn rows(&self, table: &TableName) -> Vec<SimRow> {
        self.server.lock().database.tables.get(table).map_or_else(Vec::new, |table| table.rows.clone())
    }

    /// The rows of a table as values in the order of its columns.
    #[must_use]
    pub fn values(&self, table: &TableName) -> Vec<Vec<Value>> {
        let state = self.server.lock();
        let Ok(table) = state.database.table(table) else { return Vec::new() };
        table.rows.iter().map(|row| table.values(row)).collect()
    }

    /// The ledger, ordered by stream and lane.
    #[must_use]
    pub fn ledger_rows(&self) -> Vec<LedgerRow> {
        self.server.lock().database.ledger.values().cloned().collect()
    }

    /// The dead letters in the order in which they were committed, each with the table it is kept in.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<(TableName, DeadLetter)> {
        self.server.lock().database.letters.clone()
    }

    /// Every commit since the beginning; a restored snapshot does not shorten it.
    #[must_use]
    pub fn commits(&self) -> Vec<Commit> {
        self.server.lock().commits.clone()
    }

    /// Branches that are open now, commits that are [`Fault::Late`] included.
    #[must_use]
    pub fn open_branches(&self) -> usize {
        self.server.lock().open.len()
    }

    /// All that is durable now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.server.lock().database.clone())
    }

    /// Puts the database back to an earlier point. Open branches are rolled back.
    pub fn restore(&self, snapshot: &Snapshot) {
        self.server.change(|state| {
            state.lose_branches();
            state.database = snapshot.0.clone();
        });
    }
}

impl State {
    fn lose_branches(&mut self) {
        self.open.clear();
        self.late.clear();
    }

    fn resolve(&self, moves: &[(Claim, u64)]) -> Result<Resolution, Error> {
        if self.mistakes.has(Mistake::TruthlessResolve) {
            return Ok(Resolution::Committed);
        }
        let mut fenced = false;
        let (mut moved, mut still) = (0_usize, 0_usize);
        for (claim, to) in moves {
            let row = self.database.ledger.get(&self.stored_lane(&claim.lane)).ok_or_else(|| {
                Error::invalid(format!(
                    "the ledger has no row for {}; was the database restored?",
                    claim.lane
                ))
            })?;
            let ours = row.epoch == claim.epoch;
            fenced |= !ours;
            if row.position == *to || (!ours && row.position > *to) {
                moved += 1;
            } else if row.position == claim.position {
                still += 1;
            }
        }
        let committed = match (moved == moves.len(), still == moves.len()) {
            (true, _) => true,
            (false, true) => false,
            (false, false) => {
                return Err(Error::invalid("the ledger's positions fit neither a commit nor none"));
            }
        };
        Ok(match (fenced, committed) {
            (true, committed) => Resolution::Fenced { committed },
            (false, true) => Resolution::Committed,
            (false, false) => Resolution::NotCommitted,
        })
    }
}

#[async_trait]
impl Target for SimTarget {
    fn guarantee(&self) -> Guarantee {
        self.server.lock().guarantee.clone()
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, Error> {
        let exit = self.server.enter(self.session, CallKind::Claim).await?;
        let rows = self
            .server
            .attempt(self.session, |state| {
                let stored = state.stored(&request.stream);
                if !state.mistakes.has(Mistake::ClaimDoesNotWait) {
                    state.holder(None, |lane| lane.stream == stored)?;
                }
                let mistakes = state.mistakes.clone();
                let request = ClaimRequest { stream: stored, ..request.clone() };
                Ok(state.database.claim(&request, &mistakes))
            })
            .await?;
        let claims = rows
            .into_iter()
            .map(|row| Claim {
                lane: standpipe_core::LaneId { stream: request.stream.clone(), lane: row.lane.lane },
                lanes: row.lanes,
                epoch: row.epoch,
                position: row.position,
                source_position: row.source_position,
            })
            .collect();
        exit.pass(claims).await
    }

    async fn begin(&self, claims: &[&Claim], xid: Option<&Xid>) -> Result<Box<dyn Branch>, Error> {
        let exit = self.server.enter(self.session, CallKind::Begin).await?;
        if xid.is_some() {
            return Err(Error::invalid("this target takes no part in two-phase commit"));
        }
        let id = self.server.lock().begin(self.session);
        let branch: Box<dyn Branch> =
            Box::new(SimBranch::new(Arc::clone(&self.server), self.session, id, claims));
        exit.pass(branch).await
    }

    async fn resolve(&self, moves: &[(Claim, u64)]) -> Result<Resolution, Error> {
        let exit = self.server.enter(self.session, CallKind::Resolve).await?;
        let answer = self
            .server
            .attempt(self.session, |state| {
                if !state.mistakes.has(Mistake::ResolveDoesNotWait) {
                    let lanes: Vec<_> =
                        moves.iter().map(|(claim, _)| state.stored_lane(&claim.lane)).collect();
                    state.holder(None, |held| lanes.contains(held))?;
                }
                Ok(state.resolve(moves))
            })
            .await?;
        exit.pass(answer).await
    }

    async fn ledger(&self, stream: Option<&StreamId>) -> Result<Vec<LedgerRow>, Error> {
        let exit = self.server.enter(self.session, CallKind::Ledger).await?;
        let rows = {
            let state = self.server.lock();
            let stored = stream.map(|stream| state.stored(stream));
            let rows = state.database.ledger.values();
            rows.filter(|row| stored.as_ref().is_none_or(|stream| row.lane.stream == *stream))
                .cloned()
                .collect()
        };
        exit.pass(rows).await
    }

    async fn describe(&self, table: &TableName) -> Result<Option<TableShape>, Error> {
        let exit = self.server.enter(self.session, CallKind::Describe).await?;
        let shape = self.server.lock().database.tables.get(table).map(|table| table.shape.clone());
        exit.pass(shape).await
    }

    async fn create(&self, table: &TableName, schema: &Schema, key: &[String]) -> Result<(), Error> {
        let exit = self.server.enter(self.session, CallKind::Create).await?;
        let keys = if key.is_empty() { Vec::new() } else { vec![key.to_vec()] };
        let made = Table::new(table, schema, keys)?;
        self.server.lock().database.tables.entry(table.clone()).or_insert(made);
        exit.pass(()).await
    }

    async fn add_column(&self, table: &TableName, column: &Column) -> Result<(), Error> {
        let exit = self.server.enter(self.session, CallKind::AddColumn).await?;
        self.server.lock().database.table_mut(table)?.add_column(column);
        exit.pass(()).await
    }

    async fn dead_letters(&self, table: &TableName, page: &LetterPage) -> Result<Vec<DeadLetter>, Error> {
        let exit = self.server.enter(self.session, CallKind::DeadLetters).await?;
        let letters = {
            let state = self.server.lock();
            state.database.page(table, page, &state.mistakes)
        };
        exit.pass(letters).await
    }

    async fn close(&self) -> Result<(), Error> {
        let exit = self.server.enter(self.session, CallKind::Close).await?;
        self.server.change(|state| {
            if state.mistakes.has(Mistake::CloseKeepsBranches) {
                return;
            }
            state.closed.insert(self.session);
            state.open.retain(|_, branch| branch.session != self.session);
        });
        exit.pass(()).await
    }
}
