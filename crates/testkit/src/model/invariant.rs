use super::state::{NONE, Owner, Phase, Stage, State};
use super::step::Protocol;

macro_rules! invariants {
    ($($(#[doc = $text:literal])+ $name:ident => $holds:path,)+) => {
        /// Something that is true in every state.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Invariant { $($(#[doc = $text])+ $name,)+ }

        impl Invariant {
            /// All of them.
            pub const ALL: &'static [Invariant] = &[$(Invariant::$name,)+];
            /// Their texts, in the same order.
            pub const TEXTS: &'static [&'static str] = &[$(Invariant::$name.text(),)+];

            /// The invariant in a sentence.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Invariant::$name => concat!($($text,)+).trim_ascii(),)+ }
            }

            /// Whether it holds. `at_rest`: nobody has anything left to do.
            pub(super) fn holds(self, protocol: &Protocol, state: &State, at_rest: bool) -> bool {
                let view = View { protocol, state, at_rest };
                match self { $(Invariant::$name => $holds(&view),)+ }
            }
        }
    };
}

invariants! {
    /// a row is in its table at most once
    AtMostOnce => View::at_most_once,
    /// the rows of a lane are applied in the order of the log
    LaneOrder => View::lane_order,
    /// at rest, each acknowledged row is in its table once, or a refusal says by name why not
    NothingLost => View::nothing_lost,
    /// what is acknowledged survives a power cut
    AcknowledgedIsDurable => View::acknowledged_is_durable,
    /// what is applied survives a power cut
    AppliedIsDurable => View::applied_is_durable,
    /// a fenced owner neither commits nor claims again
    FencedStaysOut => View::fenced_stays_out,
    /// no number of the log is given twice to rows that could be read
    NumberOnce => View::number_once,
    /// a lane's position says exactly which rows are in the table
    PositionTellsTable => View::position_tells_table,
    /// what an owner reports as applied is applied
    ReportedIsApplied => View::reported_is_applied,
    /// the positions that a claim returned are final
    ClaimIsFinal => View::claim_is_final,
    /// the log keeps what is not applied
    LogKeepsWaiting => View::log_keeps_waiting,
    /// a floor that a claim trusts hides no row
    FloorHidesNothing => View::floor_hides_nothing,
    /// a refusal has the cause that it names
    RefusalIsTrue => View::refusal_is_true,
    /// at rest, nobody waits for anybody
    NobodyWaits => View::nobody_waits,
}

impl Invariant {
    /// Those whose breach a user sees as rows that are lost, doubled or out of order.
    pub const HARM: &'static [Invariant] =
        &[Invariant::AtMostOnce, Invariant::LaneOrder, Invariant::NothingLost];
}

struct View<'a> {
    protocol: &'a Protocol,
    state: &'a State,
    at_rest: bool,
}

impl View<'_> {
    fn at_most_once(&self) -> bool {
        self.state.database.table.iter().all(|count| *count <= 1)
    }

    fn lane_order(&self) -> bool {
        !self.state.seen.out_of_order
    }

    fn nothing_lost(&self) -> bool {
        let (log, seen) = (&self.state.log, &self.state.seen);
        let refused = self.state.owners.iter().any(|owner| {
            (owner.phase == Phase::RefusedGap && seen.restored)
                || (owner.phase == Phase::RefusedSource && seen.replaced)
        });
        let promised = log.acknowledged & !log.retired;
        !self.at_rest || refused || promised & !self.applied() == 0
    }

    fn acknowledged_is_durable(&self) -> bool {
        self.state.log.acknowledged & !self.state.log.retired & !self.proven() == 0
    }

    fn applied_is_durable(&self) -> bool {
        self.applied() & !self.state.log.retired & !self.proven() == 0
    }

    fn fenced_stays_out(&self) -> bool {
        !self.state.seen.fenced_acted
    }

    fn position_tells_table(&self) -> bool {
        let (log, database) = (&self.state.log, &self.state.database);
        if self.foreign() {
            return true;
        }
        let mut below = 0;
        for (lsn, row) in log.between(0, log.rows.len() as u8) {
            if lsn < database.position[self.protocol.lane(row)] {
                below |= 1 << row;
            }
        }
        below == self.applied()
    }

    fn reported_is_applied(&self) -> bool {
        self.claimed().all(|owner| {
            self.protocol.lanes().all(|lane| owner.position[lane] <= self.state.database.position[lane])
        })
    }

    /// After a restore an epoch may be given out again, and only the position tells owners apart.
    fn claim_is_final(&self) -> bool {
        self.state.seen.restored
            || self.claimed().all(|owner| {
                owner.phase != Phase::Running
                    || owner.epoch != self.state.database.epoch
                    || owner.branch.stage == Stage::Owed
                    || owner.position == self.state.database.position
            })
    }

    fn number_once(&self) -> bool {
        !self.state.seen.number_twice
    }

    fn log_keeps_waiting(&self) -> bool {
        self.state.seen.restored || self.foreign() || self.protocol.misses_nothing(self.state)
    }

    /// Whoever stands between the floor and the start is let in: nothing of the lane may have been there.
    fn floor_hides_nothing(&self) -> bool {
        let log = &self.state.log;
        self.protocol.lanes().all(|lane| {
            let mut removed = log.between(self.protocol.floor(log, lane), log.start);
            !removed.any(|(_, row)| self.protocol.lane(row) == lane)
        })
    }

    fn refusal_is_true(&self) -> bool {
        let seen = &self.state.seen;
        let true_for = |owner: &Owner| match owner.phase {
            Phase::RefusedGap => seen.restored,
            Phase::RefusedSource => seen.replaced,
            Phase::RefusedAhead => false,
            Phase::RefusedAnswer => seen.restored,
            _ => true,
        };
        !seen.refused_without_cause && self.state.owners.iter().all(true_for)
    }

    fn nobody_waits(&self) -> bool {
        let waits = |owner: &Owner| match owner.phase {
            Phase::Running => owner.branch.stage != Stage::Idle,
            Phase::Down | Phase::Opened | Phase::InDoubt => true,
            _ => false,
        };
        !self.at_rest || !self.state.owners.iter().any(waits)
    }

    /// The ledger counts in another log than this one.
    fn foreign(&self) -> bool {
        self.state.database.epoch > 0 && self.state.database.source != self.state.log.identity
    }

    /// Owners that hold a claim on the database as it is, and not on what it was before a restore.
    fn claimed(&self) -> impl Iterator<Item = &Owner> {
        let claims =
            |owner: &&Owner| matches!(owner.phase, Phase::Running | Phase::InDoubt) && !owner.before_restore;
        self.state.owners.iter().filter(claims)
    }

    fn applied(&self) -> u8 {
        let table = self.state.database.table.iter().enumerate();
        table.fold(0, |rows, (row, count)| if *count > 0 { rows | 1 << row } else { rows })
    }

    /// The rows that a power cut cannot take, a bit each; truncated ones among them.
    fn proven(&self) -> u8 {
        let numbers = self.state.log.rows.iter().take(usize::from(self.state.log.proven()));
        numbers.filter(|row| **row != NONE).fold(0, |rows, row| rows | 1 << row)
    }
}
