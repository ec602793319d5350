//! The steps of the database: commits that nobody waits for, snapshots, restores.

use super::Mistake;
use super::owner::lanes_of;
use super::state::{Branch, Flight, Phase, Stage, State};
use super::step::Protocol;

impl Protocol {
    /// Makes a branch visible: its rows and the positions of its lanes, together.
    pub(super) fn apply(&self, state: &mut State, branch: &Branch, epoch: u8) {
        state.seen.fenced_acted |= epoch != state.database.epoch;
        for row in 0..self.bounds.rows {
            if branch.rows & (1 << row) == 0 {
                continue;
            }
            let lane = self.lane(row);
            state.seen.out_of_order |= (row + 1..self.bounds.rows)
                .any(|later| self.lane(later) == lane && state.database.table[usize::from(later)] > 0);
            let count = &mut state.database.table[usize::from(row)];
            *count = (*count + 1).min(2);
        }
        if !self.has(Mistake::PositionOutsideTransaction) {
            for lane in lanes_of(branch.lanes) {
                state.database.position[lane] = branch.to[lane];
            }
        }
    }

    pub(super) fn flight_commits(&self, from: &State, owner: usize) -> Option<State> {
        let flight = from.flights[owner];
        let mut to = Self::flight_rolls_back(from, owner)?;
        self.apply(&mut to, &flight.branch, flight.epoch);
        Some(to)
    }

    pub(super) fn flight_rolls_back(from: &State, owner: usize) -> Option<State> {
        if from.flights[owner].branch.lanes == 0 {
            return None;
        }
        let mut to = *from;
        to.flights[owner] = Flight::default();
        Some(to)
    }

    pub(super) fn snapshot(from: &State) -> Option<State> {
        if from.budget.restores == 0 || from.snapshot.is_some() {
            return None;
        }
        Some(State { snapshot: Some(from.database), ..*from })
    }

    /// The database is what it was at the snapshot. Every connection is gone; whoever was in doubt still is.
    pub(super) fn restore(from: &State) -> Option<State> {
        let snapshot = from.snapshot.filter(|snapshot| *snapshot != from.database)?;
        let mut to = *from;
        to.budget.restores -= 1;
        to.database = snapshot;
        to.snapshot = None;
        to.seen.restored = true;
        to.flights = [Flight::default(); 2];
        for owner in &mut to.owners {
            if owner.branch.stage != Stage::Sent {
                owner.branch = Branch::default();
            }
            owner.before_restore = !matches!(owner.phase, Phase::Absent | Phase::Down | Phase::Opened);
        }
        Some(to)
    }
}
