//! What a `MemStorage` keeps, loses and tears when the power goes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;

use standpipe_log::{File, Storage};
use standpipe_testkit::{CallKind, Cut, Fault, MemFile, MemStorage, Planted, SECTOR_BYTES, StorageMistake};

fn with_file(bytes: &[u8]) -> (MemStorage, MemFile) {
    let disk = MemStorage::new();
    let file = disk.create("a").unwrap();
    disk.sync_dir().unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    (disk, file)
}

fn left(disk: &MemStorage, cut: Cut) -> Vec<u8> {
    disk.power_cut(cut).contents("a").unwrap()
}

#[test]
fn what_was_synced_survives_every_cut() {
    let (disk, file) = with_file(b"synced");
    file.write_at(b" and more", 6).unwrap();
    for (cut, after) in disk.images(100) {
        assert!(after.contents("a").unwrap().starts_with(b"synced"), "{cut:?}");
    }
}

#[test]
fn lose_unsynced_and_keep_all() {
    let (disk, file) = with_file(b"12345678");
    file.write_at(b"AB", 2).unwrap();
    file.allocate(10).unwrap();
    assert_eq!(left(&disk, Cut::LoseUnsynced), b"12345678");
    assert_eq!(left(&disk, Cut::KeepAll), b"12AB5678\0\0");
    file.sync_all().unwrap();
    assert_eq!(left(&disk, Cut::LoseUnsynced), b"12AB5678\0\0");
}

#[test]
fn a_torn_write_stops_at_a_byte_or_at_a_sector() {
    let (disk, file) = with_file(b"");
    file.write_at(&[1; 100], 0).unwrap();
    file.write_at(&[2; 1500], 100).unwrap();
    let byte = left(&disk, Cut::Torn { sector_bytes: 1, sectors: 7 });
    assert_eq!(byte, [[1; 100].as_slice(), &[2; 7]].concat(), "the write before is whole");
    let sector = left(&disk, Cut::Torn { sector_bytes: SECTOR_BYTES, sectors: 2 });
    assert_eq!(sector.len(), 1024, "sectors lie at multiples of their size in the file");
    assert_eq!(left(&disk, Cut::Torn { sector_bytes: SECTOR_BYTES, sectors: 0 }).len(), 100);
    assert_eq!(left(&disk, Cut::Torn { sector_bytes: SECTOR_BYTES, sectors: 9 }).len(), 1600);
}

#[test]
fn the_torn_write_is_the_last_in_whichever_file() {
    let (disk, first) = with_file(b"");
    let second = disk.create("b").unwrap();
    second.write_at(b"early", 0).unwrap();
    first.write_at(b"late", 0).unwrap();
    let after = disk.power_cut(Cut::Torn { sector_bytes: 1, sectors: 2 });
    assert_eq!(after.contents("a").unwrap(), b"la");
    assert_eq!(after.contents("b").unwrap(), b"early");
}

#[test]
fn a_subset_keeps_later_writes_without_earlier_ones_and_parts_of_writes() {
    let (disk, file) = with_file(&[0; 4096]);
    file.write_at(&[1; 2048], 0).unwrap();
    file.write_at(&[2; 2048], 2048).unwrap();
    let images: Vec<Vec<u8>> = (0..200).map(|seed| left(&disk, Cut::Subset { seed })).collect();
    let late_only = |image: &Vec<u8>| !image.contains(&1) && image[2048..] == [2; 2048];
    assert!(images.iter().any(late_only), "the second write whole, nothing of the first");
    assert!(images.iter().any(|image| image[..512] == [0; 512] && image[512..1024] == [1; 512]), "a hole");
    for image in &images {
        for sector in image.chunks(512) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is whole or not there");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let script = || {
        let (disk, file) = with_file(&[7; 600]);
        for part in 0..20_u8 {
            file.write_at(&[part; 700], u64::from(part) * 300).unwrap();
        }
        disk.create("b").unwrap();
        disk
    };
    let (one, other) = (script(), script());
    assert_eq!(one.cuts(64), other.cuts(64));
    let mut disks = HashSet::new();
    for seed in 0..64 {
        let cut = Cut::Subset { seed };
        assert_eq!(one.power_cut(cut).fingerprint(), other.power_cut(cut).fingerprint());
        disks.insert(one.power_cut(cut).fingerprint());
    }
    assert!(disks.len() > 32, "seeds give different disks: {}", disks.len());
}

#[test]
fn cuts_are_bounded_and_leave_different_disks() {
    let (disk, file) = with_file(b"quiet");
    assert_eq!(disk.cuts(50), [Cut::LoseUnsynced], "nothing is unsynced");
    file.write_at(&[1; 9000], 5).unwrap();
    disk.create("b").unwrap();
    let images = disk.images(40);
    assert_eq!(images.len(), 40);
    let different: HashSet<u64> = images.iter().map(|(_, after)| after.fingerprint()).collect();
    assert_eq!(different.len(), 40);
    assert_eq!(disk.cuts(3).len(), 3);
}

#[test]
fn names_are_durable_only_after_sync_dir() {
    let (disk, file) = with_file(b"x");
    file.sync_all().unwrap();
    disk.rename("a", "b").unwrap();
    let made = disk.create("c").unwrap();
    made.write_at(b"synced bytes", 0).unwrap();
    made.sync_all().unwrap();
    assert_eq!(
        disk.power_cut(Cut::LoseUnsynced).names(),
        ["a"],
        "a synced file without a synced name is gone"
    );
    assert_eq!(disk.power_cut(Cut::LoseNames).names(), ["a"]);
    assert_eq!(disk.power_cut(Cut::LoseWrites).names(), ["b", "c"]);
    disk.sync_dir().unwrap();
    assert_eq!(disk.power_cut(Cut::LoseUnsynced).names(), ["b", "c"]);
    disk.remove("b").unwrap();
    assert_eq!(disk.power_cut(Cut::LoseUnsynced).names(), ["b", "c"], "a removal is undone");
    assert_eq!(disk.power_cut(Cut::LoseUnsynced).contents("b").unwrap(), b"x");
}

