use std::fmt;

use super::floor::Floor;
use super::state::{Owner, Phase, ROWS_MAX, Stage, State};
use super::{Bounds, Mistake};

/// The protocol under search: its bounds and what is wrong with it.
pub(super) struct Protocol {
    pub(super) bounds: Bounds,
    pub(super) mistake: Option<Mistake>,
}

/// Something that happens, whole. The first number is an owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Append,
    Sync,
    Acknowledge,
    PinFloors,
    Truncate,
    Open(u8),
    Claim(u8),
    ClaimAgain(u8),
    Take(u8),
    /// With the lanes, a bit each.
    Begin(u8, u8),
    Write(u8),
    Advance(u8),
    Commit(u8),
    Pay(u8),
    Resolve(u8),
    FlightCommits(u8),
    FlightRollsBack(u8),
    /// With the end of the log that is left.
    StopPoisoned(u8, u8),
    RestartRestored(u8),
    SyncFails,
    LoseReply(u8),
    /// With the end of the log that is left.
    Crash(u8, u8),
    TakeOver,
    Snapshot,
    Restore,
    ReplaceLog,
}

impl Protocol {
    pub(super) fn has(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    pub(super) fn lanes(&self) -> std::ops::Range<usize> {
        0..usize::from(self.bounds.lanes)
    }

    /// The lane of a row, for good.
    pub(super) fn lane(&self, row: u8) -> usize {
        usize::from(row % self.bounds.lanes)
    }

    /// The lane that an owner puts a row into.
    pub(super) fn lane_as_seen(&self, owner: &Owner, row: u8) -> usize {
        if owner.epoch > 1 && self.has(Mistake::LanesRemappedOnRestart) { 0 } else { self.lane(row) }
    }

    /// Adds the steps that someone will take sooner or later. A state without any is at rest.
    pub(super) fn progress(&self, from: &State, found: &mut Vec<(Step, State)>) {
        let mut add = |step, to: Option<State>| found.extend(to.map(|to| (step, to)));
        add(Step::Append, self.append(from));
        add(Step::Sync, self.sync(from));
        add(Step::Acknowledge, self.acknowledge(from));
        add(Step::PinFloors, self.pin_floors(from));
        add(Step::Truncate, self.truncate(from));
        for owner in 0..2_u8 {
            let at = usize::from(owner);
            let me = &from.owners[at];
            add(Step::FlightCommits(owner), self.flight_commits(from, at));
            add(Step::FlightRollsBack(owner), Self::flight_rolls_back(from, at));
            match me.phase {
                Phase::Absent => {}
                Phase::Down => add(Step::Open(owner), self.open(from, at)),
                Phase::Opened => add(Step::Claim(owner), self.claim(from, at)),
                Phase::InDoubt => add(Step::Resolve(owner), self.resolve(from, at)),
                Phase::Running if me.branch.stage == Stage::Idle => {
                    for lanes in 1..1_u8 << self.bounds.lanes {
                        add(Step::Begin(owner, lanes), self.begin(from, at, lanes));
                    }
                    add(Step::Take(owner), self.take(from, at));
                }
                Phase::Running => {
                    add(Step::Write(owner), Self::write(from, at));
                    add(Step::Advance(owner), self.advance(from, at));
                    add(Step::Commit(owner), self.commit(from, at));
                    add(Step::Pay(owner), self.pay(from, at));
                }
                _ => add(Step::ClaimAgain(owner), self.claim_again(from, at)),
            }
            if from.log.poisoned {
                for keep in 0..=ROWS_MAX as u8 {
                    add(Step::StopPoisoned(owner, keep), self.stop_poisoned(from, at, keep));
                }
            }
            add(Step::RestartRestored(owner), self.restart_restored(from, at));
        }
    }

    /// Adds the faults that may happen now.
    pub(super) fn faults(&self, from: &State, found: &mut Vec<(Step, State)>) {
        let mut add = |step, to: Option<State>| found.extend(to.map(|to| (step, to)));
        for owner in 0..2_u8 {
            let at = usize::from(owner);
            add(Step::LoseReply(owner), self.lose_reply(from, at));
            if from.budget.crashes > 0 {
                for keep in 0..=ROWS_MAX as u8 {
                    add(Step::Crash(owner, keep), self.crash(from, at, keep));
                }
            }
        }
        add(Step::SyncFails, self.sync_fails(from));
        add(Step::TakeOver, self.take_over(from));
        add(Step::Snapshot, Self::snapshot(from));
        add(Step::Restore, Self::restore(from));
        add(Step::ReplaceLog, self.replace_log(from));
    }
}

impl Step {
    /// The step in words, with what came of it.
    pub(super) fn describe(self, to: &State) -> String {
        let told = |owner: u8| {
            let me = &to.owners[usize::from(owner)];
            match me.phase {
                Phase::Running => format!("epoch {}, positions {:?}", me.epoch, me.position),
                phase => format!("{phase:?}"),
            }
        };
        match self {
            Step::Append => format!("append row {} as number {}", to.log.next_row - 1, to.log.end - 1),
            Step::PinFloors => {
                let floor = |floor: Option<Floor>| {
                    floor.map_or("none".into(), |it| format!("{}..{}", it.position, it.end))
                };
                format!("{self}: {}", to.log.floors.map(floor).join(", "))
            }
            Step::Truncate => format!("{self}: it starts at {}", to.log.start),
            Step::Claim(owner) => format!("owner {owner} claims: {}", told(owner)),
            Step::Begin(owner, _) | Step::Advance(owner) | Step::Pay(owner)
                if to.owners[usize::from(owner)].phase == Phase::Fenced =>
            {
                format!("{self}: Fenced")
            }
            Step::Resolve(owner) => format!("owner {owner} settles its commit in doubt: {}", told(owner)),
            Step::Commit(_) | Step::FlightCommits(_) | Step::Restore => {
                format!("{self}: table {:?}, positions {:?}", to.database.table, to.database.position)
            }
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Append => write!(f, "append"),
            Step::Sync => write!(f, "sync the log"),
            Step::Acknowledge => write!(f, "acknowledge what is durable"),
            Step::PinFloors => write!(f, "pin the floors of lanes that stand still"),
            Step::Truncate => write!(f, "truncate the log"),
            Step::Open(owner) => write!(f, "owner {owner} opens its source"),
            Step::Claim(owner) => write!(f, "owner {owner} claims"),
            Step::ClaimAgain(owner) => write!(f, "owner {owner}, fenced, goes to claim again"),
            Step::Take(owner) => write!(f, "owner {owner} takes the next record"),
            Step::Begin(owner, lanes) => write!(f, "owner {owner} begins a branch, lanes {lanes:#04b}"),
            Step::Write(owner) => write!(f, "owner {owner} writes the rows"),
            Step::Advance(owner) => write!(f, "owner {owner} advances a lane"),
            Step::Commit(owner) => write!(f, "owner {owner} commits"),
            Step::Pay(owner) => write!(f, "owner {owner} updates the ledger"),
            Step::Resolve(owner) => write!(f, "owner {owner} resolves"),
            Step::FlightCommits(owner) => write!(f, "the commit in flight of owner {owner} is made"),
            Step::FlightRollsBack(owner) => write!(f, "the commit in flight of owner {owner} is rolled back"),
            Step::StopPoisoned(owner, end) => {
                write!(f, "owner {owner} stops on a poisoned log, which ends at {end}")
            }
            Step::RestartRestored(owner) => write!(f, "owner {owner} is restarted after the restore"),
            Step::SyncFails => write!(f, "a sync of the log fails"),
            Step::LoseReply(owner) => write!(f, "owner {owner} sends COMMIT and loses the connection"),
            Step::Crash(owner, end) => write!(f, "owner {owner} dies, the log ends at {end}"),
            Step::TakeOver => write!(f, "a second owner is started"),
            Step::Snapshot => write!(f, "a snapshot of the database is taken"),
            Step::Restore => write!(f, "the database is restored to the snapshot"),
            Step::ReplaceLog => write!(f, "the log's directory is replaced by an empty one"),
        }
    }
}
