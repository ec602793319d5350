use std::fmt;

/// What was called: the methods of `Target` and `Branch` that ask the database something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallKind {
    /// `Target::claim`
    Claim,
    /// `Target::begin`
    Begin,
    /// `Branch::write`
    Write,
    /// `Branch::dead_letter`
    DeadLetter,
    /// `Branch::withdraw`
    Withdraw,
    /// `Branch::advance`
    Advance,
    /// `Branch::commit`
    Commit,
    /// `Branch::rollback`
    Rollback,
    /// `Target::resolve`
    Resolve,
    /// `Target::ledger`
    Ledger,
    /// `Target::describe`
    Describe,
    /// `Target::create`
    Create,
    /// `Target::add_column`
    AddColumn,
    /// `Target::dead_letters`
    DeadLetters,
    /// `Target::close`
    Close,
}

impl CallKind {
    /// Every kind once, for sweeps.
    pub const ALL: [CallKind; 15] = [
        CallKind::Claim,
        CallKind::Begin,
        CallKind::Write,
        CallKind::DeadLetter,
        CallKind::Withdraw,
        CallKind::Advance,
        CallKind::Commit,
        CallKind::Rollback,
        CallKind::Resolve,
        CallKind::Ledger,
        CallKind::Describe,
        CallKind::Create,
        CallKind::AddColumn,
        CallKind::DeadLetters,
        CallKind::Close,
    ];
}

/// One call as it was made, whether it succeeded or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its place among all calls of the database, from 1.
    pub number: u64,
    /// What was called.
    pub kind: CallKind,
    /// Its place among the calls of its kind, from 1.
    pub nth: u64,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {} ({:?} {})", self.number, self.kind, self.nth)
    }
}
