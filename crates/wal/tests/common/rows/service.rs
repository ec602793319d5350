//! Rows about a log that is slow, stuck or in the way.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
    mpsc,
};
use std::{thread, time::Duration};

use standpipe_log::Storage;
use standpipe_testkit::{Call, CallKind, MemStorage};
use standpipe_wal::{Log, LogError, Lsn, Reader, Record, Settings, Wal};

use super::{
    super::{PATIENCE, append, fill, open, open_with, payload, read_all, small},
    ensure, said,
};

/// L8: while rotation's syncs are held, every append returns. `Err` when one waited for them.
pub fn l8_appends_do_not_wait_for_rotation<L: Log>(
    make: impl FnOnce(Wal<MemStorage>) -> L,
    patience: Duration,
) -> Result<usize, String> {
    let disk = MemStorage::new();
    let log = Arc::new(make(open(&disk).map_err(said("opening"))?));
    let gate = Arc::new(Gate::default());
    let held = gate.clone();
    disk.on_call(move |call| held.pass(call));
    gate.hold(true);
    let (tell, told) = mpsc::channel();
    // More than two segments of them, so that every rotation there is begins.
    let appender = log.clone();
    let appends = thread::spawn(move || {
        let tickets: Vec<_> = (0..12)
            .map(|number| {
                let ticket = appender.append(Record::new(&[&payload(number, 3000)]));
                let _ = tell.send(());
                ticket
            })
            .collect();
        tickets.into_iter().filter(|ticket| ticket.as_ref().is_ok()).count()
    });
    let returned = (0..12).take_while(|_| told.recv_timeout(patience).is_ok()).count();
    gate.hold(false);
    let appended = appends.join().map_err(|_| "an append panicked")?;
    ensure(returned == 12, format!("{returned} of 12 appends returned while the disk was held"))?;
    append(&*log, b"after").map_err(said("after"))?;
    ensure(disk.names().len() > 2, "there was no rotation")?;
    Ok(appended)
}

/// L8, the other half: with everything held that makes a segment, a writer still crosses into the next one, which was ready.
/// Returns how many records were acknowledged meanwhile.
pub fn l8_the_next_segment_is_ready(segment_ahead: bool, patience: Duration) -> Result<usize, String> {
    let disk = MemStorage::new();
    let settings = Settings { segment_bytes: 32 << 10, segment_ahead, ..small() };
    let log = Arc::new(open_with(&disk, settings).map_err(said("opening"))?);
    append(&*log, b"the first").map_err(said("the first"))?;
    // The next segment is made beside the writers: wait for it, however it is made.
    let deadline = std::time::Instant::now() + patience;
    while disk.names().iter().filter(|name| name.ends_with(".wal")).count() < 2 {
        ensure(std::time::Instant::now() < deadline, "no next segment was made ready")?;
        thread::yield_now();
    }
    let gate = Arc::new(Gate::default());
    let held = gate.clone();
    let makes = |kind| {
        use CallKind::{Allocate, Create, Remove, Rename, SyncAll, SyncDir};
        matches!(kind, Create | Allocate | Rename | Remove | SyncAll | SyncDir)
    };
    disk.on_call(move |call| {
        if makes(call.kind) {
            held.pass(call);
        }
    });
    gate.hold(true);
    let (tell, told) = mpsc::channel();
    let appender = log.clone();
    // 32 KiB hold four of them beside the first: the fifth is in the next segment, and the one after that is not needed yet.
    let writer = thread::spawn(move || {
        for number in 0..5 {
            let _ = tell.send(append(&*appender, &payload(number, 3000)));
        }
    });
    let mut acknowledged = 0;
    while let Ok(outcome) = told.recv_timeout(patience) {
        outcome.map_err(said("appending"))?;
        acknowledged += 1;
    }
    let waited = gate.waiting();
    gate.hold(false);
    let _ = writer.join();
    ensure(acknowledged == 5, format!("{acknowledged} of 5 were acknowledged; {waited} calls were held"))?;
    Ok(acknowledged)
}

/// L9: a reader that never moves holds nothing back, and hears what it missed.
pub fn l9_an_idle_reader_holds_nothing_back<L: Log>(
    make: impl FnOnce(Wal<MemStorage>) -> L,
) -> Result<u64, String> {
    let disk = MemStorage::new();
    let log = make(open(&disk).map_err(said("opening"))?);
    let mut idle = log.follow(Lsn::FIRST).map_err(said("following"))?;
    fill(&log, 0..40, 3000);
    let before = log.size_bytes();
    log.truncate_before(log.end()).map_err(said("truncating"))?;
    let after = log.size_bytes();
    ensure(after * 3 < before, format!("an idle reader keeps {after} of {before} bytes"))?;
    let missed = idle.next(Duration::ZERO).map(|entry| entry.map(|entry| entry.lsn));
    ensure(matches!(missed, Err(LogError::Truncated { .. })), format!("the idle reader saw {missed:?}"))?;
    Ok(before - after)
}

/// What opening asked of the disk.
#[derive(Debug, Default)]
pub struct OpenCost {
    pub segments: usize,
    pub bytes: u64,
    pub read_bytes: u64,
    pub syncs: usize,
}

