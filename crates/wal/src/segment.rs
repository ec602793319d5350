use standpipe_log::Lsn;

use crate::{
    bytes::{u32_at, u64_at, u128_at},
    planted::{self, Plant},
    seal::Seal,
};

/// The size of the header, in bytes: frames start here.
pub(crate) const HEADER_BYTES: u64 = 4096;
/// What the disk is believed to write without disturbing its neighbours, in bytes. Groups start and end on its multiples.
pub(crate) const PAGE_BYTES: u64 = 4096;
/// The version that this build writes.
pub(crate) const VERSION: u32 = 2;
/// The oldest version that this build reads.
const VERSION_OLDEST: u32 = 1;
/// The longest segment: a frame's proven offset is 32 bits of 8 bytes each.
pub(crate) const LENGTH_MAX: u64 = 1 << 34;

/// The highest number that a segment is believed to have: there is always a next one.
const SEQUENCE_MAX: u64 = 1 << 63;
const MAGIC: [u8; 8] = *b"standwal";
const CHECKSUM_AT: usize = HEADER_BYTES as usize - 4;
/// The tickets of this segment resolve before a sync.
const FLAG_RELAXED: u32 = 1;
/// The file held another segment before: what lies behind the last frame may be that one's.
const FLAG_RECYCLED: u32 = 2;

/// What a segment says about itself, in its first 4 KiB. It is written ahead of time, before the segment is begun;
/// what is known only then is in the first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) log: u128,
    pub(crate) sequence: u64,
    /// Random; every checksum of the segment depends on it, so that what an earlier use of the same blocks left behind is never read.
    pub(crate) incarnation: u64,
    pub(crate) length: u64,
    /// Frames below this offset were synced before the segment got its name.
    pub(crate) born_end: u64,
    pub(crate) relaxed: bool,
    pub(crate) recycled: bool,
    pub(crate) predecessor: Option<Predecessor>,
    /// What version 1 says here, and later ones in their first frame.
    pub(crate) birth: Option<Birth>,
}

/// The segment before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Predecessor {
    pub(crate) sequence: u64,
    pub(crate) incarnation: u64,
}

/// How a segment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Birth {
    /// The number that its first record gets, or a lower one.
    pub(crate) base: Lsn,
    /// Where the segment before ends: what lies beyond was cut and never counts.
    pub(crate) link: Option<Seal>,
}

/// Why a header is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    Damaged(&'static str),
    Unsupported(u32),
    /// A version that is read, with flags that are not known.
    UnknownFlags(u32),
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let flag = |is: bool, flag: u32| if is { flag } else { 0 };
        let flags = flag(self.relaxed, FLAG_RELAXED) | flag(self.recycled, FLAG_RECYCLED);
        let mut out = Vec::with_capacity(HEADER_BYTES as usize);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&self.log.to_le_bytes());
        let base = self.birth.map_or(0, |birth| birth.base.number());
        for field in [self.sequence, self.incarnation, base, self.length, self.born_end] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        if let Some(before) = &self.predecessor {
            out.extend_from_slice(&before.sequence.to_le_bytes());
            out.extend_from_slice(&before.incarnation.to_le_bytes());
            if let Some(link) = self.birth.and_then(|birth| birth.link) {
                out.extend_from_slice(&link.end.to_le_bytes());
                out.extend_from_slice(&link.end_lsn.number().to_le_bytes());
                out.extend_from_slice(&link.chain.to_le_bytes());
            }
        }
        out.resize(CHECKSUM_AT, 0);
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads what `encode` wrote. Every version keeps the places of magic, version and checksum, so that an unknown
    /// version is told from damage.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        if bytes.len() < HEADER_BYTES as usize {
            return Err(HeaderFault::Damaged("the file is shorter than a segment header"));
        }
        if bytes[..8] != MAGIC {
            return Err(HeaderFault::Damaged("no segment header"));
        }
        let is_right = crc32c::crc32c(&bytes[..CHECKSUM_AT]) == u32_at(bytes, CHECKSUM_AT);
        if !is_right && !planted::is(Plant::SkipsChecksums) {
            return Err(HeaderFault::Damaged("the segment header's checksum is wrong"));
        }
        let (version, flags) = (u32_at(bytes, 8), u32_at(bytes, 12));
        let known = if version == 1 { FLAG_RELAXED } else { FLAG_RELAXED | FLAG_RECYCLED };
        if !(VERSION_OLDEST..=VERSION).contains(&version) {
            return Err(HeaderFault::Unsupported(version));
        }
        if flags & !known != 0 {
            return Err(HeaderFault::UnknownFlags(flags & !known));
        }
        let predecessor = (u64_at(bytes, 72) != 0)
            .then(|| Predecessor { sequence: u64_at(bytes, 72), incarnation: u64_at(bytes, 80) });
        let birth = (version == 1).then(|| Birth {
            base: Lsn::new(u64_at(bytes, 48)),
            link: predecessor.map(|_| Seal {
                end: u64_at(bytes, 88),
                end_lsn: Lsn::new(u64_at(bytes, 96)),
                chain: u32_at(bytes, 104),
            }),
        });
        let header = Header {
            version,
            log: u128_at(bytes, 16),
            sequence: u64_at(bytes, 32),
            incarnation: u64_at(bytes, 40),
            length: u64_at(bytes, 56),
            born_end: u64_at(bytes, 64),
            relaxed: flags & FLAG_RELAXED != 0,
            recycled: flags & FLAG_RECYCLED != 0,
            predecessor,
            birth,
        };
        // Version 1 has a frame in every segment that has a name.
        let least = if version == 1 { HEADER_BYTES + 1 } else { HEADER_BYTES };
        let is_whole = version == 1 || (header.length | header.born_end).is_multiple_of(PAGE_BYTES);
        if header.length > LENGTH_MAX
            || header.born_end > header.length
            || header.born_end < least
            || !is_whole
        {
            return Err(HeaderFault::Damaged("the segment header's lengths make no sense"));
        }
        if !(1..=SEQUENCE_MAX).contains(&header.sequence) {
            return Err(HeaderFault::Damaged("the segment header's number is none"));
        }
        if header.birth.is_some_and(|birth| birth.base < Lsn::FIRST) {
            return Err(HeaderFault::Damaged("the segment header's first number is none"));
        }
        Ok(header)
    }

    /// What every checksum of the segment starts from.
    pub(crate) fn seed(&self) -> u32 {
        seed(self.incarnation)
    }

    /// How the next segment names this one.
    pub(crate) fn named(&self) -> Predecessor {
        Predecessor { sequence: self.sequence, incarnation: self.incarnation }
    }
}

