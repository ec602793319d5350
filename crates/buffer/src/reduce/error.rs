use std::fmt;

/// Why a batch is not reduced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReduceError {
    /// The table has a second unique key: a row that is left out may be what makes room for another row's value of it.
    /// Write the batch row by row.
    SecondUniqueKey {
        /// The first of the keys that were named.
        first: Box<str>,
        /// The second.
        second: Box<str>,
    },
    /// The table has no unique key: no row is written over, and each one counts.
    NoUniqueKey,
    /// More items than a `u32` counts. Cut the batch.
    TooMany {
        /// The items of the batch.
        items: usize,
    },
}

impl fmt::Display for ReduceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecondUniqueKey { first, second } => write!(
                f,
                "a batch is not reduced by {first}, as {second} is unique too: a row that is left out may be what makes room \
                 for another row's value"
            ),
            Self::NoUniqueKey => f.write_str("a batch is not reduced without a unique key: each row counts"),
            Self::TooMany { items } => {
                write!(f, "a batch of {items} items is too large to be reduced: at most {}", u32::MAX)
            }
        }
    }
}

impl std::error::Error for ReduceError {}

pub(super) fn check_count(items: usize) -> Result<(), ReduceError> {
    if u32::try_from(items).is_ok() { Ok(()) } else { Err(ReduceError::TooMany { items }) }
}
