use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::{BuildHasher, Hasher},
    sync::Arc,
    time::Duration,
};

use standpipe_log::LogError;

use crate::{frame, segment};

/// The payload size from which a frame is compressed, in bytes.
const PAYLOAD_BYTES_MIN: usize = 256;
/// How long a record of a log that syncs, appended as less durable than that, may be written and not synced.
const RELAXED_SYNC_AFTER: Duration = Duration::from_millis(100);

/// What a resolved ticket says about the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// The record survives power loss. Appends that come during one sync share the next. A lone writer is never
    /// delayed; after a group of several, those who were woken get a moment to join the next one, while they keep
    /// coming and for half a sync or 200 µs at most.
    #[default]
    Group,
    /// The same promise as [`Group`](Durability::Group); nobody is waited for.
    Sync,
    /// The record survives the death of the process. Power loss may take what was appended since the last sync, which
    /// is at most this long ago (plus the time that a sync takes).
    Periodic(Duration),
    /// The record survives the death of the process. Power loss may take whatever the system had not written: at most
    /// one segment, because a segment is synced before the next is begun.
    Os,
}

impl Durability {
    /// Whether a ticket resolves before a sync.
    pub(crate) fn is_relaxed(self) -> bool {
        matches!(self, Durability::Periodic(_) | Durability::Os)
    }

    /// After which time at most what is written so is synced, in a log whose own durability is `own`.
    pub(crate) fn sync_after(self, own: Durability) -> Option<Duration> {
        match self {
            Durability::Periodic(period) => Some(period),
            Durability::Os if !own.is_relaxed() => Some(RELAXED_SYNC_AFTER),
            _ => None,
        }
    }
}

/// Whether frames are made smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Compression {
    /// What is appended is what is written.
    #[default]
    None,
    /// LZ4, for frames whose payload has at least so many bytes. A frame that gains less than a tenth is stored as it is.
    /// Both kinds mix in a log, and a log may be opened with another setting than before.
    Lz4 {
        /// In bytes. A frame holds all records of a group, or 1 MiB of them.
        payload_bytes_min: usize,
    },
}

impl Compression {
    /// LZ4 from 256 bytes on.
    #[must_use]
    pub const fn lz4() -> Self {
        Compression::Lz4 { payload_bytes_min: PAYLOAD_BYTES_MIN }
    }
}

/// How a log behaves. Plain data; the defaults are right for most.
///
/// ```
/// use standpipe_wal::{Durability, Settings};
/// let settings = Settings { durability: Durability::Os, segment_bytes: 1 << 20, ..Settings::default() };
/// assert_eq!(settings.record_bytes_max, 32 << 20);
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    /// What a ticket promises.
    pub durability: Durability,
    /// How long a group waits for more company before it is written and synced: more records a sync, for a later
    /// answer. Zero, the default, waits for nobody who is not on the way already.
    pub group_delay: Duration,
    /// Whether frames are compressed.
    pub compression: Compression,
    /// The space reserved for each segment, in bytes; rounded up to 4 KiB, at least 8 KiB. The first segments of a log are
    /// smaller, from 1 MiB on. A record or a set of pins that is larger gets a larger segment of its own.
    pub segment_bytes: u64,
    /// Whether a second thread makes the next segment before it is needed. Without it whoever needs one makes it, which takes
    /// some milliseconds.
    pub segment_ahead: bool,
    /// The largest record, and the largest batch (8 bytes are added for each further record), in bytes.
    pub record_bytes_max: u64,
    /// The space that the log may take, in bytes. Appends that would go beyond are refused as
    /// [`Full`](LogError::Full). What waits in memory counts, so this bounds the queue too.
    pub size_bytes_max: u64,
    /// How long the log must be idle until it marks, without a sync, that everything so far is durable, so that
    /// damage to the last records is told from a torn tail. `None` leaves that to the next append and to `close`.
    pub idle_proof: Option<Duration>,
    /// Where identities come from.
    pub entropy: Entropy,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            durability: Durability::Group,
            group_delay: Duration::ZERO,
            compression: Compression::None,
            segment_bytes: 64 << 20,
            segment_ahead: true,
            record_bytes_max: 32 << 20,
            size_bytes_max: 1 << 30,
            idle_proof: Some(Duration::from_millis(100)),
            entropy: Entropy::default(),
        }
    }
}

