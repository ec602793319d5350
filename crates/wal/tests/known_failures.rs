//! The rows L1 to L16 of `docs/known-failures.md`: what each asks holds, and is found not to hold where a wrapper plants the
//! failure. Failures that lie inside the log's own code are planted in `planted.rs`.
#![allow(clippy::unwrap_used)]

mod common;

use std::process::{Command, Stdio};

use common::{
    PATIENCE, counting, is_found,
    rows::{
        IMPATIENCE, l1_everyone_hears, l2_writes_are_whole, l3_nothing_counts_after_a_failed_sync,
        l5_recycled_files_show_nothing_old, l7_every_image_opens, l8_appends_do_not_wait_for_rotation,
        l8_the_next_segment_is_ready, l9_an_idle_reader_holds_nothing_back, l10_opening_reads_little,
        l11_room_again, l13_a_file_cut_short_is_an_error, l16_the_proof_is_there,
    },
    small,
};
use standpipe_testkit::{Fault, LogPlant, MemStorage, Planted, PlantedLog, StorageMistake};
use standpipe_wal::{Durability, Entropy, Log, LogError, Settings, Wal};

fn planted(mistake: StorageMistake) -> impl Fn(MemStorage) -> Planted<MemStorage> + Copy {
    move |disk| Planted::new(disk, mistake)
}

#[test]
fn l1_threads_and_tasks_hear_of_a_failed_sync() {
    println!("waiters told {}", l1_everyone_hears(|log| log, PATIENCE).unwrap());
    is_found(|| l1_everyone_hears(|log| PlantedLog::new(log, LogPlant::ForgetsWaiters), IMPATIENCE)).unwrap();
}

#[test]
fn l2_failed_and_short_writes_lose_nothing_acknowledged() {
    let faults =
        [Fault::Short(1), Fault::Short(700), Fault::EINTR, Fault::EIO, Fault::Partial { bytes: 700, os: 5 }];
    for fault in faults {
        println!("{fault:?}: writes {}", l2_writes_are_whole(|disk| disk, &fault).unwrap());
    }
    let short = planted(StorageMistake::WriteOverstates);
    is_found(|| l2_writes_are_whole(short, &Fault::Short(700))).unwrap();
    let ignored = planted(StorageMistake::WriteErrorsIgnored);
    is_found(|| l2_writes_are_whole(ignored, &Fault::EIO)).unwrap();
}

#[test]
fn l3_nothing_is_acknowledged_after_a_failed_sync() {
    assert_eq!(l3_nothing_counts_after_a_failed_sync(|disk| disk), Ok(4));
    is_found(|| l3_nothing_counts_after_a_failed_sync(planted(StorageMistake::RetryingSync))).unwrap();
}

#[test]
fn l5_recycled_files_are_never_read_as_new() {
    let (recycled, images) = l5_recycled_files_show_nothing_old(None).unwrap();
    println!("files used again {recycled}, images {images}");
    assert!(images > 200);
    assert!(recycled > 0, "no file was used again");
    // What keeps them apart is the random incarnation: without one, old frames are taken for new.
    is_found(|| l5_recycled_files_show_nothing_old(Some(Entropy::new(|| 7)))).unwrap();
}

#[test]
fn l6_l7_the_power_goes_at_every_call_and_every_image_opens() {
    println!("images {}", l7_every_image_opens(|disk| disk).unwrap());
    is_found(|| l7_every_image_opens(|disk| Planted::new(disk, StorageMistake::NoDirSync))).unwrap();
    is_found(|| l7_every_image_opens(|disk| Planted::new(disk, StorageMistake::LyingSync))).unwrap();
}

#[test]
fn l8_no_append_waits_for_the_syncs_of_a_rotation() {
    let appended = l8_appends_do_not_wait_for_rotation(|log| log, PATIENCE).unwrap();
    assert_eq!(appended, 12);
    let locked = |log| PlantedLog::new(log, LogPlant::WaitsUnderLock);
    is_found(|| l8_appends_do_not_wait_for_rotation(locked, IMPATIENCE)).unwrap();
}

