use std::{path::Path, time::Duration};

use standpipe_harness::{Context, Outcome, check};
use standpipe_wal::{Durability, Log, Lsn, Reader, Wal};

use super::open_log;

/// Marks a record as the `number`th of `writer`, in its first bytes.
pub(super) fn mark(record: &mut [u8], writer: u32, number: u64) {
    record[..4].copy_from_slice(&writer.to_be_bytes());
    record[4..12].copy_from_slice(&number.to_be_bytes());
}

fn marked(record: &[u8]) -> Option<(usize, u64)> {
    let (writer, rest) = record.split_first_chunk()?;
    let (number, _) = rest.split_first_chunk()?;
    Some((u32::from_be_bytes(*writer) as usize, u64::from_be_bytes(*number)))
}

/// Closes the log, opens it anew and reads all of it: each writer's records must be there once, in the writer's order,
/// as many as were acknowledged to it, and nothing else.
pub(super) fn check_all(
    context: &Context,
    dir: &Path,
    log: Wal,
    record_bytes: usize,
    acknowledged: &[u64],
) -> Outcome<()> {
    log.close()?;
    drop(log);
    let log = open_log(context, dir, Durability::Os)?;
    let total: u64 = acknowledged.iter().sum();
    check("the end of the log", log.end(), Lsn::new(1 + total))?;
    let mut reader = log.follow(Lsn::FIRST)?;
    let mut found = vec![0_u64; acknowledged.len()];
    for _ in 0..total {
        let entry =
            reader.next(Duration::ZERO)?.ok_or("wrong result: an acknowledged record is not there")?;
        check("bytes of a record", entry.payload.len(), record_bytes)?;
        let (writer, number) = marked(entry.payload).ok_or("wrong result: a record without its mark")?;
        let next = found.get_mut(writer).ok_or("wrong result: a record of nobody")?;
        check("the record that comes next", number, *next)?;
        *next += 1;
    }
    check("records of each writer", found.as_slice(), acknowledged)
}
