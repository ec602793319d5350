use super::floor::Floor;
use super::{Bounds, SourceKind};

pub(super) const ROWS_MAX: usize = 4;
pub(super) const LANES_MAX: usize = 2;
/// No row, no number.
pub(super) const NONE: u8 = u8::MAX;

/// The source: a write-ahead log, or a file that is all there from the beginning. Numbers count from 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Log {
    /// The lowest number that can be read.
    pub(super) start: u8,
    /// The number of the next record.
    pub(super) end: u8,
    /// Everything below is believed to be durable.
    pub(super) durable: u8,
    /// What a failed sync left unwritten although the system calls it clean; [`NONE`] when there is no such hole.
    pub(super) hole: u8,
    /// The row at each number. Truncated rows stay: they are the history. Rows that a crash took are removed.
    pub(super) rows: [u8; ROWS_MAX],
    /// What the log vouches for about each lane; durable.
    pub(super) floors: [Option<Floor>; LANES_MAX],
    /// Which log it is: the first, or one that took its place.
    pub(super) identity: u8,
    pub(super) poisoned: bool,
    /// The next row of the producer.
    pub(super) next_row: u8,
    /// The rows that were acknowledged, a bit each.
    pub(super) acknowledged: u8,
    /// The rows of a log that was taken away, a bit each.
    pub(super) retired: u8,
}

impl Log {
    /// What a power cut leaves for certain.
    pub(super) fn proven(&self) -> u8 {
        self.durable.min(self.hole)
    }

    /// The numbers from `from` to below `to`, each with its row.
    pub(super) fn between(&self, from: u8, to: u8) -> impl Iterator<Item = (u8, u8)> + '_ {
        (from..to).map(|lsn| (lsn, self.rows[usize::from(lsn)])).filter(|(_, row)| *row != NONE)
    }
}

/// What the database holds for good.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Database {
    /// How often each row is in the table; 2 stands for more than once.
    pub(super) table: [u8; ROWS_MAX],
    pub(super) position: [u8; LANES_MAX],
    /// 0 where the ledger has no rows yet.
    pub(super) epoch: u8,
    pub(super) source: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum Stage {
    #[default]
    Idle,
    Begun,
    Written,
    /// COMMIT was sent and the connection is gone.
    Sent,
    /// The rows are committed and the ledger is not: only by mistake.
    Owed,
}

/// A transaction of the database.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Branch {
    pub(super) stage: Stage,
    /// The lanes that are to move, a bit each.
    pub(super) lanes: u8,
    /// Those that did: their ledger rows are locked.
    pub(super) advanced: u8,
    /// The rows it writes, a bit each.
    pub(super) rows: u8,
    pub(super) to: [u8; LANES_MAX],
}

/// A COMMIT that the server has and nobody waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Flight {
    pub(super) branch: Branch,
    pub(super) epoch: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) enum Phase {
    /// Never started.
    #[default]
    Absent,
    Down,
    /// Has its source, not yet the stream.
    Opened,
    Running,
    InDoubt,
    Fenced,
    RefusedGap,
    RefusedSource,
    RefusedAhead,
    /// The ledger's answer fits no outcome of the commit in doubt.
    RefusedAnswer,
}

/// A process and its memory. What it does not use is zero, so that equal states are equal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Owner {
    pub(super) phase: Phase,
    /// The next number that its dispatcher takes.
    pub(super) taken: u8,
    pub(super) position: [u8; LANES_MAX],
    pub(super) epoch: u8,
    pub(super) branch: Branch,
    /// The floors are pinned to remove the log below this number; 0 where nothing is under way.
    pub(super) releasing: u8,
    /// This life was told that it is fenced.
    pub(super) told_fenced: bool,
    /// The database was restored during this life.
    pub(super) before_restore: bool,
}

/// What happened and cannot be seen in the rest of the state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Seen {
    pub(super) restored: bool,
    pub(super) replaced: bool,
    pub(super) out_of_order: bool,
    pub(super) number_twice: bool,
    /// A commit of an epoch that is not the ledger's, or a claim of an owner that was told it is fenced.
    pub(super) fenced_acted: bool,
    /// Fenced while the epoch was its own, or a gap in which nothing is missing.
    pub(super) refused_without_cause: bool,
}

/// The faults that may still happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) crashes: u8,
    pub(super) takeovers: u8,
    pub(super) lost_replies: u8,
    pub(super) failed_syncs: u8,
    pub(super) restores: u8,
    pub(super) replaced_logs: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) log: Log,
    pub(super) database: Database,
    pub(super) snapshot: Option<Database>,
    pub(super) owners: [Owner; 2],
    pub(super) flights: [Flight; 2],
    pub(super) seen: Seen,
    pub(super) budget: Budget,
}

impl State {
    /// Nothing is written, nobody claimed, the first owner is about to start.
    pub(super) fn first(bounds: &Bounds) -> Self {
        let mut log = Log {
            start: 0,
            end: 0,
            durable: 0,
            hole: NONE,
            rows: [NONE; ROWS_MAX],
            floors: [None; LANES_MAX],
            identity: 0,
            poisoned: false,
            next_row: 0,
            acknowledged: 0,
            retired: 0,
        };
        if bounds.source == SourceKind::File {
            for row in 0..bounds.rows {
                log.rows[usize::from(row)] = row;
                log.acknowledged |= 1 << row;
            }
            (log.end, log.durable, log.next_row) = (bounds.rows, bounds.rows, bounds.rows);
        }
        let database = Database { table: [0; ROWS_MAX], position: [0; LANES_MAX], epoch: 0, source: 0 };
        let budget = Budget {
            crashes: bounds.crashes,
            takeovers: bounds.takeovers,
            lost_replies: bounds.lost_replies,
            failed_syncs: bounds.failed_syncs,
            restores: bounds.restores,
            replaced_logs: bounds.replaced_logs,
        };
        let owners = [Owner { phase: Phase::Down, ..Owner::default() }, Owner::default()];
        State {
            log,
            database,
            snapshot: None,
            owners,
            flights: [Flight::default(); 2],
            seen: Seen::default(),
            budget,
        }
    }

    /// Whether a ledger row of these lanes is locked by a transaction other than the branch of `owner`.
    pub(super) fn locked(&self, lanes: u8, owner: usize) -> bool {
        let other = &self.owners[1 - owner].branch;
        (other.stage == Stage::Written && other.advanced & lanes != 0)
            || self.flights.iter().any(|flight| flight.branch.advanced & lanes != 0)
    }
}
