//! The next segment, made while the one before is written: what that must not break.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Instant,
};

use common::{PATIENCE, open, open_with, payload, read_all, small};
use standpipe_testkit::{CallKind, Cut, Fault, MemStorage};
use standpipe_wal::{Durability, Log, Record, Settings, Ticket};

/// Power goes at every call of a log that writes without syncing while the next segments are made: what is left may be
/// short, but is no damage.
#[test]
fn a_segment_has_no_name_before_the_one_in_front_of_it_was_begun_on_disk() {
    let mut images = 0;
    for own in [Durability::Os, Durability::Group] {
        for stop in (5..400).step_by(3) {
            let disk = MemStorage::new();
            let settings =
                Settings { durability: own, segment_ahead: true, segment_bytes: 16 << 10, ..small() };
            let log = open_with(&disk, settings).unwrap();
            disk.stop_after(stop);
            for number in 0..60 {
                let bytes = payload(number, 700);
                let Ok(ticket) = log.append_with(Record::new(&[&bytes]), Durability::Os) else { break };
                if ticket.wait().is_err() {
                    break;
                }
            }
            for cut in [Cut::LoseUnsynced, Cut::Subset { seed: stop }, Cut::LoseWrites] {
                let image = disk.power_cut(cut);
                let again =
                    open(&image).unwrap_or_else(|error| panic!("{own:?}, call {stop}, {cut:?}: {error}"));
                let kept = read_all(&again).unwrap();
                for (at, (number, bytes)) in kept.iter().enumerate() {
                    assert_eq!((*number, bytes), (at as u64 + 1, &payload(at as u64, 700)));
                }
                images += 1;
            }
        }
    }
    println!("images {images}");
}

#[test]
fn whoever_needs_the_next_segment_does_not_wait_for_all_its_zeros() {
    const SEGMENT_BYTES: u64 = 8 << 20;
    // They are written in such pieces.
    const ZEROS_BYTES: u64 = 64 << 10;
    let disk = MemStorage::new();
    let zeroed = Arc::new(AtomicU64::new(0));
    let (begun, begins) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let settings = Settings { segment_ahead: true, segment_bytes: SEGMENT_BYTES, ..small() };
    let log = Arc::new(open_with(&disk, settings).unwrap());
    let counted = zeroed.clone();
    disk.on_call(move |call| {
        // The first piece of zeros of the next segment is held.
        if call.kind == CallKind::WriteAt
            && call.file.ends_with("2.wal.new")
            && call.len == ZEROS_BYTES
            && counted.fetch_add(1, SeqCst) == 0
        {
            let _ = begun.send(());
            let _ = released.lock().unwrap().recv_timeout(PATIENCE);
        }
    });
    // More than a quarter of the first segment.
    let writer = {
        let log = log.clone();
        thread::spawn(move || (0..).try_for_each(|number| append_until_closed(&*log, number)))
    };
    begins.recv_timeout(PATIENCE).unwrap();
    let closing = {
        let log = log.clone();
        thread::spawn(move || log.close())
    };
    let deadline = Instant::now() + PATIENCE;
    while log.append(Record::new(&[b"late"])).is_ok() {
        assert!(Instant::now() < deadline, "never closing");
        thread::yield_now();
    }
    drop(release);
    closing.join().unwrap().unwrap();
    let _ = writer.join().unwrap();
    let pieces = zeroed.load(SeqCst);
    assert_eq!(pieces, 1, "zeros were written to a segment that nobody needs");
    drop(log);
    assert!(!read_all(&open(&disk).unwrap()).unwrap().is_empty());
}

fn append_until_closed(log: &impl Log, number: u64) -> Result<(), ()> {
    log.append(Record::new(&[&payload(number, 30_000)])).map_err(drop)?.wait().map(drop).map_err(drop)
}

/// A sync fails at each turn, whoever asked for it: what is said to be durable after that is.
#[test]
fn l3_no_sync_that_fails_is_passed_over() {
    let (mut failed, mut promised) = (0, 0);
    for own in [Durability::Os, Durability::Group] {
        for nth in 1..30 {
            let disk = MemStorage::new();
            let settings =
                Settings { durability: own, segment_ahead: true, segment_bytes: 16 << 10, ..small() };
            let log = open_with(&disk, settings).unwrap();
            disk.fail_nth(CallKind::SyncData, nth, Fault::EIO);
            let mut durable = 0;
            for number in 0..60 {
                let bytes = payload(number, 700);
                let Ok(ticket) = log.append_with(Record::new(&[&bytes]), Durability::Os) else { break };
                if ticket.wait().is_err() {
                    break;
                }
                if number % 9 == 8 && log.sync().is_ok() {
                    durable = number + 1;
                }
            }
            failed += u64::from(log.sync().is_err());
            promised += durable;
            let again = open(&disk.power_cut(Cut::LoseUnsynced)).unwrap();
            let left = read_all(&again).unwrap().len() as u64;
            assert!(left >= durable, "{own:?}, sync {nth}: {left} of {durable} are there");
        }
    }
    println!("syncs that failed {failed}, records promised {promised}");
    assert!(failed > 10 && promised > 100, "{failed} {promised}");
}
