use std::{fmt, sync::Arc, time::Duration};

use standpipe_core::TableName;

use crate::DeadLetterStore;

/// How a sink behaves. Plain data; the defaults are right for most.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of rows that may be in memory at once, recovery included (16 MiB). A quarter is for rows on their way to
    /// the log, the rest for rows on their way to the target.
    pub memory_bytes: u64,
    /// Rows after which a batch is full (50,000).
    pub batch_rows_max: u64,
    /// Bytes after which a batch is full (4 MiB, and at most a third of the memory for the target).
    pub batch_bytes_max: u64,
    /// A batch goes out when its oldest row has waited this long (1 s).
    pub flush_after: Duration,
    /// Branches that may be open at once (1).
    pub workers: usize,
    /// Lanes of several streams that may share one commit (64).
    pub lanes_per_commit: usize,
    /// Rows of one write are cut into blocks of about this size, each a record of the log (256 KiB).
    pub block_bytes: u64,
    /// Bytes of the log that are kept although every lane has applied them, so that a database that is restored to an
    /// earlier point can be brought up again (0). A log that is full keeps none.
    pub log_retain_bytes: u64,
    /// How long a write may wait for room; `None` waits for ever.
    pub write_timeout: Option<Duration>,
    /// What happens when the target says that the same call may succeed later.
    pub retry: Retry,
    /// Where rows go that cannot be applied.
    pub dead_letters: DeadLetters,
    /// How many of them are too many.
    pub errors_max: ErrorLimit,
    /// Says in the ledger who holds a claim, for people.
    pub owner: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            memory_bytes: 16 << 20,
            batch_rows_max: 50_000,
            batch_bytes_max: 4 << 20,
            flush_after: Duration::from_secs(1),
            workers: 1,
            lanes_per_commit: 64,
            block_bytes: 256 << 10,
            log_retain_bytes: 0,
            write_timeout: None,
            retry: Retry::default(),
            dead_letters: DeadLetters::Table(TableName::new("standpipe_dead_letters")),
            errors_max: ErrorLimit::None,
            owner: format!("process {}", std::process::id()),
        }
    }
}

impl Settings {
    /// Bytes for rows on their way to the log.
    pub(crate) fn log_share_bytes(&self) -> u64 {
        self.memory_bytes / 4
    }

    /// Bytes for rows on their way to the target.
    pub(crate) fn target_share_bytes(&self) -> u64 {
        self.memory_bytes - self.log_share_bytes()
    }

    /// The size of a batch that leaves room for the next one to fill while it is committed.
    pub(crate) fn batch_bytes(&self) -> u64 {
        self.batch_bytes_max.min(self.target_share_bytes() / 3).max(1)
    }

    /// The size of a block that lets several be under way at once.
    pub(crate) fn block_bytes(&self) -> u64 {
        self.block_bytes.min(self.log_share_bytes() / 4).max(1)
    }
}

/// How calls that may succeed later are tried again.
#[derive(Clone, Debug)]
pub struct Retry {
    /// The first pause (20 ms); it doubles each time, and a random half of it is taken off.
    pub pause: Duration,
    /// The longest pause (2 s).
    pub pause_max: Duration,
    /// Give up when it is this long since the first failure, without success; `None` (the default) never does: the log holds the
    /// rows meanwhile.
    pub give_up_after: Option<Duration>,
    /// Seeds the jitter, so that a simulation can repeat it.
    pub seed: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            pause: Duration::from_millis(20),
            pause_max: Duration::from_secs(2),
            give_up_after: None,
            seed: u64::from(std::process::id()),
        }
    }
}

impl Retry {
    /// The pause before attempt `attempt` (from 1).
    pub(crate) fn pause_before(&self, attempt: u32) -> Duration {
        let full = self.pause.saturating_mul(1 << attempt.min(16).saturating_sub(1)).min(self.pause_max);
        // splitmix64: enough to keep many writers from coming back at the same instant.
        let mut bits = self.seed.wrapping_add(u64::from(attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = ((bits >> 33) as f64) / f64::from(1u32 << 31);
        full.mul_f64(0.5 + share / 2.0)
    }
}

/// Where rows go that cannot be applied.
#[derive(Clone)]
pub enum DeadLetters {
    /// A table of the target, in the same commit as the good rows.
    Table(TableName),
    /// A store beside the target: written and synced before the commit, trimmed when a lane is claimed.
    Store(Arc<dyn DeadLetterStore>),
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeadLetters::Table(table) => write!(f, "Table({table})"),
            DeadLetters::Store(_) => f.write_str("Store"),
        }
    }
}

/// How many dead letters stop a sink. The batch that would pass the limit is not committed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ErrorLimit {
    /// Any number is taken.
    None,
    /// More than this many stop it.
    Rows(u64),
    /// More than this share of all rows stops it, once 1,000 rows were seen.
    Percent(f64),
}

impl ErrorLimit {
    /// Whether `bad` of `seen` rows are too many.
    pub(crate) fn is_passed(self, bad: u64, seen: u64) -> bool {
        match self {
            ErrorLimit::None => false,
            ErrorLimit::Rows(limit) => bad > limit,
            ErrorLimit::Percent(percent) => seen >= 1000 && bad as f64 * 100.0 > percent * seen as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_differ_by_seed() {
        let retry = Retry { seed: 1, ..Retry::default() };
        assert!(retry.pause_before(1) <= retry.pause);
        assert!(retry.pause_before(1) >= retry.pause / 2);
        assert!(retry.pause_before(60) <= retry.pause_max);
        assert!(retry.pause_before(60) >= retry.pause_max / 2);
        assert_ne!(retry.pause_before(3), Retry { seed: 2, ..Retry::default() }.pause_before(3));
    }

    #[test]
    fn limits_are_passed_only_beyond_them() {
        assert!(!ErrorLimit::Rows(3).is_passed(3, 3));
        assert!(ErrorLimit::Rows(3).is_passed(4, 100));
        assert!(!ErrorLimit::Percent(1.0).is_passed(999, 999));
        assert!(ErrorLimit::Percent(1.0).is_passed(11, 1000));
        assert!(!ErrorLimit::Percent(1.0).is_passed(10, 1000));
        assert!(!ErrorLimit::None.is_passed(u64::MAX, u64::MAX));
    }
}
