use std::io;

use standpipe_log::{File, FileExt};

use crate::{crc_shift::shift, frame, segment::HEADER_BYTES};

/// The bytes between two remembered checksums.
const STRIDE: u64 = 4096;
const READ_BYTES: usize = 256 * 1024;

/// Finds the next frame of a segment behind a place where none is sound.
///
/// A frame may start at every multiple of 8 and may be as long as the segment, and hostile bytes look like a start at
/// each. So that each try costs the same, the checksums of all prefixes of the segment are computed once, one every
/// 4 KiB: from two of them follows the checksum of any range in between. A search is linear in the segment.
#[derive(Debug)]
pub(crate) struct Finder {
    seed: u32,
    limit: u64,
    /// Of the bytes from the first frame on up to each stride.
    prefixes: Option<Vec<u32>>,
}

impl Finder {
    /// Of a segment whose frames end at `limit` at the latest.
    pub(crate) fn new(seed: u32, limit: u64) -> Self {
        Finder { seed, limit, prefixes: None }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// The first place at or behind `from`, and at a multiple of `step`, where a frame starts whose checksum is right, among
    /// those that are `wanted` by their fields.
    pub(crate) fn find<F: File>(
        &mut self,
        file: &F,
        from: u64,
        step: u64,
        wanted: impl Fn(u64, &frame::Header) -> bool,
    ) -> io::Result<Option<(u64, frame::Header)>> {
        let limit = self.limit.min(file.len()?);
        let mut at = from.next_multiple_of(step);
        let mut chunk = Vec::new();
        while at + frame::HEADER_BYTES as u64 <= limit {
            let wide = usize::try_from(limit - at).unwrap_or(usize::MAX).min(READ_BYTES);
            chunk.resize(wide, 0);
            let read = file.read_full_at(&mut chunk, at)?;
            // The last starts of a chunk need bytes of the next one: it begins with them.
            let Some(last) = read.checked_sub(frame::HEADER_BYTES) else { break };
            for start in (0..=last).step_by(step as usize) {
                let Some(header) = frame::Header::read(&chunk[start..read]) else { continue };
                let place = at + start as u64;
                let end = place + frame::HEADER_BYTES as u64 + u64::from(header.payload_bytes);
                let fits = u64::from(header.payload_bytes) <= frame::PAYLOAD_BYTES_MAX && end <= limit;
                if fits
                    && wanted(place, &header)
                    && self.checksum(file, place, end, &chunk[start..])? == header.checksum
                {
                    return Ok(Some((place, header)));
                }
            }
            at += last as u64 / step * step + step;
        }
        Ok(None)
    }

    /// The checksum that belongs to the frame at these places; `bytes` begins with its header.
    fn checksum<F: File>(&mut self, file: &F, start: u64, end: u64, bytes: &[u8]) -> io::Result<u32> {
        let mut checksum = crc32c::crc32c_append(self.seed, &bytes[..4]);
        let from = start + 8;
        let (first, last) = (from.next_multiple_of(STRIDE), end / STRIDE * STRIDE);
        if first >= last {
            return append(file, checksum, from, end);
        }
        checksum = append(file, checksum, from, first)?;
        let prefix = |at: u64| ((at - HEADER_BYTES) / STRIDE) as usize;
        let prefixes = self.prefixes(file)?;
        match (prefixes.get(prefix(first)), prefixes.get(prefix(last))) {
            (Some(before), Some(with)) => checksum = shift(checksum ^ before, last - first) ^ with,
            // The file has grown since it was read.
            _ => checksum = append(file, checksum, first, last)?,
        }
        append(file, checksum, last, end)
    }

    fn prefixes<F: File>(&mut self, file: &F) -> io::Result<&[u32]> {
        if self.prefixes.is_none() {
            let limit = self.limit.min(file.len()?);
            let mut prefixes = vec![0];
            let (mut at, mut checksum) = (HEADER_BYTES, 0);
            let mut chunk = vec![0; READ_BYTES];
            loop {
                let wide = usize::try_from(limit.saturating_sub(at)).unwrap_or(usize::MAX).min(READ_BYTES);
                let read = file.read_full_at(&mut chunk[..wide], at)?;
                let strides = chunk[..read].chunks_exact(STRIDE as usize);
                for stride in strides {
                    checksum = crc32c::crc32c_append(checksum, stride);
                    prefixes.push(checksum);
                }
                if read < READ_BYTES {
                    break;
                }
                at += read as u64;
            }
            self.prefixes = Some(prefixes);
        }
        Ok(self.prefixes.as_deref().unwrap_or_default())
    }
}

/// Whether nothing but zeros lies from `from` up to `limit`, or to the file's end.
pub(crate) fn is_zero<F: File>(file: &F, from: u64, limit: u64) -> io::Result<bool> {
    const ZEROS: [u8; STRIDE as usize] = [0; STRIDE as usize];
    let mut chunk =
        vec![0; usize::try_from(limit.saturating_sub(from)).unwrap_or(usize::MAX).min(READ_BYTES)];
    let mut at = from;
    while at < limit {
        let wide = usize::try_from(limit - at).unwrap_or(usize::MAX).min(chunk.len());
        let read = file.read_full_at(&mut chunk[..wide], at)?;
        if chunk[..read].chunks(ZEROS.len()).any(|bytes| *bytes != ZEROS[..bytes.len()]) {
            return Ok(false);
        }
        if read < wide {
            break;
        }
        at += read as u64;
    }
    Ok(true)
}

/// The checksum with the bytes of the file from `from` to `to` behind it.
fn append<F: File>(file: &F, checksum: u32, from: u64, to: u64) -> io::Result<u32> {
    let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(usize::MAX).min(2 * STRIDE as usize)];
    let (mut at, mut checksum) = (from, checksum);
    while at < to {
        let wide = usize::try_from(to - at).unwrap_or(usize::MAX).min(bytes.len());
        let read = file.read_full_at(&mut bytes[..wide], at)?;
        checksum = crc32c::crc32c_append(checksum, &bytes[..read]);
        if read < wide {
            break;
        }
        at += read as u64;
    }
    Ok(checksum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Stamp, seal};
    use standpipe_log::{Lsn, Storage};
    use standpipe_testkit::MemStorage;

