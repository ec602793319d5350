/// A mistake that a target can make, to be planted so that a test can show that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mistake {
    /// `advance` checks neither epoch nor position.
    UnconditionalAdvance,
    /// `advance` checks the epoch but not the position.
    PositionNotChecked,
    /// `commit` keeps the rows and forgets the positions.
    CommitWithoutLedger,
    /// `claim` does not wait for a branch that has advanced a lane, so its positions are not final.
    ClaimDoesNotWait,
    /// `commit` keeps the first half of the rows and the first lane's position.
    HalfCommit,
    /// `commit` says yes whatever happened.
    SwallowCommitError,
    /// `resolve` says `Committed` without looking.
    TruthlessResolve,
    /// `resolve` looks without waiting for a commit in flight.
    ResolveDoesNotWait,
    /// `claim` raises the epoch and judges afterwards.
    ClaimWritesBeforeJudging,
    /// `claim` raises the epoch of a stream that is complete.
    ClaimTouchesComplete,
    /// `write` leaves bad rows out and does not name them.
    DropsRejects,
    /// `write` leaves out the whole batch when one row is bad.
    RejectsWholeBatch,
    /// `write` shows its rows before the commit.
    WritesAtOnce,
    /// `write` empties the table before the commit.
    TruncatesAtOnce,
    /// `write` puts the rows of a batch down in the wrong order.
    Reorders,
    /// `dead_letter` writes outside the transaction.
    LettersAtOnce,
    /// `withdraw` takes letters out outside the transaction.
    WithdrawsAtOnce,
    /// `withdraw` does not wait for another transaction that is taking the same letter out, and counts it too.
    WithdrawDoesNotWait,
    /// `withdraw` says how many it was asked for, not how many were there.
    WithdrawCountsWhatWasAsked,
    /// A page of dead letters begins with the last letter of the page before.
    PagesOverlap,
    /// A branch that is dropped is committed.
    CommitsOnDrop,
    /// A branch that failed can still be committed.
    CommitsAfterFailure,
    /// Stream ids are cut to 255 bytes.
    CutsStreamIds,
    /// Stream ids that differ only in case or trailing spaces are taken for one.
    FoldsStreamIds,
    /// Empty text is stored as NULL.
    EmptyIsNull,
    /// A lost reply to `commit` is reported as "nothing was committed".
    DoubtIsFailure,
    /// `close` leaves open branches as they are, fit for a commit.
    CloseKeepsBranches,
}

impl Mistake {
    /// Every mistake once, for sweeps.
    pub const ALL: [Mistake; 27] = [
        Mistake::UnconditionalAdvance,
        Mistake::PositionNotChecked,
        Mistake::CommitWithoutLedger,
        Mistake::ClaimDoesNotWait,
        Mistake::HalfCommit,
        Mistake::SwallowCommitError,
        Mistake::TruthlessResolve,
        Mistake::ResolveDoesNotWait,
        Mistake::ClaimWritesBeforeJudging,
        Mistake::ClaimTouchesComplete,
        Mistake::DropsRejects,
        Mistake::RejectsWholeBatch,
        Mistake::WritesAtOnce,
        Mistake::TruncatesAtOnce,
        Mistake::Reorders,
        Mistake::LettersAtOnce,
        Mistake::WithdrawsAtOnce,
        Mistake::WithdrawDoesNotWait,
        Mistake::WithdrawCountsWhatWasAsked,
        Mistake::PagesOverlap,
        Mistake::CommitsOnDrop,
        Mistake::CommitsAfterFailure,
        Mistake::CutsStreamIds,
        Mistake::FoldsStreamIds,
        Mistake::EmptyIsNull,
        Mistake::DoubtIsFailure,
        Mistake::CloseKeepsBranches,
    ];
}
