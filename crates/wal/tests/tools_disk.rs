//! Measuring a disk: what is told, and that nothing is left behind.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use standpipe_wal::{LogError, Stage, Times, measure_disk};

fn is_empty(place: &Path) -> bool {
    fs::read_dir(place).unwrap().next().is_none()
}

#[test]
fn every_part_is_measured_and_nothing_is_left() {
    let place = tempfile::tempdir().unwrap();
    // What a killed one left, and what looks like it and is not.
    let abandoned = place.path().join("standpipe-bench-4");
    fs::create_dir_all(abandoned.join("raw")).unwrap();
    let mut stages = Vec::new();
    let report =
        measure_disk(place.path(), Duration::from_millis(600), &AtomicBool::new(false), &mut |stage| {
            stages.push(stage);
        });
    let report = report.unwrap();
    assert!(is_empty(place.path()));
    let groups = [Stage::Group(1), Stage::Group(8), Stage::Group(64)];
    assert_eq!(stages, [&[Stage::Written, Stage::Fresh, Stage::Appended], &groups[..]].concat());
    let is_sane = |times: &Times| {
        times.count > 0 && times.p50 <= times.p95 && times.p95 <= times.p99 && times.p99 <= times.max
    };
    assert!([&report.written, &report.fresh, &report.appended].into_iter().all(is_sane), "{report:?}");
    assert!(report.groups.iter().all(|group| is_sane(&group.commits) && group.records_per_second > 0.0));
    assert!(report.groups.iter().all(|group| group.ratio() > 0.0));
}

#[test]
fn it_stops_when_it_is_asked_to_and_cleans_up() {
    let place = tempfile::tempdir().unwrap();
    for at in [Stage::Written, Stage::Appended, Stage::Group(8)] {
        let stop = AtomicBool::new(false);
        let outcome = measure_disk(place.path(), Duration::from_secs(2), &stop, &mut |stage| {
            if stage == at {
                stop.store(true, Ordering::Relaxed);
            }
        });
        let error = outcome.unwrap_err();
        assert!(
            matches!(&error, LogError::Io { error, .. } if error.kind() == std::io::ErrorKind::Interrupted),
            "{error}"
        );
        assert!(is_empty(place.path()));
    }
    assert!(
        measure_disk(&place.path().join("no"), Duration::ZERO, &AtomicBool::new(false), &mut |_| {}).is_err()
    );
    let mine = place.path().join("standpipe-bench-77");
    fs::create_dir(&mine).unwrap();
    fs::write(mine.join("thesis.txt"), b"mine").unwrap();
    let _ = measure_disk(place.path(), Duration::ZERO, &AtomicBool::new(true), &mut |_| {});
    assert!(mine.join("thesis.txt").exists());
}
