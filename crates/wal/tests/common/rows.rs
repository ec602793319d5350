//! What the rows of `docs/known-failures.md` ask of a log, as checks that say what is wrong: sound logs pass them, and a log
//! or a storage with the row's failure planted in it does not.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use standpipe_log::Storage;
use standpipe_testkit::{Call, CallKind, Cut, Fault, MemStorage, block_on};
use standpipe_wal::{Entropy, Log, LogError, Lsn, Reader, Record, Settings, Ticket, Wal};

use super::{PATIENCE, append, batch, fill, open, open_with, payload, read_all, small};

/// Who finds a planted failure need not wait for long.
pub const IMPATIENCE: Duration = Duration::from_millis(300);

type Outcome = Result<(), String>;

fn ensure(holds: bool, what: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(what.into()) }
}

fn said(what: &str) -> impl Fn(LogError) -> String + '_ {
    move |error| format!("{what}: {error}")
}

/// L1: those who wait when a sync fails hear of it, threads and tasks alike, and those behind them.
pub fn l1_everyone_hears<L: Log>(
    make: impl FnOnce(Wal<MemStorage>) -> L,
    patience: Duration,
) -> Result<usize, String> {
    let disk = MemStorage::new();
    let log = make(open(&disk).map_err(said("opening"))?);
    append(&log, b"before").map_err(said("before"))?;
    let (reached, reaches) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    disk.on_call(move |call| {
        if call.kind == CallKind::SyncData {
            let _ = reached.send(());
            let _ = released.lock().unwrap().recv_timeout(PATIENCE);
        }
    });
    disk.fail_nth(CallKind::SyncData, 1, Fault::EIO);
    let (tell, told) = mpsc::channel();
    let mut waiting = 0;
    // The first is in the sync that fails, the others come while it runs.
    for number in 0..7_u64 {
        let ticket = log.append(Record::new(&[&payload(number, 300)])).map_err(said("appending"))?;
        let tell = tell.clone();
        thread::spawn(move || {
            let outcome = if number % 2 == 0 { ticket.wait() } else { block_on(ticket) };
            let _ = tell.send(outcome.is_err());
        });
        waiting += 1;
        if number == 0 {
            reaches.recv_timeout(PATIENCE).map_err(|_| "no sync came")?;
        }
    }
    drop(release);
    for heard in 0..waiting {
        let failed = told
            .recv_timeout(patience)
            .map_err(|_| format!("{heard} of {waiting} heard of the failed sync"))?;
        ensure(failed, "a sync failed, and one who waited for it was told it had not")?;
    }
    Ok(waiting)
}

/// L2, L15: a write that fails, is short or is interrupted never leaves an acknowledged record out.
pub fn l2_writes_are_whole<S: Storage>(
    wrap: impl Fn(MemStorage) -> S,
    fault: &Fault,
) -> Result<usize, String> {
    for nth in 1..200 {
        let disk = MemStorage::new();
        let mut kept = Vec::new();
        let log = Wal::open_in(wrap(disk.clone()), small()).map_err(said("opening"))?;
        let before = disk.trace().iter().filter(|call| call.kind == CallKind::WriteAt).count() as u64;
        disk.fail_nth(CallKind::WriteAt, nth, fault.clone());
        for number in 0..4_u64 {
            let several: Vec<_> = (0..3).map(|part| payload(number * 10 + part, 900)).collect();
            let Ok(last) = batch(&log, &several) else { break };
            kept.extend((last.number() - 2..).zip(several));
        }
        let image = disk.process_killed();
        disk.power_off();
        drop(log);
        let what = format!("{fault:?} at write {nth}");
        let left = open(&image).and_then(|log| read_all(&log)).map_err(said(&what))?;
        ensure(kept.iter().all(|record| left.contains(record)), format!("{what}: a record is lost"))?;
        let made = disk.trace().iter().filter(|call| call.kind == CallKind::WriteAt).count() as u64;
        if made < before + nth {
            return Ok(nth as usize - 1);
        }
    }
    Err("the script never ended".to_owned())
}

/// L4: no byte of a record that is proven can be flipped without being reported. Every tenth is tried.
pub fn l4_damage_is_reported() -> Result<usize, String> {
    let disk = MemStorage::new();
    let log = open(&disk).map_err(said("opening"))?;
    let records = fill(&log, 0..12, 3000);
    log.close().map_err(said("closing"))?;
    drop(log);
    let mut tried = 0;
    for name in disk.names() {
        let contents = disk.contents(&name).unwrap();
        for (_, bytes) in &records {
            let Some(from) = contents.windows(bytes.len()).position(|window| window == bytes) else {
                continue;
            };
            for at in (from..from + bytes.len()).step_by(401) {
                let image = disk.process_killed();
                image.damage(&name, at as u64, &[contents[at] ^ 1]);
                let outcome = open(&image).and_then(|log| read_all(&log));
                let is_reported = matches!(outcome, Err(LogError::Corrupt { .. }));
                ensure(is_reported, format!("{name} byte {at}: {:?}", outcome.map(|left| left.len())))?;
                tried += 1;
            }
        }
    }
    Ok(tried)
}

