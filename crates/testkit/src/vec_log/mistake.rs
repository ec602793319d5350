/// One way in which a log can break its duties, planted with [`VecStore::plant`](super::VecStore::plant) to show that
/// the case of that duty finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogMistake {
    /// A batch lies in the log in the reverse of its order (`Log` 1).
    Reorders,
    /// A log that is opened again counts on from the last record it still has (`Log` 2).
    ReusesNumbers,
    /// A killed process takes the last durable record with it (`Log` 3).
    LosesOnKill,
    /// A power cut leaves half of a batch (`Log` 4).
    HalfBatch,
    /// After a failed sync later appends are acknowledged (`Log` 5).
    ForgivesFailedSync,
    /// A damaged record is skipped (`Log` 6 and `Reader` 4).
    SkipsDamage,
    /// Truncation takes one record too many (`Log` 7).
    TruncatesOneMore,
    /// Truncation takes the pins too (`Log` 8).
    DropsPins,
    /// A second opener is let in (`Log` 9).
    SharesOwnership,
    /// A full disk ends the log for good (`Log` 10).
    FullIsFinal,
    /// A reader that starts above the first record leaves out one (`Reader` 1).
    LeavesOut,
    /// A reader shows what is not durable yet (`Reader` 2).
    ShowsUndurable,
    /// A waiting reader is not woken (`Reader` 3).
    NeverWakes,
    /// Appending is refused while a reader lags behind (`Reader` 5).
    ReaderBlocksWriter,
    /// A reader jumps over what truncation took (`Reader` 6).
    JumpsTruncated,
    /// A closed log delivers nothing more (`Reader` 7).
    ForgetsAtClose,
    /// A ticket resolves before its record is durable (`Ticket` 1).
    AcknowledgesEarly,
    /// Tickets of a log that died never resolve (`Ticket` 2).
    ForgetsTickets,
    /// Dropping a ticket withdraws its record (`Ticket` 3).
    DropWithdraws,
}
