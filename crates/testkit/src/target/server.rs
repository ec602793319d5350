use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use standpipe_core::{Error, ErrorKind, Guarantee, LaneId, LetterId, StreamId, TableName};

use super::{
    call::{Call, CallKind},
    commit::Commit,
    database::{Database, Effects},
    fault::{Exit, Fault, Plan, planted},
    mistake::Mistake,
};

/// The database behind every handle: what is durable, who holds which lock, and what is to go wrong.
#[derive(Debug, Default)]
pub(crate) struct Server {
    state: Mutex<State>,
}

/// The mistakes that are planted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mistakes(pub(crate) BTreeSet<Mistake>);

impl Mistakes {
    pub(crate) fn has(&self, mistake: Mistake) -> bool {
        self.0.contains(&mistake)
    }
}

type Hook = Arc<dyn Fn(&Call) + Send + Sync>;
type RejectIf = Arc<dyn Fn(&TableName, &[u8]) -> bool + Send + Sync>;

pub(crate) struct State {
    pub(crate) database: Database,
    pub(crate) open: BTreeMap<u64, OpenBranch>,
    pub(crate) late: Vec<(u64, Effects)>,
    pub(crate) commits: Vec<Commit>,
    pub(crate) trace: Vec<Call>,
    pub(crate) plan: Plan,
    pub(crate) down: bool,
    pub(crate) mistakes: Mistakes,
    pub(crate) guarantee: Guarantee,
    pub(crate) reject_if: Option<RejectIf>,
    pub(crate) lock_polls: Option<u64>,
    pub(crate) hook: Option<Hook>,
    pub(crate) closed: BTreeSet<u64>,
    nth: BTreeMap<CallKind, u64>,
    sessions: u64,
    branches: u64,
    waiters: Vec<Waker>,
}

/// A branch that the server knows of; one that it does not know any more was rolled back.
#[derive(Debug)]
pub(crate) struct OpenBranch {
    pub(crate) session: u64,
    pub(crate) locks: BTreeSet<LaneId>,
    /// The dead letters that it withdraws.
    pub(crate) letters: BTreeSet<(TableName, LetterId)>,
}

impl Default for State {
    fn default() -> Self {
        State {
            database: Database::default(),
            open: BTreeMap::new(),
            late: Vec::new(),
            commits: Vec::new(),
            trace: Vec::new(),
            plan: Plan::default(),
            down: false,
            mistakes: Mistakes::default(),
            guarantee: Guarantee::Transactional,
            reject_if: None,
            lock_polls: None,
            hook: None,
            closed: BTreeSet::new(),
            nth: BTreeMap::new(),
            sessions: 0,
            branches: 0,
            waiters: Vec::new(),
        }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("open", &self.open)
            .field("ledger", &self.database.ledger)
            .field("down", &self.down)
            .finish_non_exhaustive()
    }
}

/// Another transaction holds what an attempt needs.
pub(crate) struct Blocked {
    pub(crate) held: String,
    pub(crate) by: u64,
}

