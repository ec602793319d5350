use standpipe_log::Lsn;

use crate::{
    bytes::{u16_at, u32_at, u64_at},
    segment,
};

/// The size of a frame's header, in bytes.
pub(crate) const HEADER_BYTES: usize = 32;
/// The longest payload that is believed, in bytes.
pub(crate) const PAYLOAD_BYTES_MAX: u64 = 1 << 30;
/// The payload as it is.
pub(crate) const CODEC_RAW: u8 = 0;
/// The payload's length (4 bytes) and an LZ4 block. 2 is kept for zstd.
pub(crate) const CODEC_LZ4: u8 = 1;

pub(crate) const MAGIC: u16 = 0xF7A3;

/// The frame states every pin: those that are not in it are gone. The first frame of each segment.
pub(crate) const RESTATES: u8 = 1;
/// The frame has no records: it is there for what it proves, or for where it ends.
pub(crate) const PROOF: u8 = 2;
/// Nothing was written after this frame: the log was closed.
pub(crate) const CLOSED: u8 = 4;
/// The next frame starts on the next page: what is synced with this one is never written to again.
pub(crate) const GROUP_END: u8 = 8;
/// Records behind this frame may have been acknowledged before they were synced: after power loss their numbers are not
/// given again. A segment of a log that never waits for a sync says so in its header.
pub(crate) const TELLS_EARLY: u8 = 16;
const KNOWN_FLAGS: u8 = RESTATES | PROOF | CLOSED | GROUP_END | TELLS_EARLY;

/// The fields in front of a frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) codec: u8,
    pub(crate) flags: u8,
    pub(crate) checksum: u32,
    /// As it is stored.
    pub(crate) payload_bytes: u32,
    pub(crate) records: u32,
    pub(crate) base: Lsn,
    /// The checksum of the frame before; the segment's seed for the first.
    pub(crate) previous: u32,
    /// The offset in this segment below which all was known durable when the frame was written.
    pub(crate) proven: u64,
}

impl Header {
    /// Reads the fields. `None` where no frame starts; the checksum is not looked at.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEADER_BYTES || u16_at(bytes, 0) != MAGIC {
            return None;
        }
        Some(Header {
            codec: bytes[2],
            flags: bytes[3],
            checksum: u32_at(bytes, 4),
            payload_bytes: u32_at(bytes, 8),
            records: u32_at(bytes, 12),
            base: Lsn::new(u64_at(bytes, 16)),
            previous: u32_at(bytes, 24),
            proven: u64::from(u32_at(bytes, 28)) * 8,
        })
    }

    /// Whether this build knows what the frame's codec and flags mean.
    pub(crate) fn is_known(&self) -> bool {
        matches!(self.codec, CODEC_RAW | CODEC_LZ4) && self.flags & !KNOWN_FLAGS == 0
    }

    /// The bytes of the frame itself, without what pads it.
    pub(crate) fn bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.payload_bytes)
    }

    /// Where the next frame starts when this one starts at `offset`.
    pub(crate) fn next(&self, offset: u64) -> u64 {
        let end = offset + span(self.payload_bytes as usize);
        if self.flags & GROUP_END != 0 { segment::round_up(end) } else { end }
    }
}

/// What the writer says about a frame; the rest follows from the bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) codec: u8,
    pub(crate) flags: u8,
    pub(crate) records: u32,
    pub(crate) base: Lsn,
    pub(crate) previous: u32,
    pub(crate) proven: u64,
}

/// The space of a frame with this payload, padding to 8 bytes included.
pub(crate) fn span(payload_bytes: usize) -> u64 {
    (HEADER_BYTES + payload_bytes).next_multiple_of(8) as u64
}

/// Fills in the header in front of the payload, pads the end as far as the flags say and returns the frame's checksum.
/// `frame` is 32 free bytes and the payload; it will lie at `offset`.
pub(crate) fn seal(frame: &mut Vec<u8>, seed: u32, stamp: Stamp, offset: u64) -> u32 {
    let payload_bytes = u32::try_from(frame.len() - HEADER_BYTES).unwrap_or(u32::MAX);
    let proven = u32::try_from(stamp.proven / 8).unwrap_or(0);
    frame[..2].copy_from_slice(&MAGIC.to_le_bytes());
    frame[2] = stamp.codec;
    frame[3] = stamp.flags;
    frame[8..12].copy_from_slice(&payload_bytes.to_le_bytes());
    frame[12..16].copy_from_slice(&stamp.records.to_le_bytes());
    frame[16..24].copy_from_slice(&stamp.base.number().to_le_bytes());
    frame[24..28].copy_from_slice(&stamp.previous.to_le_bytes());
    frame[28..32].copy_from_slice(&proven.to_le_bytes());
    let checksum = checksum(frame, seed);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
    let end = offset + span(frame.len() - HEADER_BYTES);
    let end = if stamp.flags & GROUP_END != 0 { segment::round_up(end) } else { end };
    frame.resize((end - offset) as usize, 0);
    checksum
}

/// The checksum that belongs to these bytes: all but the place of the checksum itself.
pub(crate) fn checksum(frame: &[u8], seed: u32) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &frame[..4]), &frame[8..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_frame_reads_back_and_is_bound_to_its_seed() {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes.extend_from_slice(b"payload");
        let stamp = Stamp {
            codec: CODEC_RAW,
            flags: PROOF,
            records: 3,
            base: Lsn::new(9),
            previous: 5,
            proven: 4096,
        };
        let sum = seal(&mut bytes, 77, stamp, 8192);
        assert_eq!(bytes.len(), 40);
        let header = Header::read(&bytes).unwrap();
        assert_eq!((header.payload_bytes, header.records, header.base), (7, 3, Lsn::new(9)));
        assert_eq!((header.previous, header.proven, header.flags), (5, 4096, PROOF));
        assert_eq!((header.next(8192), header.checksum), (8232, sum));
        assert_eq!(checksum(&bytes[..39], 77), sum);
        assert_ne!(checksum(&bytes[..39], 78), sum);
    }

    #[test]
    fn the_end_of_a_group_fills_its_page() {
        for (payload, offset, end) in
            [(7, 8192, 12_288), (7, 8200, 12_288), (4064, 8192, 12_288), (4064, 8200, 16_384)]
        {
            let mut bytes = vec![1; HEADER_BYTES + payload];
            let stamp = Stamp {
                codec: CODEC_RAW,
                flags: GROUP_END,
                records: 1,
                base: Lsn::FIRST,
                previous: 0,
                proven: 0,
            };
            seal(&mut bytes, 1, stamp, offset);
            assert_eq!(offset + bytes.len() as u64, end);
            assert_eq!(Header::read(&bytes).unwrap().next(offset), end);
            assert!(bytes[HEADER_BYTES + payload..].iter().all(|byte| *byte == 0));
        }
    }
}
