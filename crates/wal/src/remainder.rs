use std::io;

use standpipe_log::{File, FileExt};

use crate::{
    bytes::u16_at,
    frame,
    segment::{Header, PAGE_BYTES},
};

/// How much is read at once, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// What lies behind the last sound frame of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remainder {
    /// Nothing of this segment's was written there.
    pub(crate) is_blank: bool,
    /// A sound frame there, written when what is missing was already known durable.
    pub(crate) proof: Option<u64>,
}

/// Looks through what follows `from`, where no sound frame is. `chain` is the checksum of the frame before.
///
/// Since version 2 the first frame behind a sync starts on a page, so that what proves anything is found there.
pub(crate) fn search<F: File>(
    file: &F,
    header: &Header,
    from: u64,
    chain: u32,
    limit: u64,
) -> io::Result<Remainder> {
    let step = if header.version == 1 { 8 } else { PAGE_BYTES };
    let mut found = Remainder { is_blank: true, proof: None };
    if header.recycled {
        found.is_blank = !names(file, from, chain, limit)?;
    }
    let mut chunk =
        vec![0; usize::try_from(limit.saturating_sub(from)).unwrap_or(usize::MAX).min(READ_BYTES)];
    let mut frame = Vec::new();
    // Whole pages, so that a page is seen whole.
    let mut at = from / PAGE_BYTES * PAGE_BYTES;
    while at < limit {
        let wanted = usize::try_from(limit - at).unwrap_or(usize::MAX).min(chunk.len());
        let read = file.read_full_at(&mut chunk[..wanted], at)?;
        for (page_at, page) in
            (at..).step_by(PAGE_BYTES as usize).zip(chunk[..read].chunks(PAGE_BYTES as usize))
        {
            let skipped = usize::try_from(from.saturating_sub(page_at)).unwrap_or(usize::MAX).min(page.len());
            if is_zero(&page[skipped..]) {
                continue;
            }
            if !header.recycled {
                found.is_blank = false;
            }
            for start in
                (page_at..page_at + page.len() as u64).step_by(step as usize).filter(|start| *start > from)
            {
                let seen = &chunk[(start - at) as usize..read];
                if is_proof(file, header.seed(), from, start, limit, seen, &mut frame)? {
                    found.proof = Some(start);
                    return Ok(found);
                }
            }
        }
        if read < wanted {
            break;
        }
        at += read as u64;
    }
    Ok(found)
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

fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; PAGE_BYTES as usize] = [0; PAGE_BYTES as usize];
    *bytes == ZEROS[..bytes.len()]
}

/// Whether a sound frame starts here that proves something beyond `missing`. Fields first, for they are cheap.
fn is_proof<F: File>(
    file: &F,
    seed: u32,
    missing: u64,
    start: u64,
    limit: u64,
    seen: &[u8],
    buffer: &mut Vec<u8>,
) -> io::Result<bool> {
    let mut fields = [0; frame::HEADER_BYTES];
    if seen.len() >= frame::HEADER_BYTES {
        fields.copy_from_slice(&seen[..frame::HEADER_BYTES]);
    } else if seen.len() < 2
        || u16_at(seen, 0) != frame::MAGIC
        || file.read_full_at(&mut fields, start)? < frame::HEADER_BYTES
    {
        return Ok(false);
    }
    let Some(header) = frame::Header::read(&fields) else { return Ok(false) };
    if header.proven <= missing || header.proven > start || start + header.bytes() > limit {
        return Ok(false);
    }
    if u64::from(header.payload_bytes) > frame::PAYLOAD_BYTES_MAX {
        return Ok(false);
    }
    buffer.resize(header.bytes() as usize, 0);
    let read = file.read_full_at(buffer, start)?;
    Ok(read == buffer.len() && frame::checksum(buffer, seed) == header.checksum)
}