impl Settings {
    /// The settings with sizes rounded, or what is wrong with them.
    pub(crate) fn checked(mut self) -> Result<Self, LogError> {
        let invalid = |what: String| Err(LogError::Invalid(what));
        if self.segment_bytes < 2 * segment::HEADER_BYTES || self.segment_bytes > segment::LENGTH_MAX {
            let (least, most) = (2 * segment::HEADER_BYTES, segment::LENGTH_MAX);
            return invalid(format!("segment_bytes is {}, not within {least}..={most}", self.segment_bytes));
        }
        self.segment_bytes = segment::round_up(self.segment_bytes);
        let most = frame::PAYLOAD_BYTES_MAX - 64;
        if self.record_bytes_max == 0 || self.record_bytes_max > most {
            return invalid(format!("record_bytes_max is {}, not within 1..={most}", self.record_bytes_max));
        }
        if self.size_bytes_max < 2 * self.segment_bytes {
            return invalid(format!(
                "size_bytes_max is {}, less than two segments of {} bytes",
                self.size_bytes_max, self.segment_bytes
            ));
        }
        // What can never fit beside the segment that is being written is refused as too large, not as something to try again.
        let beside = self.size_bytes_max.saturating_sub(self.segment_bytes + 4 * segment::PAGE_BYTES);
        self.record_bytes_max = self.record_bytes_max.min(beside.max(segment::PAGE_BYTES));
        if self.durability == Durability::Periodic(Duration::ZERO) {
            return invalid("a period of zero between syncs: use Durability::Group".to_owned());
        }
        Ok(self)
    }

    /// The size at which a frame takes no further record.
    pub(crate) fn frame_bytes_soft(&self) -> usize {
        let share = (self.segment_bytes - segment::HEADER_BYTES) / 2;
        usize::try_from(share.min(1 << 20)).unwrap_or(1 << 20)
    }
}

/// A source of 128 random bits at a time, for the log's identity and each segment's incarnation.
///
/// The default draws on the standard library's hash keys, which the system's generator seeds. A simulation passes its
/// own with [`Entropy::new`]. Two segments of one place must never get the same bits.
#[derive(Clone)]
pub struct Entropy(Arc<dyn Fn() -> u128 + Send + Sync>);

impl Entropy {
    /// A source of one's own.
    pub fn new(source: impl Fn() -> u128 + Send + Sync + 'static) -> Self {
        Entropy(Arc::new(source))
    }

    pub(crate) fn draw(&self) -> u128 {
        (self.0)()
    }
}

impl Default for Entropy {
    fn default() -> Self {
        Entropy::new(|| {
            let half = |salt: u64| {
                let mut hasher = RandomState::new().build_hasher();
                hasher.write_u64(salt);
                u128::from(hasher.finish())
            };
            (half(1) << 64) | half(2)
        })
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy")
    }
}

#[cfg(test)]
mod tests {
    use super::{Durability, Entropy, Settings};
    use std::time::Duration;

    #[test]
    fn nonsense_is_refused_and_sizes_are_rounded() {
        let with = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.checked()
        };
        assert!(with(|s| s.segment_bytes = 1).is_err());
        assert!(with(|s| s.record_bytes_max = 0).is_err());
        assert!(with(|s| s.record_bytes_max = u64::MAX).is_err());
        assert!(with(|s| s.size_bytes_max = 1 << 20).is_err());
        assert!(with(|s| s.durability = Durability::Periodic(Duration::ZERO)).is_err());
        assert_eq!(with(|s| s.segment_bytes = 8193).unwrap().segment_bytes, 12288);
    }

    #[test]
    fn draws_differ() {
        let entropy = Entropy::default();
        assert_ne!(entropy.draw(), entropy.draw());
    }
}
