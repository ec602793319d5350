//! Physical limits, by themselves for context, and lent to the comparisons as contenders.

use std::{fs::File, hint::black_box, io::Write, os::unix::fs::FileExt, path::Path};

use memmap2::Mmap;
use standpipe_harness::{Context, Figure, Outcome, Sample, Workload, check};

use crate::closed_loop::{Clock, on_threads};

/// What a file is written in.
pub(crate) const PAGE_BYTES: usize = 4096;
/// The file that is written once before a loop writes over it.
const FILE_BYTES: usize = 64 << 20;

/// The limits by themselves.
pub(crate) fn workloads() -> Vec<Workload> {
    vec![
        Workload::new("limit.memcpy", "copying 256 MiB in pieces of 1 MiB, one thread", memcpy),
        Workload::new(
            "limit.pwrite_fdatasync",
            "4 KiB at a time into a file already written once, fdatasync after each, one thread",
            |context| overwrite(context, PAGE_BYTES, 1, true, Clock::Each, "writes/s"),
        ),
        Workload::new(
            "limit.mapped_checksum",
            "CRC-32C of 64 MiB of mapped memory in pieces of 1 MiB, one thread",
            mapped_checksum,
        ),
    ]
}

/// `records` records of `bytes / records` bytes in one `pwrite` of `bytes` bytes, page after page through a file that was written and
/// synced before, and from its start again at its end; after each, if `sync`, an fdatasync.
pub(crate) fn overwrite(
    context: &Context,
    bytes: usize,
    records: u64,
    sync: bool,
    clock: Clock,
    unit: &str,
) -> Outcome<Sample> {
    let path = context.dir("limit")?.join("file");
    let file =
        written(&path, context.sized(FILE_BYTES as u64 * 10, 4 << 20).min(FILE_BYTES as u64) as usize)?;
    let slots = file.metadata()?.len() / bytes as u64;
    let mut piece = vec![0xA5_u8; bytes];
    let mut count = 0_u64;
    let mut write = || -> Outcome<u64> {
        piece[..8].copy_from_slice(&count.to_le_bytes());
        file.write_all_at(&piece, count % slots * bytes as u64)?;
        if sync {
            file.sync_data()?;
        }
        count += 1;
        Ok(records)
    };
    let tally = on_threads(context, clock, vec![&mut write])?;
    let mut last = vec![0; bytes];
    file.read_exact_at(&mut last, (count - 1) % slots * bytes as u64)?;
    piece[..8].copy_from_slice(&(count - 1).to_le_bytes());
    check("the last piece", last == piece, true)?;
    Ok(tally.sample(unit))
}

/// A file of zeros, written page by page: what is written in large pieces lies in large folios of the page cache, and
/// small writes over those are several times slower.
fn written(path: &Path, bytes: usize) -> Outcome<File> {
    let mut file = File::options().create_new(true).read(true).write(true).open(path)?;
    let page = [0_u8; PAGE_BYTES];
    for _ in 0..bytes / PAGE_BYTES {
        file.write_all(&page)?;
    }
    file.sync_all()?;
    Ok(file)
}

/// A file as memory.
pub(crate) fn mapped(file: &File) -> Outcome<Mmap> {
    // SAFETY: the file is in a directory of this process's own, and nothing writes to it or cuts it while it is mapped.
    #[allow(unsafe_code)]
    let mapped = unsafe { Mmap::map(file)? };
    Ok(mapped)
}

fn memcpy(context: &Context) -> Outcome<Sample> {
    const PIECE: usize = 1 << 20;
    let source = vec![7_u8; context.sized(256 << 20, 8 << 20) as usize];
    let mut place = vec![0_u8; source.len()];
    let (bytes, seconds) = context.repeat(|| {
        for (to, from) in place.chunks_mut(PIECE).zip(source.chunks(PIECE)) {
            to.copy_from_slice(black_box(from));
        }
        black_box(&mut place);
        Ok(source.len() as u64)
    })?;
    check("the copy", place == source, true)?;
    Ok(Sample::of([Figure::throughput(mib(bytes), seconds, "MiB/s")]))
}

fn mapped_checksum(context: &Context) -> Outcome<Sample> {
    const PIECE: usize = 1 << 20;
    let path = context.dir("limit")?.join("file");
    let file =
        written(&path, context.sized(FILE_BYTES as u64 * 10, 4 << 20).min(FILE_BYTES as u64) as usize)?;
    let zeros = crc32c::crc32c(&vec![0; PIECE]);
    let mapped = mapped(&file)?;
    let (bytes, seconds) = context.repeat(|| {
        for piece in mapped.chunks(PIECE) {
            check("a piece's checksum", crc32c::crc32c(piece), zeros)?;
        }
        Ok(mapped.len() as u64)
    })?;
    Ok(Sample::of([Figure::throughput(mib(bytes), seconds, "MiB/s")]))
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
