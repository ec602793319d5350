//! The steps of the log: what is appended, durable, acknowledged and kept.

use super::state::{LANES_MAX, Log, NONE, Owner, Phase, ROWS_MAX, State};
use super::step::Protocol;
use super::{Mistake, SourceKind};

impl Protocol {
    pub(super) fn append(&self, from: &State) -> Option<State> {
        let log = &from.log;
        if !self.log_is_open(from) || log.poisoned || log.next_row >= self.bounds.rows {
            return None;
        }
        let mut to = *from;
        let place = usize::from(log.end);
        to.seen.number_twice |= log.rows[place] != NONE;
        to.log.rows[place] = log.next_row;
        to.log.end += 1;
        to.log.next_row += 1;
        Some(to)
    }

    pub(super) fn sync(&self, from: &State) -> Option<State> {
        if !self.log_is_open(from) || from.log.poisoned || from.log.durable >= from.log.end {
            return None;
        }
        let mut to = *from;
        to.log.durable = from.log.end;
        Some(to)
    }

    /// The system marks the pages clean all the same: what they held is on disk only if it is written anew.
    pub(super) fn sync_fails(&self, from: &State) -> Option<State> {
        if from.budget.failed_syncs == 0 || self.sync(from).is_none() {
            return None;
        }
        let mut to = *from;
        to.budget.failed_syncs -= 1;
        to.log.hole = from.log.hole.min(from.log.durable);
        to.log.poisoned = !self.has(Mistake::RetriedFsync);
        Some(to)
    }

    pub(super) fn acknowledge(&self, from: &State) -> Option<State> {
        if !self.log_is_open(from) {
            return None;
        }
        let durable: u8 = from.log.between(from.log.start, from.log.durable).map(|(_, row)| 1 << row).sum();
        if durable & !from.log.acknowledged == 0 {
            return None;
        }
        let mut to = *from;
        to.log.acknowledged |= durable;
        Some(to)
    }

    /// Opening writes the surviving tail anew and syncs it before anybody reads it.
    pub(super) fn open(&self, from: &State, owner: usize) -> Option<State> {
        if from.owners[owner].phase != Phase::Down {
            return None;
        }
        let mut to = *from;
        to.owners[owner].phase = Phase::Opened;
        to.log.durable = from.log.end;
        if self.has(Mistake::LsnReusedAfterCrash) && from.log.start == from.log.end {
            (to.log.start, to.log.end, to.log.durable) = (0, 0, 0);
            to.log.floors = [None; LANES_MAX];
            to.log.retired = (1 << from.log.next_row) - 1;
        }
        Some(to)
    }

    /// Kill or power cut: memory is gone, and of a log's unproven tail what lies at or above `keep`.
    pub(super) fn crash(&self, from: &State, owner: usize, keep: u8) -> Option<State> {
        let alive = matches!(from.owners[owner].phase, Phase::Opened | Phase::Running | Phase::InDoubt);
        if from.budget.crashes == 0 || !alive || !self.can_keep(from, keep) {
            return None;
        }
        let mut to = self.stop(from, owner, keep);
        to.budget.crashes -= 1;
        Some(to)
    }

    /// A poisoned log is good for nothing but to be opened anew; the power may go as well.
    pub(super) fn stop_poisoned(&self, from: &State, owner: usize, keep: u8) -> Option<State> {
        let stops = from.log.poisoned && self.log_is_open(from) && owner == 0 && self.can_keep(from, keep);
        stops.then(|| self.stop(from, owner, keep))
    }

    /// A person starts an owner again because the database was restored under it.
    pub(super) fn restart_restored(&self, from: &State, owner: usize) -> Option<State> {
        from.owners[owner].before_restore.then(|| self.stop(from, owner, from.log.end))
    }

    /// A fresh directory is in the place of the log. What only the old one had is gone with it, by a person's hand.
    pub(super) fn replace_log(&self, from: &State) -> Option<State> {
        if self.bounds.source != SourceKind::Log
            || from.budget.replaced_logs == 0
            || from.owners[0].phase != Phase::Down
        {
            return None;
        }
        let mut to = *from;
        to.budget.replaced_logs -= 1;
        to.seen.replaced = true;
        to.log = Log {
            start: 0,
            end: 0,
            durable: 0,
            hole: NONE,
            rows: [NONE; ROWS_MAX],
            floors: [None; LANES_MAX],
            identity: from.log.identity + 1,
            retired: (1 << from.log.next_row) - 1,
            ..from.log
        };
        Some(to)
    }

    fn log_is_open(&self, state: &State) -> bool {
        self.bounds.source == SourceKind::Log
            && matches!(state.owners[0].phase, Phase::Opened | Phase::Running | Phase::InDoubt)
    }

    fn can_keep(&self, state: &State, keep: u8) -> bool {
        match self.bounds.source {
            SourceKind::Log => keep >= state.log.proven() && keep <= state.log.end,
            SourceKind::File => keep == state.log.end,
        }
    }

    fn stop(&self, from: &State, owner: usize, keep: u8) -> State {
        let mut to = *from;
        to.owners[owner] = Owner { phase: Phase::Down, ..Owner::default() };
        for lsn in keep..from.log.end {
            to.log.rows[usize::from(lsn)] = NONE;
        }
        to.log.end = keep;
        to.log.durable = from.log.durable.min(keep);
        to.log.hole = NONE;
        to.log.poisoned = false;
        to
    }
}
