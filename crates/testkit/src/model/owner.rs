//! The steps of an owner: claim, take, branch, outcome.

use super::Mistake;
use super::state::{Branch, Flight, LANES_MAX, Owner, Phase, Stage, State};
use super::step::Protocol;

impl Protocol {
    pub(super) fn take_over(&self, from: &State) -> Option<State> {
        if from.budget.takeovers == 0 || from.owners[1].phase != Phase::Absent {
            return None;
        }
        let mut to = *from;
        to.budget.takeovers -= 1;
        to.owners[1].phase = Phase::Down;
        Some(to)
    }

    /// Waits for whoever holds a ledger row, so that the positions it reads are final.
    pub(super) fn claim(&self, from: &State, owner: usize) -> Option<State> {
        let waits = !self.has(Mistake::ClaimDoesNotWaitForCommitInFlight);
        if from.owners[owner].phase != Phase::Opened || (waits && from.locked(u8::MAX, owner)) {
            return None;
        }
        let mut to = *from;
        if let Some(refused) = self.refusal(from) {
            let whole = self.misses_nothing(from);
            // A restored lane may stand where no floor was ever pinned: the log cannot tell what it had, and refuses.
            to.seen.refused_without_cause |= refused == Phase::RefusedGap && whole && !from.seen.restored;
            to.owners[owner] = Owner { phase: refused, ..from.owners[owner] };
            return Some(to);
        }
        if from.database.epoch == 0 {
            to.database.source = from.log.identity;
        }
        to.database.epoch += 1;
        to.seen.fenced_acted |= from.owners[owner].told_fenced;
        let lowest = self.lanes().map(|lane| from.database.position[lane]).min().unwrap_or(0);
        to.owners[owner] = Owner {
            phase: Phase::Running,
            taken: lowest.max(from.log.start),
            position: from.database.position,
            epoch: to.database.epoch,
            ..from.owners[owner]
        };
        Some(to)
    }

    /// The database has all that the log let go of.
    pub(super) fn misses_nothing(&self, state: &State) -> bool {
        let applied = |(lsn, row): (u8, u8)| lsn < state.database.position[self.lane(row)];
        state.log.between(0, state.log.start).all(applied)
    }

    /// As `ClaimRequest::judge`. A ledger that has no rows is judged like one at the stream's first position.
    fn refusal(&self, state: &State) -> Option<Phase> {
        let (log, database) = (&state.log, &state.database);
        if database.epoch > 0 && database.source != log.identity && !self.has(Mistake::SourceIgnored) {
            return Some(Phase::RefusedSource);
        }
        let blind = self.has(Mistake::GapIgnored)
            || (database.epoch == 0 && self.has(Mistake::AbsentLedgerTakenForNew));
        for lane in self.lanes() {
            let position = database.position[lane];
            if position < self.floor(log, lane) && !blind {
                return Some(Phase::RefusedGap);
            }
            if position > log.end {
                return Some(Phase::RefusedAhead);
            }
        }
        None
    }

    /// Only between branches: it touches nothing that others see, so taking later comes to the same.
    pub(super) fn take(&self, from: &State, owner: usize) -> Option<State> {
        let me = &from.owners[owner];
        let limit = if self.has(Mistake::AppliedBeforeDurable) { from.log.end } else { from.log.durable };
        if me.phase != Phase::Running || me.branch.stage != Stage::Idle || me.taken >= limit {
            return None;
        }
        let mut to = *from;
        to.owners[owner].taken += 1;
        Some(to)
    }

    /// Opens a branch with all that was taken of some lanes.
    pub(super) fn begin(&self, from: &State, owner: usize, lanes: u8) -> Option<State> {
        let me = &from.owners[owner];
        if me.phase != Phase::Running || me.branch.stage != Stage::Idle {
            return None;
        }
        let mut branch = Branch { stage: Stage::Begun, lanes, ..Branch::default() };
        let mut moved = 0;
        for (lsn, row) in from.log.between(from.log.start, me.taken) {
            let lane = self.lane_as_seen(me, row);
            if lanes & (1 << lane) != 0 && lsn >= me.position[lane] {
                branch.rows |= 1 << row;
                branch.to[lane] = lsn + 1;
                moved |= 1 << lane;
            }
        }
        if moved != lanes {
            return None;
        }
        if self.has(Mistake::LedgerCheckedBeforeBranchOnly) && !self.ours(from, owner, &branch) {
            return Some(fenced(from, owner));
        }
        let mut to = *from;
        to.owners[owner].branch = branch;
        Some(to)
    }

    pub(super) fn write(from: &State, owner: usize) -> Option<State> {
        if from.owners[owner].branch.stage != Stage::Begun {
            return None;
        }
        let mut to = *from;
        to.owners[owner].branch.stage = Stage::Written;
        Some(to)
    }

    /// Moves the next lane, in key order, where epoch and position are what they were; waits for the row's lock.
    pub(super) fn advance(&self, from: &State, owner: usize) -> Option<State> {
        let branch = &from.owners[owner].branch;
        let waiting = branch.lanes & !branch.advanced;
        if branch.stage != Stage::Written || waiting == 0 || self.has(Mistake::PositionOutsideTransaction) {
            return None;
        }
        let lane = 1 << waiting.trailing_zeros();
        let waits = !self.has(Mistake::ClaimDoesNotWaitForCommitInFlight);
        if waits && from.locked(lane, owner) {
            return None;
        }
        let unconditional =
            self.has(Mistake::UnconditionalLedgerUpdate) || self.has(Mistake::LedgerCheckedBeforeBranchOnly);
        if !unconditional && !self.ours(from, owner, &Branch { lanes: lane, ..*branch }) {
            return Some(fenced(from, owner));
        }
        let mut to = *from;
        to.owners[owner].branch.advanced |= lane;
        Some(to)
    }