/// L10: opening reads the last segment, a page of every other one and a little more, and syncs what it makes.
pub fn l10_opening_reads_little<S: Storage>(
    wrap: impl Fn(MemStorage) -> S,
    segment_bytes: u64,
) -> Result<OpenCost, String> {
    const LITTLE: u64 = 264 << 10;
    let disk = MemStorage::new();
    let settings = Settings { segment_bytes, size_bytes_max: 1 << 30, ..small() };
    let log = open_with(&disk, settings.clone()).map_err(said("opening"))?;
    let mut number = 0;
    while inspectable(&disk) < 24 {
        fill(&log, number..number + 4, 60_000);
        number += 4;
    }
    log.close().map_err(said("closing"))?;
    drop(log);
    let image = disk.process_killed();
    let log = Wal::open_in(wrap(image.clone()), settings).map_err(said("opening again"))?;
    let trace = image.trace();
    drop(log);
    let is_sync =
        |call: &&Call| matches!(call.kind, CallKind::SyncData | CallKind::SyncAll | CallKind::SyncDir);
    let cost = OpenCost {
        segments: inspectable(&image),
        bytes: image.used_bytes(),
        read_bytes: trace.iter().filter(|call| call.kind == CallKind::ReadAt).map(|call| call.len).sum(),
        syncs: trace.iter().filter(is_sync).count(),
    };
    // The last segment is read to be judged, and once more to be copied.
    let most = 3 * segment_bytes + cost.segments as u64 * LITTLE;
    ensure(most * 2 < cost.bytes, format!("the log is too small to tell: {cost:?}"))?;
    ensure(
        cost.read_bytes <= most,
        format!("opening read {} bytes, at most {most}: {cost:?}", cost.read_bytes),
    )?;
    ensure(cost.syncs <= 6, format!("opening synced {} times", cost.syncs))?;
    Ok(cost)
}

fn inspectable(disk: &MemStorage) -> usize {
    disk.names().iter().filter(|name| name.ends_with(".wal")).count()
}

/// L11: when the disk has room again, the log takes records again, without being opened anew.
pub fn l11_room_again<S: Storage>(wrap: impl Fn(MemStorage) -> S) -> Result<usize, String> {
    let disk = MemStorage::new();
    let log = Wal::open_in(wrap(disk.clone()), small()).map_err(said("opening"))?;
    let mut kept = fill(&log, 0..3, 2000);
    disk.capacity(disk.used_bytes() + 3000);
    let refused = (10..60).find_map(|number| {
        let bytes = payload(number, 3000);
        match append(&log, &bytes) {
            Ok(lsn) => {
                kept.push((lsn.number(), bytes));
                None
            }
            Err(error) => Some(error),
        }
    });
    ensure(matches!(refused, Some(LogError::Full { .. })), format!("a full disk says {refused:?}"))?;
    disk.capacity(u64::MAX);
    for number in 100..110 {
        let bytes = payload(number, 3000);
        kept.push((append(&log, &bytes).map_err(said("with room again"))?.number(), bytes));
    }
    ensure(
        read_all(&log).map_err(said("reading"))? == kept,
        "a record is lost, or one that was refused is there",
    )?;
    Ok(kept.len())
}

/// L13: a file that is cut short under a reader ends in an error, and in nothing worse.
pub fn l13_a_file_cut_short_is_an_error<S: Storage>(wrap: impl Fn(MemStorage) -> S) -> Result<usize, String> {
    let mut tried = 0;
    for len in [0, 100, 4096, 4100, 8192, 9000, 12_000] {
        for reads in [0, 1, 5] {
            let disk = MemStorage::new();
            let log = open(&disk).map_err(said("opening"))?;
            let records = fill(&log, 0..14, 3000);
            drop(log);
            // Opened anew, so that nothing is served from memory.
            let log = Wal::open_in(wrap(disk.clone()), small()).map_err(said("opening again"))?;
            let mut reader = log.follow(Lsn::FIRST).map_err(said("following"))?;
            for _ in 0..reads {
                reader.next(Duration::ZERO).map_err(said("reading"))?;
            }
            let second = disk.names()[1].clone();
            disk.shorten(&second, len);
            let mut seen = reads;
            let ended = loop {
                match reader.next(Duration::ZERO) {
                    Ok(Some(entry)) => {
                        let expected = records.get(seen);
                        let same = expected
                            .is_some_and(|(lsn, bytes)| *lsn == entry.lsn.number() && bytes == entry.payload);
                        ensure(same, format!("cut at {len}: a wrong record"))?;
                        seen += 1;
                    }
                    other => break other.map(|entry| entry.is_none()),
                }
            };
            let told = matches!(ended, Err(LogError::Corrupt { .. } | LogError::Io { .. }));
            ensure(told || seen == records.len(), format!("cut at {len}: {seen} records, then {ended:?}"))?;
            tried += usize::from(told);
        }
    }
    ensure(tried > 10, format!("{tried} cuts were noticed"))?;
    Ok(tried)
}

/// Holds calls while it is told to.
#[derive(Default)]
struct Gate {
    is_held: AtomicBool,
    waiting: AtomicU64,
}

impl Gate {
    fn hold(&self, held: bool) {
        self.is_held.store(held, Ordering::SeqCst);
    }

    fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::SeqCst)
    }

    fn pass(&self, call: &Call) {
        let deadline = std::time::Instant::now() + 2 * PATIENCE;
        if !call.kind.changes_disk() {
            return;
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while self.is_held.load(Ordering::SeqCst) && std::time::Instant::now() < deadline {
            thread::park_timeout(Duration::from_micros(200));
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
