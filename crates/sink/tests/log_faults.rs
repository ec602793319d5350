//! The log fails under a sink: its disk, or its room.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use common::*;
use standpipe_core::ErrorKind;
use standpipe_sink::{Settings, SinkError};
use standpipe_testkit::{Fault as DiskFault, MemStorage, VecStore};
use standpipe_wal::Wal;

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_failed_sync_ends_the_receipts_and_loses_nothing_acknowledged() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    let sink = open(&store, &target, settings()).await.unwrap();
    let stream = sink.stream(spec("a", 1)).await.unwrap();
    acknowledge(&sink, &stream, [0]).await.unwrap();
    store.fail_next_sync();
    let failed = sink.write(&stream, stream.rows(&[row(1)]).unwrap()).await.unwrap();
    assert_eq!(within(failed.durable()).await.unwrap_err().kind(), ErrorKind::InDoubt);
    assert!(within(failed.applied()).await.is_err());
    assert!(sink.write(&stream, stream.rows(&[row(2)]).unwrap()).await.is_err());
    assert_eq!(within(sink.close(LONG)).await.unwrap_err().kind(), ErrorKind::InDoubt);
    let sink = open(&store, &target, settings()).await.unwrap();
    within(sink.close(LONG)).await.unwrap();
    assert_eq!(ids(&target, "a"), [0]);
}

#[tokio::test]
async fn a_full_log_makes_writers_wait_and_go_on() {
    let (store, target) = (VecStore::new(), target(&["a", "b"]));
    let sink = open(&store, &target, settings()).await.unwrap();
    let (a, b) = (sink.stream(spec("a", 1)).await.unwrap(), sink.stream(spec("b", 1)).await.unwrap());
    within(sink.write(&b, b.rows(&[row(0)]).unwrap())).await.unwrap().applied().await.unwrap();
    store.capacity(Some(store.used_bytes() + 500));
    target.down();
    let writer = async {
        for id in 0..40 {
            acknowledge(&sink, &a, [id]).await.unwrap();
        }
    };
    let mut writer = Box::pin(writer);
    let stuck = tokio::time::timeout(Duration::from_millis(50), &mut writer).await;
    assert!(stuck.is_err(), "the log is full and the target is down: writers wait");
    target.up();
    within(writer).await;
    within(sink.close(LONG)).await.unwrap();
    assert_eq!(ids(&target, "a"), (0..40).collect::<Vec<_>>());
}

/// The log takes a record and finds only then that the disk has no room for it. Nobody looks at the receipts.
#[tokio::test]
async fn l11_a_disk_that_is_full_later_is_told_and_leaves_no_hole() {
    const ROWS: i64 = 600;
    let (mut whole, mut cut) = (0, 0);
    // Behind rows that are there, and as the first ones of the log.
    for (call, before) in (1..200).flat_map(|call| [(call, 60), (call, 0)]) {
        let (disk, target) = (MemStorage::new(), target(&["a"]));
        let open = || {
            let small = standpipe_wal::Settings {
                segment_bytes: 16 << 10,
                segment_ahead: false,
                ..standpipe_wal::Settings::default()
            };
            open_on(Wal::open_in(disk.clone(), small).unwrap(), target.connect(), settings())
        };
        let sink = open().await.unwrap();
        let stream = sink.stream(spec("a", 1)).await.unwrap();
        acknowledge(&sink, &stream, 0..before).await.unwrap();
        disk.fail_call(disk.calls() + call, DiskFault::ENOSPC);
        let mut outcome = Ok(());
        for first in (before..ROWS).step_by(60) {
            let written = within(sink.write(&stream, stream.rows(&rows(first..first + 60)).unwrap())).await;
            outcome = outcome.and(written.map(drop));
        }
        let outcome = outcome.and(within(sink.close(LONG)).await.map(drop));
        disk.clear_faults();
        within(open().await.unwrap().close(LONG)).await.unwrap();
        let there = ids(&target, "a");
        assert_eq!(there, (0..there.len() as i64).collect::<Vec<_>>(), "call {call}: a hole");
        match outcome {
            Ok(()) => {
                assert_eq!(there.len() as i64, ROWS, "call {call}: rows are lost, and nobody is told");
                whole += 1;
            }
            Err(_) => cut += 1,
        }
    }
    assert!(whole > 0 && cut > 3, "{whole} {cut}");
}