#[test]
fn l8_a_writer_crosses_into_a_segment_that_was_ready() {
    println!("acknowledged {}", l8_the_next_segment_is_ready(true, PATIENCE / 10).unwrap());
    is_found(|| l8_the_next_segment_is_ready(false, IMPATIENCE)).unwrap();
}

#[test]
fn l9_an_idle_reader_pins_nothing() {
    println!("bytes given back {}", l9_an_idle_reader_holds_nothing_back(|log| log).unwrap());
    let holds = |log| PlantedLog::new(log, LogPlant::ReaderHolds);
    is_found(|| l9_an_idle_reader_holds_nothing_back(holds)).unwrap();
}

#[test]
fn l10_opening_does_not_grow_with_the_log() {
    for segment_bytes in [2 << 20, 4 << 20] {
        println!("{:?}", l10_opening_reads_little(|disk| disk, segment_bytes).unwrap());
    }
    is_found(|| l10_opening_reads_little(planted(StorageMistake::ReadsWhole), 2 << 20)).unwrap();
}

#[test]
fn l11_a_disk_with_room_again_takes_records_again() {
    println!("records {}", l11_room_again(|disk| disk).unwrap());
    is_found(|| l11_room_again(planted(StorageMistake::StaysFull))).unwrap();
}

#[test]
fn l12_a_second_process_is_refused_until_the_first_is_gone() {
    let place = tempfile::tempdir().unwrap();
    let other = || {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "another_process", "--ignored", "--nocapture"])
            .env("STANDPIPE_PLACE", place.path())
            .stderr(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        said.lines().find_map(|line| line.split("opened: ").nth(1)).unwrap().to_owned()
    };
    let log = Wal::open(place.path(), small()).unwrap();
    assert_eq!(other(), "InUse");
    log.close().unwrap();
    drop(log);
    assert_eq!(other(), "Ok");
    // In one process, and where the lock is shared by mistake.
    let disk = MemStorage::new();
    let _log = Wal::open_in(disk.clone(), small()).unwrap();
    assert!(matches!(Wal::open_in(disk.clone(), small()), Err(LogError::InUse { .. })));
    assert!(
        Wal::open_in(planted(StorageMistake::LockShared)(disk), small()).is_ok(),
        "the plant was not found"
    );
}

#[test]
#[ignore = "run as another process by the test of L12"]
fn another_process() {
    let Some(place) = std::env::var_os("STANDPIPE_PLACE") else { return };
    match Wal::open(place, small()) {
        Ok(_) => println!("opened: Ok"),
        Err(LogError::InUse { .. }) => println!("opened: InUse"),
        Err(error) => println!("opened: {error}"),
    }
}

#[test]
fn l13_a_file_cut_short_under_a_reader_is_reported() {
    println!("cuts told {}", l13_a_file_cut_short_is_an_error(|disk| disk).unwrap());
    // As touching a mapped file beyond its end.
    is_found(|| l13_a_file_cut_short_is_an_error(planted(StorageMistake::DiesBeyondEnd))).unwrap();
}

#[test]
fn l15_an_error_within_a_batch_is_never_acknowledged() {
    for bytes in [1, 40, 500, 1500, 2500] {
        l2_writes_are_whole(|disk| disk, &Fault::Partial { bytes, os: 5 }).unwrap();
    }
    let ignored = planted(StorageMistake::WriteErrorsIgnored);
    is_found(|| l2_writes_are_whole(ignored, &Fault::Partial { bytes: 1500, os: 5 })).unwrap();
}

#[test]
fn l16_the_proof_is_there_at_every_setting() {
    let levels = [Durability::Group, Durability::Sync, Durability::Os, Durability::Periodic(PATIENCE)];
    for durability in levels {
        for idle_proof in [None, Some(PATIENCE)] {
            for segment_bytes in [16 << 10, 1 << 20] {
                let entropy = counting(5);
                l16_the_proof_is_there(Settings {
                    durability,
                    idle_proof,
                    segment_bytes,
                    entropy,
                    ..small()
                })
                .unwrap();
            }
        }
    }
}