impl Server {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes whoever waits for a lock.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (result, waiters) = {
            let mut state = self.lock();
            let result = change(&mut state);
            (result, std::mem::take(&mut state.waiters))
        };
        waiters.into_iter().for_each(Waker::wake);
        result
    }

    pub(crate) fn connect(&self) -> u64 {
        let mut state = self.lock();
        state.sessions += 1;
        state.sessions
    }

    /// Counts a call, carries out what is planned for before it, and says what is planned for after it.
    pub(crate) async fn enter(&self, session: u64, kind: CallKind) -> Result<Exit, Error> {
        let (call, fault, hook) = {
            let mut state = self.lock();
            let nth = state.nth.entry(kind).or_default();
            *nth += 1;
            let call = Call { nth: *nth, number: state.trace.len() as u64 + 1, kind };
            state.trace.push(call);
            (call, state.plan.take(&call), state.hook.clone())
        };
        if let Some(hook) = hook {
            hook(&call);
        }
        let exit = match fault {
            None => Exit::Plain,
            Some(Fault::Fail(kind)) => return Err(planted(kind, &call)),
            Some(Fault::FailAfter(kind)) => Exit::Fail(planted(kind, &call)),
            Some(Fault::Late) if kind == CallKind::Commit => Exit::Late(planted(ErrorKind::InDoubt, &call)),
            Some(Fault::Late) => return Err(planted(ErrorKind::Retry, &call)),
            Some(Fault::HangAfter(gate)) => Exit::Hang(gate),
            Some(Fault::Panic) => panic!("planted panic of {call}"),
            Some(Fault::Hang(gate)) => {
                gate.pass().await;
                Exit::Plain
            }
        };
        self.lock().reachable(session)?;
        Ok(exit)
    }

    /// Tries until the attempt is not blocked, within the lock timeout.
    pub(crate) async fn attempt<T>(
        &self,
        session: u64,
        mut attempt: impl FnMut(&mut State) -> Result<Result<T, Error>, Blocked>,
    ) -> Result<T, Error> {
        let mut polls = 0;
        poll_fn(|context| {
            let mut state = self.lock();
            if let Err(error) = state.reachable(session) {
                return Poll::Ready(Err(error));
            }
            let blocked = match attempt(&mut state) {
                Ok(done) => return Poll::Ready(done),
                Err(blocked) => blocked,
            };
            polls += 1;
            if let Some(most) = state.lock_polls {
                if polls > most {
                    return Poll::Ready(Err(Error::retry(format!(
                        "lock timeout: branch {} holds {}",
                        blocked.by, blocked.held
                    ))
                    .with_code("55P03")));
                }
                context.waker().wake_by_ref();
            }
            if !state.waiters.iter().any(|waker| waker.will_wake(context.waker())) {
                state.waiters.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

impl State {
    pub(crate) fn reachable(&self, session: u64) -> Result<(), Error> {
        if self.closed.contains(&session) {
            return Err(Error::closed("this connection was closed"));
        }
        if self.down {
            return Err(Error::retry("the database is down").with_code("57P01"));
        }
        Ok(())
    }

    pub(crate) fn begin(&mut self, session: u64) -> u64 {
        self.branches += 1;
        self.open
            .insert(self.branches, OpenBranch { session, locks: BTreeSet::new(), letters: BTreeSet::new() });
        self.branches
    }

    /// Who else holds a lane of which this is true.
    pub(crate) fn holder(&self, but: Option<u64>, lane: impl Fn(&LaneId) -> bool) -> Result<(), Blocked> {
        for (by, branch) in self.open.iter().filter(|(by, _)| Some(**by) != but) {
            if let Some(held) = branch.locks.iter().find(|held| lane(held)) {
                return Err(Blocked { held: held.to_string(), by: *by });
            }
        }
        Ok(())
    }

    /// Who else withdraws one of these letters.
    pub(crate) fn withdrawer(&self, but: u64, letters: &[(TableName, LetterId)]) -> Result<(), Blocked> {
        for (by, branch) in self.open.iter().filter(|(by, _)| **by != but) {
            if let Some((_, held)) = letters.iter().find(|letter| branch.letters.contains(letter)) {
                return Err(Blocked { held: format!("the dead letter of {held}"), by: *by });
            }
        }
        Ok(())
    }

    /// The id as the ledger keeps it, which is the id itself unless a mistake says otherwise.
    pub(crate) fn stored(&self, stream: &StreamId) -> StreamId {
        let mut text = stream.as_str().to_owned();
        if self.mistakes.has(Mistake::CutsStreamIds) {
            let end = (0..=text.len().min(255)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            text.truncate(end);
        }
        if self.mistakes.has(Mistake::FoldsStreamIds) {
            text = text.to_lowercase().trim_end().to_owned();
        }
        StreamId::new(text).unwrap_or_else(|_| stream.clone())
    }

    pub(crate) fn stored_lane(&self, lane: &LaneId) -> LaneId {
        LaneId { stream: self.stored(&lane.stream), lane: lane.lane }
    }

    /// Ends a branch by carrying it out.
    pub(crate) fn commit(&mut self, id: u64, effects: &Effects) -> Result<(), Error> {
        if self.open.remove(&id).is_none() {
            return Err(Error::retry("the connection was lost; the database rolled the branch back"));
        }
        let mistakes = self.mistakes.clone();
        self.database.apply(effects, &mistakes)?;
        self.commits.push(Commit::of(self.commits.len() as u64 + 1, effects));
        Ok(())
    }
}
