use std::fmt;

/// A log sequence number: the place of one record in the order of a log.
///
/// The first record of a new log is number 1 and every further record is one more, except after
/// [`Log::advance_to`](crate::Log::advance_to), which leaves a gap. No number is given to two records, ever:
/// a log that is opened again starts above everything that was ever readable in it.
///
/// Where a *position* is meant (how far something has come) it is the number of the **next** record: a position
/// of 5 says that everything below 5 is done. [`Lsn::FIRST`] as a position says that nothing is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Lsn(u64);

impl Lsn {
    /// The first record of a log, and the position at which nothing is done yet.
    pub const FIRST: Lsn = Lsn(1);

    /// The number as it is written to disk and in ledgers.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Lsn(number)
    }

    /// The plain number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The number `records` further on, or `None` beyond the end of the number space.
    #[must_use]
    pub const fn checked_add(self, records: u64) -> Option<Self> {
        match self.0.checked_add(records) {
            Some(number) => Some(Lsn(number)),
            None => None,
        }
    }

    /// The next number.
    ///
    /// # Panics
    /// At the end of the number space (2^64 records), which no log reaches.
    #[must_use]
    pub const fn next(self) -> Self {
        match self.0.checked_add(1) {
            Some(number) => Lsn(number),
            None => panic!("the log's number space is used up"),
        }
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::Lsn;

    #[test]
    fn order_is_the_order_of_numbers() {
        assert!(Lsn::FIRST < Lsn::FIRST.next());
        assert_eq!(Lsn::new(u64::MAX).checked_add(1), None);
        assert_eq!(Lsn::new(7).checked_add(3), Some(Lsn::new(10)));
    }
}
