use std::fmt;

use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};

use crate::{bytes::u32_at, frame, settings::Compression};

/// The bytes in front of a compressed payload: how long it is when it is not.
const LENGTH_BYTES: usize = 4;
/// LZ4 cannot expand a block by more than this; a length beyond it is a lie.
pub(crate) const EXPANSION_MAX: usize = 255;

/// A payload of up to this many bytes is decompressed wherever it lies. A longer one is no longer than the segment that it is
/// in, for room is made for it as it is before it is compressed: so a file of this size, or the memory that is its length, is all
/// that a hostile frame can ask for.
pub(crate) const RAW_BYTES_ANYWHERE: u64 = 64 << 20;

/// Makes frames smaller. Keeps its table and its buffer.
#[derive(Default)]
pub(crate) struct Compressor {
    table: CompressTable,
    out: Vec<u8>,
}

impl Compressor {
    /// A frame with the payload of `frame` compressed, its first 32 bytes free like those of `frame`; `None` where that is
    /// not worth it: below the threshold, or when less than a tenth is gained.
    pub(crate) fn compress(&mut self, frame: &[u8], compression: Compression) -> Option<&mut Vec<u8>> {
        let payload = &frame[frame::HEADER_BYTES..];
        let Compression::Lz4 { payload_bytes_min } = compression else { return None };
        if payload.len() < payload_bytes_min {
            return None;
        }
        let start = frame::HEADER_BYTES + LENGTH_BYTES;
        self.out.resize(start + get_maximum_output_size(payload.len()), 0);
        let length = compress_into_with_table(payload, &mut self.out[start..], &mut self.table).ok()?;
        if LENGTH_BYTES + length > payload.len() / 10 * 9 {
            return None;
        }
        let raw = u32::try_from(payload.len()).ok()?;
        self.out[frame::HEADER_BYTES..start].copy_from_slice(&raw.to_le_bytes());
        self.out.truncate(start + length);
        Some(&mut self.out)
    }

    /// Gives back what a frame of unusual size needed.
    pub(crate) fn shrink(&mut self, kept_bytes: usize) {
        if self.out.capacity() > kept_bytes {
            self.out = Vec::new();
        }
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

/// How long the payload says that it was.
pub(crate) fn claimed_bytes(stored: &[u8]) -> u64 {
    if stored.len() < LENGTH_BYTES { 0 } else { u64::from(u32_at(stored, 0)) }
}

/// Writes the payload as it was into `out`. Believes no length.
pub(crate) fn decompress(stored: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    if stored.len() < LENGTH_BYTES {
        return Err("a compressed frame without a length");
    }
    let (length, block) = (u32_at(stored, 0) as usize, &stored[LENGTH_BYTES..]);
    if length as u64 > frame::PAYLOAD_BYTES_MAX || length > block.len().saturating_mul(EXPANSION_MAX) {
        return Err("a compressed frame's length makes no sense");
    }
    out.resize(length, 0);
    match expand(block, out) {
        Some(written) if written == length => Ok(()),
        _ => Err("a compressed frame does not decompress to its length"),
    }
}

/// By itself, so that the compiler lays the decoder's short copies in place: as a part of its caller it made a call of each,
/// and replay took a fifth longer.
///
/// The decoder is the safe one, though the frame's checksum was right: a checksum is no proof against whoever writes it.
#[inline(never)]
fn expand(block: &[u8], out: &mut [u8]) -> Option<usize> {
    decompress_into(block, out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame_of(payload: &[u8]) -> Vec<u8> {
        [&[0; frame::HEADER_BYTES], payload].concat()
    }

    const LZ4: Compression = Compression::Lz4 { payload_bytes_min: 64 };

    #[test]
    fn what_gains_reads_back_and_what_does_not_stays() {
        let mut compressor = Compressor::default();
        let text = b"level=info msg=\"one row applied\" ".repeat(40);
        let small = compressor.compress(&frame_of(&text), LZ4).unwrap()[frame::HEADER_BYTES..].to_vec();
        assert!(small.len() < text.len() / 5, "{}", small.len());
        let mut out = Vec::new();
        decompress(&small, &mut out).unwrap();
        assert_eq!(out, text);
        assert!(compressor.compress(&frame_of(&text[..63]), LZ4).is_none(), "below the threshold");
        assert!(compressor.compress(&frame_of(&text), Compression::None).is_none());
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(4096)
        .collect();
        assert!(compressor.compress(&frame_of(&noise), LZ4).is_none(), "gains nothing");
        let again = compressor.compress(&frame_of(&text), LZ4).unwrap();
        assert_eq!(again[frame::HEADER_BYTES..], small, "the table was cleared");
    }

    #[test]
    fn l14_hostile_lengths_cost_no_memory() {
        let mut out = Vec::new();
        for hostile in [u32::MAX, 1 << 30, 256 * 8 + 1] {
            let stored = [&hostile.to_le_bytes()[..], &[0; 8]].concat();
            assert!(decompress(&stored, &mut out).is_err(), "{hostile}");
            assert!(out.capacity() < 1 << 16, "{}", out.capacity());
        }
        assert!(decompress(&[1, 2], &mut out).is_err());
        assert!(decompress(&[9, 0, 0, 0, 0x10, b'a'], &mut out).is_err(), "another length");
    }
}
