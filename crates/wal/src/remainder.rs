use std::io;

use standpipe_log::{File, FileExt};

use crate::{
    frame,
    resync::{Finder, is_zero},
    segment::{Header, PAGE_BYTES},
};

/// What lies behind the last sound frame of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remainder {
    /// Nothing of this segment's was written there.
    pub(crate) is_blank: bool,
    /// A sound frame there, written when what is missing was already known durable.
    pub(crate) proof: Option<u64>,
}

/// Looks through what follows `from`, where no sound frame is. `chain` is the checksum of the frame before.
pub(crate) fn search<F: File>(
    file: &F,
    header: &Header,
    from: u64,
    chain: u32,
    limit: u64,
) -> io::Result<Remainder> {
    look(file, header, &mut Finder::new(header.seed(), limit), from, chain)
}

/// [`search`] for someone who looks through the same segment again and again. The time is linear in the segment's length,
/// whatever lies there.
///
/// Since version 2 the first frame behind a sync starts on a page, so that what proves anything is found there.
pub(crate) fn look<F: File>(
    file: &F,
    header: &Header,
    finder: &mut Finder,
    from: u64,
    chain: u32,
) -> io::Result<Remainder> {
    let limit = finder.limit();
    let is_blank =
        if header.recycled { !names(file, from, chain, limit)? } else { is_zero(file, from, limit)? };
    if is_blank && !header.recycled {
        return Ok(Remainder { is_blank, proof: None });
    }
    let step = if header.version == 1 { 8 } else { PAGE_BYTES };
    let proves = |place: u64, frame: &frame::Header| frame.proven > from && frame.proven <= place;
    let proof = finder.find(file, from + 1, step, proves)?.map(|(place, _)| place);
    Ok(Remainder { is_blank, proof })
}

/// Whether the fields of a frame lie here that follows the frame with this checksum: all that tells an interrupted write from
/// what an earlier segment left in the same file.
fn names<F: File>(file: &F, at: u64, chain: u32, limit: u64) -> io::Result<bool> {
    let mut fields = [0; frame::HEADER_BYTES];
    if at + frame::HEADER_BYTES as u64 > limit || file.read_full_at(&mut fields, at)? < fields.len() {
        return Ok(false);
    }
    Ok(frame::Header::read(&fields).is_some_and(|header| header.previous == chain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{CODEC_RAW, Stamp, seal};
    use standpipe_log::{Lsn, Storage};
    use standpipe_testkit::MemStorage;

    const FROM: u64 = 4096;
    const CHAIN: u32 = 77;

    fn header(version: u32, recycled: bool) -> Header {
        Header {
            version,
            log: 1,
            sequence: 1,
            incarnation: 5,
            length: 1 << 20,
            born_end: FROM,
            relaxed: false,
            recycled,
            predecessor: None,
            birth: None,
        }
    }

    /// The same by its definition: each start is tried, and each frame is read whole.
    fn by_definition(file: &impl File, header: &Header, from: u64, chain: u32, limit: u64) -> Remainder {
        let mut bytes = vec![0; limit as usize];
        let read = file.read_full_at(&mut bytes, 0).unwrap();
        bytes.truncate(read);
        let rest = bytes.get(from as usize..).unwrap_or_default();
        let is_blank = if header.recycled {
            let names = |fields: frame::Header| fields.previous == chain;
            !frame::Header::read(rest).is_some_and(names)
        } else {
            rest.iter().all(|byte| *byte == 0)
        };
        let step = if header.version == 1 { 8 } else { 4096 };
        let proof = (0..bytes.len()).step_by(step).filter(|at| *at as u64 > from).find(|at| {
            let Some(fields) = frame::Header::read(&bytes[*at..]) else { return false };
            let whole = bytes.get(*at..*at + fields.bytes() as usize);
            fields.proven > from
                && fields.proven <= *at as u64
                && whole.is_some_and(|whole| frame::checksum(whole, header.seed()) == fields.checksum)
        });
        Remainder { is_blank, proof: proof.map(|at| at as u64) }
    }

    #[test]
    fn what_remains_is_judged_as_its_definition_says() {
        let frame = |incarnation: u64, previous: u32, proven: u64, payload: usize| {
            let mut bytes = vec![0; frame::HEADER_BYTES];
            bytes.resize(frame::HEADER_BYTES + payload, 7);
            let stamp = Stamp { codec: CODEC_RAW, flags: 0, records: 1, base: Lsn::FIRST, previous, proven };
            seal(&mut bytes, crate::segment::seed(incarnation), stamp, 0);
            bytes
        };
        let (mut seen, mut tried) = ([0; 4], 0);
        for (version, recycled) in [(1, false), (2, false), (2, true)] {
            let header = header(version, recycled);
            for lead in [0, 8, 64, 4064, 4096, 5000, 8192, 262_144, 266_240, 300_000] {
                for (proven, filler) in [(FROM + 8, 0xee), (FROM, 0xee), (8192, 0), (1 << 30, 0xee), (0, 0)] {
                    for (incarnation, previous, payload) in
                        [(5, 1, 300), (5, CHAIN, 9000), (6, CHAIN, 300), (6, 1, 9000)]
                    {
                        let mut bytes = vec![0; FROM as usize];
                        bytes.resize(FROM as usize + lead, filler);
                        bytes.extend(frame(incarnation, previous, proven, payload));
                        for (cut, from) in [(0, FROM), (8, FROM), (payload + 32, FROM), (0, FROM + 64)] {
                            let disk = MemStorage::new();
                            let file = disk.create("f").unwrap();
                            file.write_all_at(&bytes[..bytes.len() - cut], 0).unwrap();
                            for limit in [bytes.len() as u64, bytes.len() as u64 - 16] {
                                let told = search(&file, &header, from, CHAIN, limit).unwrap();
                                let right = by_definition(&file, &header, from, CHAIN, limit);
                                assert_eq!(
                                    told, right,
                                    "v{version} {recycled} {lead} {proven} {payload} -{cut} {from} {limit}"
                                );
                                seen[usize::from(told.is_blank) + 2 * usize::from(told.proof.is_some())] += 1;
                                tried += 1;
                            }
                        }
                    }
                }
            }
        }
        assert!(tried > 4000 && seen.iter().all(|count| *count > 0), "{seen:?} of {tried}");
    }
}