pub(crate) fn seed(incarnation: u64) -> u32 {
    crc32c::crc32c(&incarnation.to_le_bytes())
}

/// Up to whole pages.
pub(crate) fn round_up(bytes: u64) -> u64 {
    bytes.next_multiple_of(PAGE_BYTES)
}

pub(crate) fn name(sequence: u64) -> String {
    format!("{sequence:020}.wal")
}

/// The name of a segment that is being made: it becomes a segment by being renamed, after it was synced.
pub(crate) fn draft_name(sequence: u64) -> String {
    format!("{sequence:020}.wal.new")
}

/// The name of a file that was a segment and can be one again.
pub(crate) fn free_name(sequence: u64) -> String {
    format!("{sequence:020}.wal.free")
}

pub(crate) fn is_draft(name: &str) -> bool {
    name.strip_suffix(".new").and_then(sequence_of).is_some()
}

pub(crate) fn is_free(name: &str) -> bool {
    name.strip_suffix(".free").and_then(sequence_of).is_some()
}

/// The sequence number in a segment's name; `None` for every other file.
pub(crate) fn sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal")?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|sequence| *sequence > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: u32) -> Header {
        let link = Seal { end: 8192, end_lsn: Lsn::new(99), chain: 0xfeed };
        Header {
            version,
            log: 7,
            sequence: 3,
            incarnation: 11,
            length: 16384,
            born_end: if version == 1 { 4136 } else { 8192 },
            relaxed: true,
            recycled: version > 1,
            predecessor: Some(Predecessor { sequence: 2, incarnation: 5 }),
            birth: (version == 1).then_some(Birth { base: Lsn::new(100), link: Some(link) }),
        }
    }

    #[test]
    fn a_header_reads_back_and_no_flipped_bit_is_believed() {
        for version in VERSION_OLDEST..=VERSION {
            let bytes = header(version).encode();
            assert_eq!(Header::decode(&bytes), Ok(header(version)));
            for at in (0..bytes.len()).step_by(if cfg!(miri) { 97 } else { 1 }) {
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x10;
                assert!(matches!(Header::decode(&flipped), Err(HeaderFault::Damaged(_))), "byte {at}");
            }
            assert!(Header::decode(&bytes[..4095]).is_err());
        }
    }

    #[test]
    fn an_unknown_version_is_named_and_so_are_unknown_flags() {
        let with = |at: usize, byte: u8| {
            let mut bytes = header(VERSION).encode();
            bytes[at] = byte;
            let checksum = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
            bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
            Header::decode(&bytes)
        };
        assert_eq!(with(8, 9), Err(HeaderFault::Unsupported(9)));
        assert_eq!(with(12, 0x43), Err(HeaderFault::UnknownFlags(0x40)));
    }

    #[test]
    fn numbers_that_no_writer_makes_are_refused() {
        let is_refused = |change: fn(&mut Header)| {
            let mut header = header(VERSION);
            change(&mut header);
            matches!(Header::decode(&header.encode()), Err(HeaderFault::Damaged(_)))
        };
        assert!(!is_refused(|_| {}));
        assert!(is_refused(|header| header.length = 16385));
        assert!(is_refused(|header| header.length = LENGTH_MAX + PAGE_BYTES));
        assert!(is_refused(|header| header.born_end = 8200));
        assert!(is_refused(|header| header.born_end = 0));
        assert!(is_refused(|header| header.born_end = 20480));
        assert!(is_refused(|header| header.sequence = u64::MAX));
        assert!(is_refused(|header| header.sequence = 0));
    }

    #[test]
    fn names() {
        assert_eq!(sequence_of(&name(12)), Some(12));
        assert!(is_draft(&draft_name(12)) && is_free(&free_name(12)) && !is_free(&draft_name(12)));
        for other in ["12.wal", "0000000000000000000x.wal", "00000000000000000000.wal", "notes.txt", ".wal"] {
            assert_eq!(sequence_of(other), None, "{other}");
        }
    }
}
