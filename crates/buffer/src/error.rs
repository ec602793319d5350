use std::fmt;

/// Why a [`Budget`](crate::Budget) gave no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BudgetError {
    /// The request is larger than the whole budget, so waiting could never help. Other requests are not affected.
    TooLarge {
        /// What was asked for, in bytes.
        bytes: u64,
        /// The whole budget, in bytes.
        limit: u64,
    },
    /// [`Budget::close`](crate::Budget::close) was called.
    Closed,
}

impl fmt::Display for BudgetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes, limit } => {
                write!(f, "a request of {bytes} bytes is larger than the whole budget of {limit} bytes")
            }
            Self::Closed => f.write_str("the budget is closed"),
        }
    }
}

impl std::error::Error for BudgetError {}

/// [`Lanes::push`](crate::Lanes::push) was called after [`Lanes::close`](crate::Lanes::close); the item comes back untouched.
#[derive(Clone, PartialEq, Eq)]
pub struct PushError<T> {
    /// The item that was not taken in.
    pub item: T,
}

impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushError").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lanes are closed")
    }
}

impl<T> std::error::Error for PushError<T> {}