#[test]
fn any_part_of_the_changes_of_names_may_have_happened() {
    let (disk, _file) = with_file(b"old");
    let new = disk.create("new").unwrap();
    new.write_at(b"new", 0).unwrap();
    new.sync_all().unwrap();
    disk.sync_dir().unwrap();
    disk.rename("new", "a").unwrap();
    disk.create("c").unwrap();
    let mut seen = HashSet::new();
    for (cut, after) in disk.images(100) {
        let contents = after.contents("a").expect("rename loses neither name");
        let replaced = contents == b"new";
        assert!(replaced || contents == b"old", "{cut:?}");
        assert_eq!(after.contents("new").is_some(), !replaced, "{cut:?}: in one step");
        seen.insert((replaced, after.contents("c").is_some()));
    }
    assert_eq!(seen.len(), 4, "each alone, both, none: {seen:?}");
}

#[test]
fn a_failed_sync_marks_pages_clean_and_no_later_sync_makes_them_durable() {
    let (disk, file) = with_file(b"1");
    file.write_at(b"2", 1).unwrap();
    disk.fail_nth(CallKind::SyncData, 1, Fault::EIO);
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
    assert_eq!(disk.contents("a").unwrap(), b"12", "the cache still shows it");
    file.sync_all().unwrap();
    assert_eq!(left(&disk, Cut::LoseUnsynced), b"1", "a later Ok says nothing about it");
    assert_eq!(left(&disk, Cut::KeepAll), b"1");
    let subsets: HashSet<_> = (0..64).map(|seed| left(&disk, Cut::Subset { seed })).collect();
    assert_eq!(subsets.len(), 2, "the disk may have got it all the same");
    file.write_at(b"2", 1).unwrap();
    file.sync_data().unwrap();
    for (cut, after) in disk.images(64) {
        assert_eq!(after.contents("a").unwrap(), b"12", "{cut:?}: written again and synced");
    }
}

#[test]
fn an_interrupted_sync_may_be_tried_again() {
    let (disk, file) = with_file(b"1");
    file.write_at(b"2", 1).unwrap();
    disk.fail_nth(CallKind::SyncData, 1, Fault::EINTR);
    assert_eq!(file.sync_data().unwrap_err().kind(), std::io::ErrorKind::Interrupted);
    file.sync_data().unwrap();
    assert_eq!(left(&disk, Cut::LoseUnsynced), b"12");
}

#[test]
fn a_sync_covers_only_what_was_written_before_it_began() {
    let (disk, file) = with_file(b"1");
    file.write_at(b"2", 1).unwrap();
    let late = disk.open("a").unwrap();
    let once = std::sync::atomic::AtomicBool::new(true);
    disk.on_call(move |call| {
        if call.kind == CallKind::SyncData && once.swap(false, std::sync::atomic::Ordering::SeqCst) {
            late.write_at(b"3", 2).unwrap();
        }
    });
    file.sync_data().unwrap();
    assert_eq!(left(&disk, Cut::LoseUnsynced), b"12");
    assert_eq!(left(&disk, Cut::KeepAll), b"123");
}

#[test]
fn a_killed_process_loses_no_page_but_gains_no_durability() {
    let (disk, file) = with_file(b"1");
    file.write_at(b"2", 1).unwrap();
    let after = disk.process_killed();
    assert_eq!(after.contents("a").unwrap(), b"12");
    assert_eq!(left(&after, Cut::LoseUnsynced), b"1");
    after.open("a").unwrap().sync_data().unwrap();
    assert_eq!(left(&after, Cut::LoseUnsynced), b"12", "pages outlive the process");
    assert_eq!(left(&disk, Cut::LoseUnsynced), b"1", "the copies are apart");
}

/// The mistakes that no suite sees are seen by a cut.
#[test]
fn planted_mistakes_of_durability_are_found_by_a_cut() {
    let survives = |mistake: Option<StorageMistake>, fail: bool| {
        let disk = MemStorage::new();
        let run = |storage: &dyn Fn() -> std::io::Result<()>| storage().is_ok();
        if fail {
            disk.fail_nth(CallKind::SyncData, 1, Fault::EIO);
        }
        fn script<S: Storage>(storage: &S) -> std::io::Result<()> {
            let file = storage.create("a")?;
            storage.sync_dir()?;
            file.write_at(b"acknowledged", 0)?;
            file.sync_data()
        }
        let acknowledged = match mistake {
            Some(mistake) => run(&|| script(&Planted::new(disk.clone(), mistake))),
            None => run(&|| script(&disk)),
        };
        let kept = disk.power_cut(Cut::LoseUnsynced).contents("a").as_deref() == Some(&b"acknowledged"[..]);
        !acknowledged || kept
    };
    assert!(survives(None, false) && survives(None, true));
    assert!(!survives(Some(StorageMistake::NoDirSync), false));
    assert!(!survives(Some(StorageMistake::LyingSync), false));
    assert!(survives(Some(StorageMistake::RetryingSync), false));
    assert!(!survives(Some(StorageMistake::RetryingSync), true));
}
