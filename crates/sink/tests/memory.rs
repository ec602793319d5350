//! Memory stays under the budget, whatever waits on disk.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use common::*;
use standpipe_core::ErrorKind;
use standpipe_log::{Log, Record, Ticket};
use standpipe_sink::{Settings, SinkError};
use standpipe_testkit::{
    VecStore,
    target::{CallKind, Fault},
};

const LONG: Duration = Duration::from_secs(20);
const TIGHT: u64 = 64 << 10;

fn tight() -> Settings {
    Settings { memory_bytes: TIGHT, batch_rows_max: 50_000, ..settings() }
}

/// A backlog of many times the budget, left by a life whose target was down.
async fn backlog(store: &VecStore, target: &standpipe_testkit::SimTarget, writes: i64) {
    let sink = open(store, target, tight()).await.unwrap();
    let stream = sink.stream(spec("a", 2)).await.unwrap();
    target.down();
    for n in 0..writes {
        let rows = in_lane(&stream, (n % 2) as u32, n * 100..n * 100 + 100);
        within(sink.write(&stream, rows)).await.unwrap().durable().await.unwrap();
        assert!(sink.memory_in_use_bytes() <= TIGHT);
    }
    assert!(sink.memory_peak_bytes() <= TIGHT, "{}", sink.memory_peak_bytes());
    let closed = within(sink.close(Duration::from_millis(1))).await.unwrap();
    assert_eq!(closed.left_in_log, writes as u64);
    target.up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m2_m11_a_restart_with_a_log_larger_than_the_budget_stays_under_it() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    backlog(&store, &target, 300).await;
    assert!(store.used_bytes() > 10 * TIGHT, "{}", store.used_bytes());
    let sink = open(&store, &target, tight()).await.unwrap();
    within(sink.flush()).await.unwrap();
    let peak = sink.memory_peak_bytes();
    assert!(peak <= TIGHT && peak > TIGHT / 8, "peak {peak}");
    until("all of it comes back", || sink.memory_in_use_bytes() == 0).await;
    println!("log {} bytes, budget {TIGHT}, peak {peak}", store.used_bytes());
    within(sink.close(LONG)).await.unwrap();
    assert_eq!(sorted(ids(&target, "a")), (0..30_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m5_with_the_target_down_for_long_writers_wait_at_the_cap_of_the_log() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    store.capacity(Some(20 * TIGHT));
    let sink = open(&store, &target, tight()).await.unwrap();
    let stream = sink.stream(spec("a", 1)).await.unwrap();
    target.down();
    let mut taken = 0;
    let stuck = loop {
        let rows = stream.rows(&rows(taken * 100..taken * 100 + 100)).unwrap();
        match tokio::time::timeout(Duration::from_millis(200), sink.write(&stream, rows)).await {
            Ok(written) => {
                within(written.unwrap().durable()).await.unwrap();
                taken += 1;
            }
            Err(_) => break taken,
        }
    };
    assert!(stuck > 300, "{stuck}");
    assert!(store.used_bytes() <= 20 * TIGHT);
    assert!(sink.memory_peak_bytes() <= TIGHT);
    target.up();
    acknowledge(&sink, &stream, stuck * 100..stuck * 100 + 100).await.unwrap();
    within(sink.close(LONG)).await.unwrap();
    assert_eq!(ids(&target, "a"), (0..stuck * 100 + 100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_sink_that_is_dropped_while_it_waits_for_memory_lets_go_of_its_log() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    backlog(&store, &target, 100).await;
    for _ in 0..3 {
        target.fail_every(CallKind::Begin, Fault::Fail(ErrorKind::Retry));
        let sink = open(&store, &target, tight()).await.unwrap();
        until("the budget is used up", || sink.memory_in_use_bytes() > TIGHT / 2).await;
        drop(sink);
        target.clear_faults();
    }
    within(open(&store, &target, tight()).await.unwrap().close(LONG)).await.unwrap();
    assert_eq!(sorted(ids(&target, "a")), (0..10_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn m12_one_oversized_row_is_refused_by_size_and_the_rest_go_on() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    let sink = open(&store, &target, tight()).await.unwrap();
    let stream = sink.stream(spec("a", 1)).await.unwrap();
    let huge = Row { id: 1, note: "x".repeat(TIGHT as usize) };
    let refused = sink.write(&stream, stream.rows(&[row(0), huge]).unwrap()).await.unwrap_err();
    assert!(
        matches!(refused, SinkError::TooLarge { size_bytes, limit_bytes } if size_bytes > limit_bytes),
        "{refused}"
    );
    acknowledge(&sink, &stream, 2..5).await.unwrap();
    within(sink.close(LONG)).await.unwrap();
    assert_eq!(ids(&target, "a"), [2, 3, 4], "nothing of the refused write was taken");
}

#[tokio::test]
async fn a_block_of_a_life_with_more_memory_passes_alone() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    let sink = open(&store, &target, Settings { memory_bytes: 4 << 20, ..patient() }).await.unwrap();
    let stream = sink.stream(spec("a", 1)).await.unwrap();
    let large = Row { id: 1, note: "x".repeat(3 * TIGHT as usize) };
    within(sink.write(&stream, stream.rows(&[row(0)]).unwrap())).await.unwrap();
    within(sink.write(&stream, stream.rows(&[large]).unwrap())).await.unwrap();
    within(sink.write(&stream, stream.rows(&[row(2)]).unwrap())).await.unwrap();
    drop(sink);
    let sink = open(&store, &target, tight()).await.unwrap();
    within(sink.close(LONG)).await.unwrap();
    assert_eq!(ids(&target, "a"), [0, 1, 2]);
}

#[tokio::test]
async fn k13_rows_of_a_megabyte_count_a_megabyte() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    let sink = open(&store, &target, Settings { memory_bytes: 16 << 20, ..patient() }).await.unwrap();
    let stream = sink.stream(spec("a", 1)).await.unwrap();
    for id in 0..64 {
        let large = Row { id, note: "x".repeat(1 << 20) };
        within(sink.write(&stream, stream.rows(&[large]).unwrap())).await.unwrap().durable().await.unwrap();
    }
    // With an hour's interval and no limit of rows, only their bytes can have made batches due.
    until("most are applied", || ids(&target, "a").len() > 40).await;
    assert!(sink.memory_peak_bytes() <= 16 << 20);
    within(sink.close(LONG)).await.unwrap();
    assert_eq!(ids(&target, "a").len(), 64);
}

#[tokio::test]
async fn s10_a_record_of_another_program_stops_the_sink_as_corrupt() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    let sink = open(&store, &target, settings()).await.unwrap();
    sink.stream(spec("a", 1)).await.unwrap();
    within(sink.close(LONG)).await.unwrap();
    let log = vec_log(&store).await;
    log.append(Record::new(&[b"not ours, and long enough"])).unwrap().wait().unwrap();
    drop(log);
    let sink = open(&store, &target, settings()).await.unwrap();
    let flushed = within(sink.flush()).await.unwrap_err();
    assert_eq!(flushed.kind(), ErrorKind::Corrupt, "{flushed}");
}
