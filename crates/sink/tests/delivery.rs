//! Each acknowledged row is in its table once, in lane order, through drops, crashes and re-openings.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{sync::Arc, time::Duration};

use common::*;
use standpipe_core::{Error, ErrorKind};
use standpipe_sink::{Rows, Settings, Sink, SinkError};
use standpipe_testkit::{Crash, Cut, History, VecStore};
use standpipe_wal::Wal;

const LONG: Duration = Duration::from_secs(20);

async fn many_writers<L: standpipe_log::Log>(sink: Sink<L>, target: &standpipe_testkit::SimTarget) {
    let sink = Arc::new(sink);
    let mut writers = Vec::new();
    for name in ["a", "b"] {
        let stream = sink.stream(spec(name, 3)).await.unwrap();
        for writer in 0..6_i64 {
            let (sink, stream) = (sink.clone(), stream.clone());
            writers.push(tokio::spawn(async move {
                for step in 0..20 {
                    let id = writer * 1000 + step;
                    let rows = stream.rows(&[row(id)]).unwrap().keyed(&stream, &writer.to_be_bytes());
                    let receipt = sink.write(&stream, rows).await.unwrap();
                    receipt.durable().await.unwrap();
                }
            }));
        }
    }
    for writer in writers {
        within(writer).await.unwrap();
    }
    let sink = Arc::into_inner(sink).unwrap();
    let closed = within(sink.close(LONG)).await.unwrap();
    assert_eq!(closed.left_in_log, 0);
    for name in ["a", "b"] {
        let found = ids(target, name);
        let expected: Vec<i64> =
            (0..6).flat_map(|writer| (0..20).map(move |step| writer * 1000 + step)).collect();
        assert_eq!(sorted(found.clone()), expected);
        for writer in 0..6 {
            let of_writer: Vec<i64> = found.iter().copied().filter(|id| id / 1000 == writer).collect();
            assert!(of_writer.is_sorted(), "writer {writer} of {name}: {of_writer:?}");
        }
    }
    assert!(target.commits().iter().any(|commit| commit.lanes.len() > 1), "lanes share commits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_through_the_reference_log() {
    let (store, target) = (VecStore::new(), target(&["a", "b"]));
    many_writers(open(&store, &target, settings()).await.unwrap(), &target).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_and_workers_through_files() {
    let (dir, target) = (tempfile::tempdir().unwrap(), target(&["a", "b"]));
    let log = Wal::open(dir.path(), standpipe_wal::Settings::default()).unwrap();
    let several = Settings { workers: 3, lanes_per_commit: 2, ..settings() };
    many_writers(open_on(log, target.connect(), several).await.unwrap(), &target).await;
}

#[tokio::test]
async fn one_thread_is_enough() {
    let (dir, target) = (tempfile::tempdir().unwrap(), target(&["a", "b"]));
    let log = Wal::open(dir.path(), standpipe_wal::Settings::default()).unwrap();
    many_writers(open_on(log, target.connect(), settings()).await.unwrap(), &target).await;
}

#[tokio::test]
async fn dropped_without_close_nothing_acknowledged_is_lost() {
    let (dir, target) = (tempfile::tempdir().unwrap(), target(&["a"]));
    for life in 0..4 {
        let log = Wal::open(dir.path(), standpipe_wal::Settings::default()).unwrap();
        let chosen = if life % 2 == 0 { patient() } else { settings() };
        let sink = open_on(log, target.connect(), chosen).await.unwrap();
        let stream = sink.stream(spec("a", 2)).await.unwrap();
        acknowledge(&sink, &stream, life * 100..life * 100 + 50).await.unwrap();
        drop(sink);
    }
    let log = Wal::open(dir.path(), standpipe_wal::Settings::default()).unwrap();
    let sink = open_on(log, target.connect(), settings()).await.unwrap();
    within(sink.close(LONG)).await.unwrap();
    let expected: Vec<i64> = (0..4).flat_map(|life| life * 100..life * 100 + 50).collect();
    assert_eq!(ids(&target, "a"), expected, "each once, in order");
}

#[tokio::test]
async fn crashes_of_the_log_lose_only_what_nobody_was_told_of() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    let mut history = History::new();
    let mut next = 0;
    for life in 0..12_u64 {
        let sink = open(&store, &target, settings()).await.unwrap();
        let stream = sink.stream(spec("a", 1)).await.unwrap();
        for _ in 0..10 {
            acknowledge(&sink, &stream, [next]).await.unwrap();
            history.acknowledged(&lane("a", 0), next as u64, next);
            next += 1;
        }
        store.hold_syncs();
        let mut unknown = Vec::new();
        for _ in 0..3 {
            history.submitted(next);
            unknown.push(sink.write(&stream, stream.rows(&[row(next)]).unwrap()).await.unwrap());
            next += 1;
        }
        let cut = if life % 3 == 0 { Crash::Kill } else { Crash::Power(Cut::Subset { seed: life }) };
        store.crash(cut);
        for receipt in unknown {
            assert!(within(receipt.durable()).await.is_err());
            assert!(within(receipt.applied()).await.is_err());
        }
        assert!(within(sink.flush()).await.is_err(), "a log that died is noticed, not waited for");
    }
    let sink = open(&store, &target, settings()).await.unwrap();
    within(sink.close(LONG)).await.unwrap();
    ids(&target, "a").into_iter().for_each(|id| history.applied(&lane("a", 0), id));
    println!("{}", history.check().unwrap());
}

#[tokio::test]
async fn a_write_for_several_lanes_is_durable_as_a_whole() {
    for seed in 0..20 {
        let (store, target) = (VecStore::new(), target(&["a"]));
        let sink = open(&store, &target, patient()).await.unwrap();
        let stream = sink.stream(spec("a", 3)).await.unwrap();
        store.hold_syncs();
        let blocks = (0..3).map(|lane| (lane, block(&stream, [i64::from(lane)]))).collect();
        let _receipt = sink.write(&stream, Rows::from_blocks(blocks).at("3").unwrap()).await.unwrap();
        store.crash(Crash::Power(Cut::Subset { seed }));
        drop(sink);
        let sink = open(&store, &target, settings()).await.unwrap();
        within(sink.close(LONG)).await.unwrap();
        let found = ids(&target, "a").len();
        assert!(found == 0 || found == 3, "seed {seed}: {found} of 3 rows");
    }
}

#[tokio::test]
async fn receipts_tell_their_stages_and_outlive_the_sink() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    let sink = open(&store, &target, patient()).await.unwrap();
    let stream = sink.stream(spec("a", 1)).await.unwrap();
    let receipt = sink.write(&stream, stream.rows(&rows(0..3)).unwrap()).await.unwrap();
    within(receipt.durable()).await.unwrap();
    within(receipt.durable()).await.unwrap();
    assert!(ids(&target, "a").is_empty(), "nothing is due");
    within(sink.flush()).await.unwrap();
    within(receipt.applied()).await.unwrap();
    let late = sink.write(&stream, stream.rows(&rows(3..5)).unwrap()).await.unwrap();
    drop(sink);
    within(late.durable()).await.unwrap();
    assert_eq!(within(late.applied()).await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn close_says_what_is_left_when_the_target_is_down() {
    let (store, target) = (VecStore::new(), target(&["a", "b"]));
    let sink = open(&store, &target, settings()).await.unwrap();
    let stream = sink.stream(spec("a", 2)).await.unwrap();
    acknowledge(&sink, &stream, [1]).await.unwrap();
    within(sink.flush()).await.unwrap();
    let file = sink.source(spec("b", 1), standpipe_core::SourceId::new("f").unwrap(), window(0), false).await;
    let file = file.unwrap().unwrap();
    target.down();
    for id in 2..7 {
        acknowledge(&sink, &stream, [id]).await.unwrap();
    }
    within(sink.write_at(&file, 0..9, in_lane(&file, 0, 0..9))).await.unwrap();
    let closed = within(sink.close(Duration::from_millis(30))).await.unwrap();
    assert_eq!((closed.left_in_log, closed.not_applied_rows), (5, 9));
    target.up();
    let sink = open(&store, &target, settings()).await.unwrap();
    assert_eq!(within(sink.close(LONG)).await.unwrap().left_in_log, 0);
    assert_eq!(ids(&target, "a"), (1..7).collect::<Vec<_>>());
}

#[tokio::test]
async fn truncation_happens_and_an_idle_lane_is_no_gap() {
    let (store, target) = (VecStore::new(), target(&["a", "b"]));
    for life in 0..3_i64 {
        let sink = open(&store, &target, settings()).await.unwrap();
        let (a, b) = (sink.stream(spec("a", 2)).await.unwrap(), sink.stream(spec("b", 1)).await.unwrap());
        if life == 0 {
            within(sink.write(&a, in_lane(&a, 1, [-1]))).await.unwrap().applied().await.unwrap();
        }
        for id in life * 10..life * 10 + 10 {
            acknowledge(&sink, &b, [id]).await.unwrap();
        }
        within(sink.checkpoint()).await.unwrap();
        assert!(
            store.used_bytes() < 600,
            "life {life}: {} bytes are left, pins included",
            store.used_bytes()
        );
        within(sink.close(LONG)).await.unwrap();
    }
    assert_eq!((ids(&target, "a"), ids(&target, "b").len()), (vec![-1], 30));
}

#[tokio::test]
async fn a_restored_or_new_database_behind_a_truncated_log_is_a_gap_by_name() {
    let (store, one) = (VecStore::new(), target(&["a", "b"]));
    let sink = open(&store, &one, settings()).await.unwrap();
    let (a, b) = (sink.stream(spec("a", 2)).await.unwrap(), sink.stream(spec("b", 1)).await.unwrap());
    within(sink.write(&a, in_lane(&a, 1, [1]))).await.unwrap().applied().await.unwrap();
    acknowledge(&sink, &b, [1]).await.unwrap();
    within(sink.checkpoint()).await.unwrap();
    let early = one.snapshot();
    // Lane 1 of `a` had a floor while it was idle; it moves on, and nothing may hide that later.
    within(sink.write(&a, in_lane(&a, 1, [2]))).await.unwrap().applied().await.unwrap();
    within(sink.write(&a, in_lane(&a, 1, [3]))).await.unwrap().applied().await.unwrap();
    within(sink.checkpoint()).await.unwrap();
    within(sink.close(LONG)).await.unwrap();
    let late = one.snapshot();
    one.restore(&early);
    assert_gap(open(&store, &one, settings()).await.map(drop));
    assert_gap(open(&store, &target(&["a", "b"]), settings()).await.map(drop));
    one.restore(&late);
    within(open(&store, &one, settings()).await.unwrap().close(LONG)).await.unwrap();
    assert_eq!((ids(&one, "a"), ids(&one, "b")), (vec![1, 2, 3], vec![1]));
}

#[tokio::test]
async fn a_log_that_retains_brings_a_restored_database_up_again() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    let retaining = |log_retain_bytes| standpipe_sink::Settings { log_retain_bytes, ..settings() };
    let sink = open(&store, &target, retaining(1 << 20)).await.unwrap();
    let a = sink.stream(spec("a", 1)).await.unwrap();
    acknowledge(&sink, &a, [1]).await.unwrap();
    within(sink.checkpoint()).await.unwrap();
    let early = target.snapshot();
    acknowledge(&sink, &a, [2]).await.unwrap();
    within(sink.checkpoint()).await.unwrap();
    within(sink.close(LONG)).await.unwrap();
    target.restore(&early);
    let sink = open(&store, &target, retaining(1 << 20)).await.unwrap();
    within(sink.close(LONG)).await.unwrap();
    assert_eq!(ids(&target, "a"), [1, 2]);
    // What is behind as many bytes as are retained goes all the same.
    let sink = open(&store, &target, retaining(64)).await.unwrap();
    let a = sink.stream(spec("a", 1)).await.unwrap();
    for id in 3..40 {
        within(sink.write(&a, in_lane(&a, 0, [id]))).await.unwrap().applied().await.unwrap();
        within(sink.checkpoint()).await.unwrap();
    }
    within(sink.close(LONG)).await.unwrap();
    target.restore(&early);
    assert_gap(open(&store, &target, settings()).await.map(drop));
}

fn assert_gap(opened: Result<(), SinkError>) {
    match opened {
        Err(SinkError::Target(error)) if matches!(*error, Error::Gap { .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stream_that_was_claimed_and_not_yet_remembered_is_no_gap_later() {
    let (store, target) = (VecStore::new(), target(&["a", "b"]));
    let sink = open(&store, &target, settings()).await.unwrap();
    let b = sink.stream(spec("b", 1)).await.unwrap();
    acknowledge(&sink, &b, [1]).await.unwrap();
    // The claim happens and its reply is lost: the ledger knows the stream, with 2 lanes, and the log does not.
    let lost = standpipe_testkit::target::Fault::FailAfter(ErrorKind::Retry);
    target.fail_nth(standpipe_testkit::target::CallKind::Claim, 1, lost);
    assert!(sink.stream(spec("a", 2)).await.is_err());
    acknowledge(&sink, &b, [2]).await.unwrap();
    within(sink.checkpoint()).await.unwrap();
    drop(sink);
    for id in 0..2 {
        let sink = open(&store, &target, settings()).await.unwrap();
        let unsaid = standpipe_sink::StreamSpec { lanes: None, ..spec("a", 1) };
        let a = sink.stream(unsaid).await.unwrap();
        assert_eq!(a.lanes(), 2);
        within(sink.write(&a, in_lane(&a, 1, [id]))).await.unwrap().applied().await.unwrap();
        within(sink.close(LONG)).await.unwrap();
    }
    assert_eq!(ids(&target, "a"), [0, 1]);
}

#[tokio::test]
async fn another_log_and_other_lanes_are_refused_by_name() {
    let (store, target) = (VecStore::new(), target(&["a", "b"]));
    let sink = open(&store, &target, settings()).await.unwrap();
    sink.stream(spec("a", 2)).await.unwrap();
    let lanes = sink.stream(spec("a", 3)).await.unwrap_err();
    assert!(
        matches!(&lanes, SinkError::Target(e) if matches!(**e, Error::Lanes { ledger: 2, asked: 3, .. })),
        "{lanes}"
    );
    let mut elsewhere = spec("a", 2);
    elsewhere.destination = spec("b", 2).destination;
    assert!(matches!(sink.stream(elsewhere).await, Err(SinkError::Invalid(_))));
    within(sink.close(LONG)).await.unwrap();
    let sink = open(&VecStore::new(), &target, settings()).await.unwrap();
    let foreign = sink.stream(spec("a", 2)).await.unwrap_err();
    assert!(
        matches!(&foreign, SinkError::Target(e) if matches!(**e, Error::WrongSource { .. })),
        "{foreign}"
    );
    // What was refused is not remembered: the next life opens.
    sink.stream(spec("b", 1)).await.unwrap();
    within(sink.close(LONG)).await.unwrap();
}

#[tokio::test]
async fn a_stream_of_another_sink_is_refused() {
    let (one, two) = (target(&["a"]), target(&["b"]));
    let (first, second) = (
        open(&VecStore::new(), &one, settings()).await.unwrap(),
        open(&VecStore::new(), &two, settings()).await.unwrap(),
    );
    let a = first.stream(spec("a", 1)).await.unwrap();
    second.stream(spec("b", 1)).await.unwrap();
    assert!(matches!(second.write(&a, a.rows(&rows(0..1)).unwrap()).await, Err(SinkError::Invalid(_))));
}

fn window(start: u64) -> standpipe_core::Window {
    standpipe_core::Window { start, ..standpipe_core::Window::everything() }
}
