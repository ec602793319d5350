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

/// Why a [`Buffer`](crate::Buffer) did not take an item in, with the item.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BufferError<T> {
    /// The item is larger than the whole budget, so waiting could never help. Others are not affected.
    TooLarge {
        /// What was not taken in.
        item: T,
        /// Its size.
        bytes: u64,
        /// The whole budget, in bytes.
        limit: u64,
    },
    /// There is no room now, or somebody waits for it.
    Full(T),
    /// The permit is of another budget, or for fewer bytes than the item weighs.
    Unpermitted(T),
    /// The buffer is closed.
    Closed(T),
}

impl<T> BufferError<T> {
    pub(crate) fn refused(error: BudgetError, item: T) -> Self {
        match error {
            BudgetError::TooLarge { bytes, limit } => Self::TooLarge { item, bytes, limit },
            BudgetError::Closed => Self::Closed(item),
        }
    }

    /// The item that was not taken in.
    pub fn into_item(self) -> T {
        match self {
            Self::TooLarge { item, .. } | Self::Full(item) | Self::Unpermitted(item) | Self::Closed(item) => {
                item
            }
        }
    }
}

impl<T> fmt::Debug for BufferError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BufferError({self})")
    }
}

impl<T> fmt::Display for BufferError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes, limit, .. } => {
                write!(f, "an item of {bytes} bytes is larger than the whole budget of {limit} bytes")
            }
            Self::Full(_) => f.write_str("there is no room now"),
            Self::Unpermitted(_) => {
                f.write_str("the permit is not for this budget or for fewer bytes than the item weighs")
            }
            Self::Closed(_) => f.write_str("the buffer is closed"),
        }
    }
}

impl<T> std::error::Error for BufferError<T> {}