/// The disk is full of what is applied by now: the next life lets go of it before it writes.
#[tokio::test]
async fn l11_a_disk_that_is_full_of_applied_rows_has_room_in_the_next_life() {
    let (disk, target) = (MemStorage::new(), target(&["a"]));
    let open = || {
        let small = standpipe_wal::Settings { segment_bytes: 16 << 10, ..standpipe_wal::Settings::default() };
        open_on(Wal::open_in(disk.clone(), small).unwrap(), target.connect(), settings())
    };
    let sink = open().await.unwrap();
    let stream = sink.stream(spec("a", 1)).await.unwrap();
    acknowledge(&sink, &stream, 0..60).await.unwrap();
    disk.capacity(disk.used_bytes() + (64 << 10));
    target.down();
    let mut kept = 60;
    while acknowledge(&sink, &stream, kept..kept + 60).await.is_ok() {
        kept += 60;
    }
    drop(sink);
    target.up();
    within(open().await.unwrap().close(LONG)).await.unwrap();
    assert_eq!(ids(&target, "a"), (0..kept).collect::<Vec<_>>());
    let sink = open().await.unwrap();
    let stream = sink.stream(spec("a", 1)).await.unwrap();
    for first in (kept..kept + 300).step_by(60) {
        acknowledge(&sink, &stream, first..first + 60).await.unwrap();
    }
    within(sink.close(LONG)).await.unwrap();
    assert_eq!(ids(&target, "a"), (0..kept + 300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_full_log_lets_go_of_nothing_that_is_not_applied() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    let timed = Settings { write_timeout: Some(Duration::from_millis(5)), ..settings() };
    let sink = open(&store, &target, timed).await.unwrap();
    let stream = sink.stream(spec("a", 2)).await.unwrap();
    within(sink.write(&stream, in_lane(&stream, 0, [0]))).await.unwrap().applied().await.unwrap();
    store.capacity(Some(store.used_bytes() + 2000));
    target.down();
    let (mut taken, mut refused) = (1, 0);
    while refused < 5 {
        match sink.write(&stream, in_lane(&stream, (taken % 2) as u32, [taken])).await {
            Ok(receipt) => {
                within(receipt.durable()).await.unwrap();
                taken += 1;
            }
            Err(_) => refused += 1,
        }
    }
    drop(sink);
    target.up();
    store.capacity(None);
    within(open(&store, &target, settings()).await.unwrap().close(LONG)).await.unwrap();
    assert_eq!(sorted(ids(&target, "a")), (0..taken).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_log_that_can_never_have_room_says_so() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    let sink = open(&store, &target, settings()).await.unwrap();
    let stream = sink.stream(spec("a", 1)).await.unwrap();
    store.capacity(Some(store.used_bytes() + 10));
    let full = within(sink.write(&stream, stream.rows(&rows(0..1)).unwrap())).await.unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Retry, "{full}");
    store.capacity(None);
    acknowledge(&sink, &stream, [1]).await.unwrap();
    within(sink.close(LONG)).await.unwrap();
    assert_eq!(ids(&target, "a"), [1]);
}

#[tokio::test]
async fn a_write_timeout_takes_nothing() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    let timed = Settings { write_timeout: Some(Duration::from_millis(20)), ..settings() };
    let sink = open(&store, &target, timed).await.unwrap();
    let stream = sink.stream(spec("a", 1)).await.unwrap();
    store.capacity(Some(store.used_bytes() + 300));
    target.down();
    let mut taken = 0;
    let error = loop {
        match sink.write(&stream, stream.rows(&[row(taken)]).unwrap()).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SinkError::Timeout(_)), "{error}");
    target.up();
    within(sink.close(LONG)).await.unwrap();
    assert_eq!(ids(&target, "a"), (0..taken).collect::<Vec<_>>());
}