/// L5: files of truncated segments are used again; whatever a crash leaves in them, no old record is read. Returns how many files
/// were used again, and how many images were opened.
pub fn l5_recycled_files_show_nothing_old(entropy: Option<Entropy>) -> Result<(usize, usize), String> {
    #[derive(Default)]
    struct Known {
        asked: Vec<(u64, Vec<u8>)>,
        acknowledged: usize,
        floor: u64,
        images: usize,
        wrong: Option<String>,
    }
    let disk = MemStorage::new();
    let settings = Settings { entropy: entropy.unwrap_or_else(|| super::counting(77)), ..small() };
    let (seen, known) = (disk.clone(), Arc::new(Mutex::new(Known::default())));
    let (knows, again) = (known.clone(), settings.clone());
    let look = move |image: MemStorage, known: &Known| -> Outcome {
        let left =
            Wal::open_in(image, again.clone()).and_then(|log| read_all(&log)).map_err(said("opening"))?;
        let foreign = left.iter().find(|record| !known.asked.contains(record));
        ensure(foreign.is_none(), format!("an old record is read as {:?}", foreign.map(|record| record.0)))?;
        let mut due = known.asked[..known.acknowledged].iter().filter(|record| record.0 >= known.floor);
        ensure(due.all(|record| left.contains(record)), "a record is lost")
    };
    disk.on_call(move |call| {
        let mut known = knows.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !call.kind.changes_disk() || known.wrong.is_some() {
            return;
        }
        let cuts = seen.images(10).into_iter().map(|(cut, image)| (format!("{cut:?}"), image));
        for (how, image) in cuts.chain([("killed".to_owned(), seen.process_killed())]) {
            known.images += 1;
            let wrong = look(image, &known).err();
            known.wrong = wrong.map(|wrong| format!("before {call:?}, {how}: {wrong}"));
        }
    });
    let locked = || known.lock().unwrap();
    let log = Wal::open_in(disk.clone(), settings).map_err(said("opening"))?;
    for number in 0..42_u64 {
        let bytes = payload(number, 3000);
        locked().asked.push((log.end().number(), bytes.clone()));
        append(&log, &bytes).map_err(said("appending"))?;
        locked().acknowledged += 1;
        if number % 14 == 13 {
            locked().floor = log.end().number();
            log.truncate_before(log.end()).map_err(said("truncating"))?;
        }
    }
    drop(log);
    if let Some(wrong) = locked().wrong.take() {
        return Err(wrong);
    }
    let is_reuse = |call: &Call| call.kind == CallKind::Rename && call.file.ends_with(".free");
    let recycled = disk.trace().iter().filter(|call| is_reuse(call)).count();
    Ok((recycled, locked().images))
}

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

/// L16: at every setting, the last record of a log that was closed is proven: damage to it is reported.
pub fn l16_the_proof_is_there(settings: Settings) -> Outcome {
    let disk = MemStorage::new();
    let log = open_with(&disk, settings).map_err(said("opening"))?;
    append(&log, b"the only record there is").map_err(said("appending"))?;
    log.close().map_err(said("closing"))?;
    drop(log);
    let (name, at) = disk
        .names()
        .into_iter()
        .find_map(|name| {
            let contents = disk.contents(&name)?;
            Some((name, contents.windows(4).position(|bytes| bytes == b"only")?))
        })
        .ok_or("the record is nowhere")?;
    disk.damage(&name, at as u64, b"0");
    let opened = open(&disk).map(|log| log.end());
    let is_reported = matches!(&opened, Err(LogError::Corrupt { lsn, .. }) if *lsn == Lsn::FIRST);
    ensure(is_reported, format!("damage to an acknowledged record: {opened:?}"))
}

/// L6 and L7 in small: some appends over a rotation, the power going at each call, each image opened.
pub fn l7_every_image_opens<S: Storage>(wrap: fn(MemStorage) -> S) -> Result<usize, String> {
    let mut world = super::cuts::World::new(wrap, 16 << 10, 24);
    world.open();
    for number in 0..8 {
        world.append(&[vec![payload(number, 3000)]]);
    }
    world.append(&[(10..14).map(|number| payload(number, 700)).collect()]);
    let tally = world.finish();
    match tally.wrong.first() {
        Some(wrong) => Err(wrong.clone()),
        None => Ok(tally.images.len()),
    }
}

/// L3: what was acknowledged after a failed sync is on disk.
pub fn l3_nothing_counts_after_a_failed_sync<S: Storage>(
    wrap: impl Fn(MemStorage) -> S,
) -> Result<usize, String> {
    let disk = MemStorage::new();
    let log = Wal::open_in(wrap(disk.clone()), small()).map_err(said("opening"))?;
    disk.fail_nth(CallKind::SyncData, 1, Fault::EIO);
    let kept: Vec<_> = (0..4_u64)
        .filter_map(|number| {
            let bytes = payload(number, 500);
            append(&log, &bytes).ok().map(|lsn| (lsn.number(), bytes))
        })
        .collect();
    let image = disk.power_cut(Cut::LoseUnsynced);
    let left = open(&image).and_then(|log| read_all(&log)).map_err(said("after the cut"))?;
    ensure(kept.iter().all(|record| left.contains(record)), "an acknowledged record is lost")?;
    Ok(4 - kept.len())
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
