use std::fmt;

use standpipe_log::Lsn;

/// Something that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub segment: String,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// The record that should be there.
    pub lsn: Lsn,
    /// What was found.
    pub what: String,
    /// Bytes from there to the next sound frame, or to where the segment ends.
    pub bytes: u64,
    /// The records that cannot be read for it; `None` where there is none.
    pub lost: Option<Lost>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} byte {}, record {}: {}", self.segment, self.offset, self.lsn, self.what)
    }
}

/// Numbers whose records are lost. At most: some of them may never have been given, for a log may leave numbers out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// The first one; `None` where nothing says how far back the log went.
    pub from: Option<Lsn>,
    /// The number after the last one; `None` where nothing says how far the log went on.
    pub to: Option<Lsn>,
}

impl Lost {
    /// How many numbers these are, where both ends are known.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        Some(self.to?.number().saturating_sub(self.from?.number()))
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from.map(Lsn::number), self.to.map(|to| to.number().saturating_sub(1))) {
            (Some(from), Some(to)) if from == to => write!(f, "record {from}"),
            (Some(from), Some(to)) => write!(f, "records {from} to {to}"),
            (Some(from), None) => write!(f, "all records from {from} on"),
            (None, Some(to)) => write!(f, "all records up to {to}"),
            (None, None) => f.write_str("all records"),
        }
    }
}

/// What lies behind the last sound frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TailReport {
    /// Nothing: the log was closed.
    Closed,
    /// Nothing; the log was not closed, or is open.
    #[default]
    Open,
    /// An unfinished write at this offset: a crash, or a log that is being written this moment. Opening cuts it.
    Torn(u64),
    /// The end itself is damaged.
    Damaged,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_told_by_first_and_last() {
        let lost =
            |from: Option<u64>, to: Option<u64>| Lost { from: from.map(Lsn::new), to: to.map(Lsn::new) };
        assert_eq!(lost(Some(5), Some(6)).to_string(), "record 5");
        assert_eq!(lost(Some(5), Some(9)).to_string(), "records 5 to 8");
        assert_eq!(lost(Some(5), None).to_string(), "all records from 5 on");
        assert_eq!(lost(None, Some(9)).to_string(), "all records up to 8");
        assert_eq!((lost(Some(5), Some(9)).count(), lost(Some(5), None).count()), (Some(4), None));
    }
}
