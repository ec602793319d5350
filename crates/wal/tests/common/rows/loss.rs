//! Rows about records that are lost, altered or shown although they are not there.

use std::sync::{Arc, Mutex, mpsc};
use std::{thread, time::Duration};

use standpipe_log::Storage;
use standpipe_testkit::{Call, CallKind, Cut, Fault, MemStorage, block_on};
use standpipe_wal::{Entropy, Log, LogError, Lsn, Record, Settings, Ticket, Wal};

use super::{
    super::{PATIENCE, append, batch, counting, cuts, fill, open, open_with, payload, read_all, small},
    Outcome, ensure, said,
};

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
    let settings = Settings { entropy: entropy.unwrap_or_else(|| counting(77)), ..small() };
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

/// L6 and L7 in small: some appends over a rotation, the power going at each call, each image opened.
pub fn l7_every_image_opens<S: Storage>(wrap: fn(MemStorage) -> S) -> Result<usize, String> {
    let mut world = cuts::World::new(wrap, 16 << 10, 24);
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
