//! Frames checked on several threads: the same records, and the same verdicts on damage, as on one.

use standpipe_testkit::{CallKind, Fault, Random};
use standpipe_wal::ReplayError;

use crate::{corrupt, random_log, recover, replayed};

#[test]
fn damage_is_reported_alike_by_one_thread_and_by_several() {
    let (mut reported, mut harmless) = (0, 0);
    for seed in 20..24 {
        let (disk, _) = random_log(seed, 100_000);
        let mut random = Random::new(seed);
        for _ in 0..60 {
            // The segments are judged as they are when they are read, so the damage is done after opening.
            let image = disk.process_killed();
            let recovering = recover(&image);
            let names = image.names();
            let name = &names[random.below(names.len() as u64) as usize];
            let contents = image.contents(name).unwrap();
            let used = contents.iter().rposition(|byte| *byte != 0).unwrap_or_default() as u64;
            let at = 4096 + random.below(used.saturating_sub(4096) + 8);
            let was = contents.get(at as usize).copied().unwrap_or_default();
            match random.below(4) {
                0 => assert!(image.damage(name, at, &random.next_u64().to_le_bytes())),
                1 => assert!(image.damage(name, at & !7, &[0; 64])),
                2 => assert!(image.shorten(name, at)),
                _ => assert!(image.damage(name, at, &[was ^ (1 << random.below(8))])),
            }
            let (records, ended) = replayed(&recovering, 1);
            for workers in [2, 3] {
                let (others, other) = replayed(&recovering, workers);
                assert!(records == others, "seed {seed}: {} and {} records", records.len(), others.len());
                match (&ended, &other) {
                    (Ok(end), Ok(other)) => assert_eq!(end, other),
                    (Err(ReplayError::Log(one)), Err(ReplayError::Log(other))) => {
                        assert_eq!(corrupt(one), corrupt(other));
                    }
                    both => panic!("{both:?}"),
                }
            }
            if ended.is_err() { reported += 1 } else { harmless += 1 }
        }
    }
    println!("reported {reported}, harmless {harmless}");
    assert!(reported > 100 && harmless > 0);
}

#[test]
fn frames_in_another_segments_place_are_no_records() {
    let (disk, records) = random_log(31, 200_000);
    let recovering = recover(&disk);
    let names = disk.names();
    // Sound frames, right lengths, wrong segment: only the checksums can tell.
    let contents = disk.contents(&names[1]).unwrap();
    disk.damage(&names[0], 4096, &contents[4096..]);
    for workers in [1, 3] {
        let (delivered, ended) = replayed(&recovering, workers);
        assert!(delivered.is_empty() && records.len() > 1);
        let Err(ReplayError::Log(error)) = ended else { panic!("{ended:?}") };
        assert_eq!((corrupt(&error).0, corrupt(&error).1), (names[0].clone(), 4096));
    }
}

#[test]
fn a_read_that_fails_ends_the_replay_or_is_made_again() {
    let (disk, records) = random_log(32, 200_000);
    let recovering = recover(&disk);
    for workers in [1, 3] {
        disk.fail_every(CallKind::ReadAt, Fault::EIO);
        let (delivered, ended) = replayed(&recovering, workers);
        assert!(delivered.is_empty() && matches!(ended, Err(ReplayError::Log(_))), "{ended:?}");
        disk.clear_faults();
        // Short reads and interruptions are carried on.
        for nth in 1..20 {
            let fault = if nth % 2 == 0 { Fault::EINTR } else { Fault::Short(nth as usize * 7) };
            disk.fail_nth(CallKind::ReadAt, nth, fault);
        }
        let (delivered, ended) = replayed(&recovering, workers);
        assert!(delivered == records && ended.is_ok());
        disk.clear_faults();
        // One failure in the middle: what came before is right, and so is all where it was read again.
        disk.fail_nth(CallKind::ReadAt, 5, Fault::EIO);
        let (delivered, ended) = replayed(&recovering, workers);
        assert!(records.starts_with(&delivered) && (ended.is_err() || delivered == records));
        disk.clear_faults();
    }
}

#[test]
fn a_panic_while_reading_comes_to_the_caller() {
    let (disk, records) = random_log(33, 200_000);
    let recovering = recover(&disk);
    for workers in [1, 3] {
        disk.fail_every(CallKind::ReadAt, Fault::Panic);
        let read = std::panic::AssertUnwindSafe(|| replayed(&recovering, workers));
        assert!(std::panic::catch_unwind(read).is_err());
        disk.clear_faults();
        assert!(replayed(&recovering, workers).0 == records);
    }
}