    const SEED: u32 = 0x5eed;

    fn file_of(frames: &[u8]) -> (MemStorage, impl File) {
        let disk = MemStorage::new();
        let file = disk.create("f").unwrap();
        file.write_all_at(frames, HEADER_BYTES).unwrap();
        (disk, file)
    }

    fn frame_of(payload_bytes: usize) -> Vec<u8> {
        let mut bytes = vec![0; frame::HEADER_BYTES];
        bytes.extend((0..payload_bytes).map(|at| (at * 31 % 251) as u8));
        let codec = frame::CODEC_RAW;
        let stamp = Stamp { codec, flags: 0, records: 1, base: Lsn::FIRST, previous: 0, proven: 0 };
        seal(&mut bytes, SEED, stamp, 0);
        bytes
    }

    #[test]
    fn frames_of_every_length_are_found_where_they_are() {
        for payload_bytes in [0, 1, 100, 4000, 4096, 8191, 8192, 20_000, 300_000, 1_000_000] {
            for before in [8, 4096 - 32, 4096 - 8, 4096, 256 * 1024 - 8, 256 * 1024 - 40] {
                let mut bytes = vec![0xee; before];
                bytes.extend(frame_of(payload_bytes));
                bytes.extend([0xee; 100]);
                let limit = HEADER_BYTES + bytes.len() as u64;
                let (_disk, file) = file_of(&bytes);
                let mut finder = Finder::new(SEED, limit);
                let found = finder.find(&file, HEADER_BYTES, 8, |_, _| true).unwrap();
                let place = found.map(|(place, _)| place);
                assert_eq!(place, Some(HEADER_BYTES + before as u64), "{payload_bytes} behind {before}");
                let next = HEADER_BYTES + before as u64 + 8;
                assert!(finder.find(&file, next, 8, |_, _| true).unwrap().is_none());
                let other = Finder::new(SEED + 1, limit).find(&file, HEADER_BYTES, 8, |_, _| true);
                assert!(other.unwrap().is_none(), "the seed counts");
            }
        }
    }

    #[test]
    fn l14_hostile_bytes_cost_a_linear_search() {
        // Every multiple of 8 looks like the start of a frame that reaches almost to the end.
        const BYTES: usize = 256 * 1024;
        let mut bytes = Vec::new();
        while bytes.len() < BYTES {
            bytes.extend(frame::MAGIC.to_le_bytes());
            bytes.extend([0; 2]);
            bytes.extend(((BYTES / 2) as u32).to_le_bytes());
        }
        let (disk, file) = file_of(&bytes);
        let mut finder = Finder::new(SEED, HEADER_BYTES + BYTES as u64);
        assert!(finder.find(&file, HEADER_BYTES, 8, |_, _| true).unwrap().is_none());
        let asked: u64 = disk.trace().iter().map(|call| call.len).sum();
        let starts = BYTES as u64 / 8;
        assert!(asked < starts * 3 * STRIDE, "{asked} bytes were asked for, {} a start", asked / starts);
        // What reading each frame whole would have asked for.
        assert!(asked < starts / 2 * (BYTES as u64 / 2) / 8);
    }
}
