use super::{Bounds, SourceKind};

macro_rules! mistakes {
    ($($(#[doc = $text:literal])+ $name:ident,)+) => {
        /// One wrong line in the protocol, planted to show that the search finds it.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Mistake { $($(#[doc = $text])+ $name,)+ }

        impl Mistake {
            /// All of them.
            pub const ALL: &'static [Mistake] = &[$(Mistake::$name,)+];

            /// What is wrong, in a sentence.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Mistake::$name => concat!($($text,)+).trim_ascii(),)+ }
            }
        }
    };
}

mistakes! {
    /// The ledger is updated without asking for epoch and position.
    UnconditionalLedgerUpdate,
    /// Epoch and position are looked up before the branch, and updated without conditions in it.
    LedgerCheckedBeforeBranchOnly,
    /// The ledger is updated where the epoch is right, whatever the position.
    PositionNotCompared,
    /// The ledger is updated where the position is right, whatever the epoch.
    EpochNotCompared,
    /// The ledger is updated after the data was committed.
    PositionOutsideTransaction,
    /// An owner that was told it is fenced claims again by itself.
    FencedOwnerClaimsAgain,
    /// A claim reads the position while a commit is in flight.
    ClaimDoesNotWaitForCommitInFlight,
    /// A commit whose reply was lost is taken for committed.
    InDoubtGuessedAsCommitted,
    /// A commit whose reply was lost is taken for failed and tried again.
    InDoubtGuessedAsFailed,
    /// An owner in doubt waits for the reply instead of asking the ledger.
    InDoubtNeverResolved,
    /// The dispatcher takes records that are not yet durable.
    AppliedBeforeDurable,
    /// A failed sync is tried again, and believed.
    RetriedFsync,
    /// A log that was emptied by truncation starts counting anew when it is opened.
    LsnReusedAfterCrash,
    /// The log is truncated below what was taken instead of what was applied.
    TruncatedBeforeApplied,
    /// A ledger below the start of the log is accepted.
    GapIgnored,
    /// A database without a ledger is taken for a new one although the log was truncated.
    AbsentLedgerTakenForNew,
    /// The log keeps no floor for lanes that are idle.
    IdleLaneTakenForGap,
    /// A floor counts for ever, also after its lane moved on and the log was truncated further.
    StaleFloor,
    /// The ledger's source is not compared with the log that asks.
    SourceIgnored,
    /// After a restart the rows are spread over another number of lanes.
    LanesRemappedOnRestart,
}

impl Mistake {
    /// Bounds within which the search finds it soon.
    #[must_use]
    pub fn bounds(self) -> Bounds {
        use Mistake as M;
        let log = Bounds {
            rows: 2,
            crashes: 0,
            lost_replies: 0,
            failed_syncs: 0,
            restores: 0,
            replaced_logs: 0,
            ..Bounds::log()
        };
        let file = Bounds { source: SourceKind::File, ..log };
        match self {
            M::UnconditionalLedgerUpdate
            | M::LedgerCheckedBeforeBranchOnly
            | M::EpochNotCompared
            | M::FencedOwnerClaimsAgain => Bounds { takeovers: 1, ..file },
            M::PositionNotCompared => Bounds { lanes: 1, restores: 1, ..file },
            M::ClaimDoesNotWaitForCommitInFlight => Bounds { takeovers: 1, lost_replies: 1, ..file },
            M::PositionOutsideTransaction | M::LanesRemappedOnRestart => Bounds { crashes: 1, ..file },
            M::InDoubtGuessedAsCommitted | M::InDoubtGuessedAsFailed | M::InDoubtNeverResolved => {
                Bounds { lost_replies: 1, ..log }
            }
            M::AppliedBeforeDurable | M::TruncatedBeforeApplied | M::IdleLaneTakenForGap => {
                Bounds { crashes: 1, ..log }
            }
            M::RetriedFsync => Bounds { crashes: 1, failed_syncs: 1, ..log },
            M::GapIgnored | M::AbsentLedgerTakenForNew | M::StaleFloor => Bounds { restores: 1, ..log },
            M::LsnReusedAfterCrash => Bounds { rows: 3, crashes: 1, ..log },
            M::SourceIgnored => Bounds { rows: 3, crashes: 1, replaced_logs: 1, ..log },
        }
    }
}