    pub(super) fn commit(&self, from: &State, owner: usize) -> Option<State> {
        let me = &from.owners[owner];
        let outside = self.has(Mistake::PositionOutsideTransaction);
        if me.branch.stage != Stage::Written || (me.branch.advanced != me.branch.lanes && !outside) {
            return None;
        }
        let mut to = *from;
        self.apply(&mut to, &me.branch, me.epoch);
        if outside {
            to.owners[owner].branch.stage = Stage::Owed;
        } else {
            finish(&mut to, owner);
        }
        Some(to)
    }

    /// The ledger's turn after the data, by mistake only.
    pub(super) fn pay(&self, from: &State, owner: usize) -> Option<State> {
        let branch = from.owners[owner].branch;
        if branch.stage != Stage::Owed {
            return None;
        }
        if !self.ours(from, owner, &branch) {
            return Some(fenced(from, owner));
        }
        let mut to = *from;
        for lane in lanes_of(branch.lanes) {
            to.database.position[lane] = branch.to[lane];
        }
        finish(&mut to, owner);
        Some(to)
    }

    /// The connection breaks while COMMIT is under way: the server still has it.
    pub(super) fn lose_reply(&self, from: &State, owner: usize) -> Option<State> {
        let me = &from.owners[owner];
        let sent = me.branch.stage == Stage::Written && me.branch.advanced == me.branch.lanes;
        if from.budget.lost_replies == 0 || !sent || from.flights[owner].branch.lanes != 0 {
            return None;
        }
        let mut to = *from;
        to.budget.lost_replies -= 1;
        to.flights[owner] = Flight { branch: me.branch, epoch: me.epoch };
        to.owners[owner].phase = Phase::InDoubt;
        to.owners[owner].branch.stage = Stage::Sent;
        Some(to)
    }

    /// Asks the ledger, which waits for the commit in flight.
    pub(super) fn resolve(&self, from: &State, owner: usize) -> Option<State> {
        let me = &from.owners[owner];
        if me.phase != Phase::InDoubt || self.has(Mistake::InDoubtNeverResolved) {
            return None;
        }
        let mut to = *from;
        let at = |positions: &[u8; LANES_MAX]| {
            lanes_of(me.branch.lanes).all(|lane| from.database.position[lane] == positions[lane])
        };
        if self.has(Mistake::InDoubtGuessedAsCommitted) {
            finish(&mut to, owner);
        } else if self.has(Mistake::InDoubtGuessedAsFailed) {
            to.owners[owner].branch = Branch::default();
            to.owners[owner].phase = Phase::Running;
        } else if from.locked(me.branch.lanes, owner) {
            return None;
        } else if from.database.epoch != me.epoch {
            return Some(fenced(from, owner));
        } else if at(&me.branch.to) {
            finish(&mut to, owner);
        } else if at(&me.position) {
            to.owners[owner].branch = Branch::default();
            to.owners[owner].phase = Phase::Running;
        } else {
            to.owners[owner] = ended(me, Phase::RefusedAnswer);
        }
        Some(to)
    }

    /// The condition of the ledger's update.
    fn ours(&self, state: &State, owner: usize, branch: &Branch) -> bool {
        let me = &state.owners[owner];
        let at = |lane: usize| state.database.position[lane] == me.position[lane];
        (self.has(Mistake::EpochNotCompared) || state.database.epoch == me.epoch)
            && (self.has(Mistake::PositionNotCompared) || lanes_of(branch.lanes).all(at))
    }

    pub(super) fn claim_again(&self, from: &State, owner: usize) -> Option<State> {
        if !self.has(Mistake::FencedOwnerClaimsAgain) || from.owners[owner].phase != Phase::Fenced {
            return None;
        }
        let mut to = *from;
        to.owners[owner].phase = Phase::Opened;
        Some(to)
    }
}

pub(super) fn lanes_of(mask: u8) -> impl Iterator<Item = usize> {
    (0..LANES_MAX).filter(move |lane| mask & (1 << lane) != 0)
}

/// The owner knows that its branch is committed.
fn finish(state: &mut State, owner: usize) {
    let me = &mut state.owners[owner];
    for lane in lanes_of(me.branch.lanes) {
        me.position[lane] = me.branch.to[lane];
    }
    me.branch = Branch::default();
    me.phase = Phase::Running;
}

fn fenced(from: &State, owner: usize) -> State {
    let mut to = *from;
    let me = &from.owners[owner];
    to.seen.refused_without_cause |= from.database.epoch == me.epoch && !from.seen.restored;
    to.owners[owner] = Owner { told_fenced: true, ..ended(me, Phase::Fenced) };
    to
}

fn ended(owner: &Owner, phase: Phase) -> Owner {
    Owner { phase, told_fenced: owner.told_fenced, before_restore: owner.before_restore, ..Owner::default() }
}
