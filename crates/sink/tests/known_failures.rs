//! What went wrong in systems that do part of this job, by its number in `docs/known-failures.md`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::*;
use standpipe_core::{ErrorKind, SourceId, Window};
use standpipe_sink::{Applied, Events, Settings, Sink};
use standpipe_testkit::{
    Crash, Cut, LogMistake, VecStore,
    target::{CallKind, Fault, Gate, Mistake, SimTarget},
};

const LONG: Duration = Duration::from_secs(20);

fn tight() -> Settings {
    Settings { memory_bytes: 64 << 10, ..patient() }
}

#[tokio::test(start_paused = true)]
async fn k2_a_steady_trickle_is_applied_within_the_interval() {
    let target = target(&["a"]);
    let interval = Duration::from_secs(1);
    let sink =
        Sink::builder().target(target.connect()).settings(Settings { flush_after: interval, ..patient() });
    let sink = sink.open().await.unwrap();
    let source = SourceId::new("f").unwrap();
    let stream = sink.source(spec("a", 1), source, Window::everything(), true).await.unwrap().unwrap();
    for n in 0..20_u64 {
        sink.write_at(&stream, n..n + 1, in_lane(&stream, 0, [n as i64])).await.unwrap();
        tokio::time::sleep(interval / 2).await;
        // The row before the last one is an interval old now, to within a tick of the clock.
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(ids(&target, "a").len() as u64 + 1 >= n, "{} of {n} rows", ids(&target, "a").len());
    }
    assert!(target.commits().len() > 5);
}

#[tokio::test]
async fn k5_after_a_replay_that_failed_new_rows_are_logged() {
    let (store, target) = (VecStore::new(), target(&["a", "b"]));
    let sink = open(&store, &target, patient()).await.unwrap();
    let (a, b) = (sink.stream(spec("a", 1)).await.unwrap(), sink.stream(spec("b", 1)).await.unwrap());
    acknowledge(&sink, &a, 0..3).await.unwrap();
    drop((a, b, sink));
    // The replay of `a` fails for good; rows of `b` are written in the same life.
    target.fail_nth(CallKind::Write, 1, Fault::Fail(ErrorKind::Invalid));
    let sink = open(&store, &target, settings()).await.unwrap();
    assert!(within(sink.flush()).await.is_err());
    target.down();
    let b = sink.stream(spec("b", 1)).await.unwrap();
    acknowledge(&sink, &b, 0..3).await.unwrap();
    store.crash(Crash::Power(Cut::LoseUnsynced));
    drop(sink);
    target.up();
    within(open(&store, &target, settings()).await.unwrap().close(LONG)).await.unwrap();
    assert_eq!((ids(&target, "a"), ids(&target, "b")), (vec![0, 1, 2], vec![0, 1, 2]));
}

#[tokio::test]
async fn k7_a_replay_that_crashes_half_way_and_is_repeated_doubles_nothing() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    let sink = open(&store, &target, patient()).await.unwrap();
    let stream = sink.stream(spec("a", 2)).await.unwrap();
    for n in 0..40 {
        within(sink.write(&stream, in_lane(&stream, (n % 2) as u32, [n])))
            .await
            .unwrap()
            .durable()
            .await
            .unwrap();
    }
    drop(sink);
    let mut replays = 0;
    while ids(&target, "a").len() < 40 {
        let gate = Gate::new();
        target.fail_nth(CallKind::Commit, 3, Fault::HangAfter(gate.clone()));
        let sink = open(&store, &target, Settings { batch_rows_max: 2, ..settings() }).await.unwrap();
        tokio::select! {
            () = gate.reached() => {}
            flushed = within(sink.flush()) => flushed.unwrap(),
        }
        store.crash(Crash::Kill);
        drop(sink);
        target.clear_faults();
        gate.open();
        replays += 1;
    }
    assert!(replays > 3, "{replays}");
    assert_eq!(sorted(ids(&target, "a")), (0..40).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k8_a_full_budget_is_relieved_at_once_whatever_the_interval() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    let sink = open(&store, &target, patient()).await.unwrap();
    let stream = sink.stream(spec("a", 64)).await.unwrap();
    for n in 0..2000_i64 {
        within(sink.write(&stream, in_lane(&stream, (n % 64) as u32, n * 10..n * 10 + 10))).await.unwrap();
    }
    drop((stream, sink));
    // An hour's interval, lanes so many that none of them makes a batch by itself, and no writer who waits.
    let sink = open(&store, &target, tight()).await.unwrap();
    until("rows are applied although nothing is due", || ids(&target, "a").len() > 15_000).await;
    within(sink.close(LONG)).await.unwrap();
    assert_eq!(sorted(ids(&target, "a")), (0..20_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn k9_rows_stay_until_their_position_has_moved() {
    for (planted, expected) in [(false, vec![0, 1, 2]), (true, vec![0, 0, 1, 1, 2, 2])] {
        let (store, target) = (VecStore::new(), target(&["a"]));
        if planted {
            target.plant(Mistake::CommitWithoutLedger);
        } else {
            target.fail_nth(CallKind::Advance, 1, Fault::Fail(ErrorKind::Retry));
        }
        let sink = open(&store, &target, settings()).await.unwrap();
        let stream = sink.stream(spec("a", 1)).await.unwrap();
        let receipt = within(sink.write(&stream, stream.rows(&rows(0..3)).unwrap())).await.unwrap();
        within(receipt.applied()).await.unwrap();
        until("the memory comes back after the commit", || sink.memory_in_use_bytes() == 0).await;
        drop(sink);
        within(open(&store, &target, settings()).await.unwrap().close(LONG)).await.unwrap();
        assert_eq!(sorted(ids(&target, "a")), expected, "planted {planted}");
    }
}

#[tokio::test]
async fn k10_a_tenant_with_an_empty_name_is_one_like_any_other() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    let sink = open(&store, &target, settings()).await.unwrap();
    let stream = sink.stream(spec("a", 4)).await.unwrap();
    let tenants = ["", "acme", "", "umbrella", ""];
    for (n, tenant) in (0..).zip(tenants) {
        let rows = stream.rows(&rows(n * 10..n * 10 + 10)).unwrap().keyed(&stream, tenant.as_bytes());
        within(sink.write(&stream, rows)).await.unwrap().applied().await.unwrap();
    }
    within(sink.close(LONG)).await.unwrap();
    assert_eq!(sorted(ids(&target, "a")), (0..50).collect::<Vec<_>>());
    let of_empty: Vec<u32> = target.rows(&table("a")).iter().take(10).map(|row| row.lane.lane).collect();
    assert_eq!(of_empty, [stream.lane_of(b""); 10]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k11_a_slow_observer_is_waited_for_and_never_runs_twice_at_once() {
    #[derive(Default)]
    struct Slow {
        running: AtomicUsize,
        most: AtomicUsize,
        rows: AtomicUsize,
    }
    impl Events for Slow {
        fn applied(&self, applied: &Applied<'_>) {
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(running, Ordering::SeqCst);
            // A slow observer, not a wait for something.
            std::thread::sleep(Duration::from_millis(3));
            self.rows.fetch_add(applied.rows as usize, Ordering::SeqCst);
            self.running.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let (store, target, slow) = (VecStore::new(), target(&["a"]), Arc::new(Slow::default()));
    let builder = Sink::builder().target(target.connect()).log(vec_log(&store).await).events(slow.clone());
    let sink = builder.settings(Settings { batch_rows_max: 1, ..settings() }).open().await.unwrap();
    let stream = sink.stream(spec("a", 2)).await.unwrap();
    for n in 0..20 {
        within(sink.write(&stream, in_lane(&stream, (n % 2) as u32, [n]))).await.unwrap();
    }
    within(sink.close(LONG)).await.unwrap();
    assert_eq!(slow.rows.load(Ordering::SeqCst), 20, "close waits for what observers are told");
    assert_eq!(slow.most.load(Ordering::SeqCst), 1, "never more than there are workers");
}

#[tokio::test]
async fn s8_a_commit_whose_reply_was_lost_is_not_reported_as_done_before_it_is() {
    for committed in [true, false] {
        let (store, target) = (VecStore::new(), target(&["a"]));
        target.fail_nth(CallKind::Commit, 1, Fault::in_doubt(committed));
        target.fail_nth(CallKind::Resolve, 1, Fault::Fail(ErrorKind::Retry));
        let sink = open(&store, &target, settings()).await.unwrap();
        let stream = sink.stream(spec("a", 1)).await.unwrap();
        let receipt = within(sink.write(&stream, stream.rows(&rows(0..3)).unwrap())).await.unwrap();
        within(receipt.applied()).await.unwrap();
        assert_eq!(ids(&target, "a"), [0, 1, 2], "applied says what is so, committed {committed}");
        within(sink.close(LONG)).await.unwrap();
    }
}

#[tokio::test]
async fn s8_a_target_that_swallows_commit_errors_is_found() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    target.plant(Mistake::SwallowCommitError);
    target.fail_nth(CallKind::Commit, 1, Fault::in_doubt(false));
    let sink = open(&store, &target, settings()).await.unwrap();
    let stream = sink.stream(spec("a", 1)).await.unwrap();
    let receipt = within(sink.write(&stream, stream.rows(&rows(0..3)).unwrap())).await.unwrap();
    within(receipt.applied()).await.unwrap();
    assert!(ids(&target, "a").is_empty(), "the test above would have seen it");
    // The position did not move either, so the next commit is refused and not built on sand.
    let next = within(sink.write(&stream, stream.rows(&rows(3..4)).unwrap())).await.unwrap();
    assert_eq!(within(next.applied()).await.unwrap_err().kind(), ErrorKind::Fenced);
    assert!(within(sink.close(LONG)).await.is_err());
    within(open(&store, &target, settings()).await.unwrap().close(LONG)).await.unwrap();
    assert_eq!(ids(&target, "a"), [0, 1, 2, 3], "nothing is lost: the log has it");
}

/// Whether acknowledged rows survive a power cut.
async fn survives(mistake: Option<LogMistake>) -> bool {
    let (store, target): (VecStore, SimTarget) = (VecStore::new(), target(&["a"]));
    let sink = open(&store, &target, patient()).await.unwrap();
    let stream = sink.stream(spec("a", 1)).await.unwrap();
    if let Some(mistake) = mistake {
        store.plant(mistake);
    }
    store.hold_syncs();
    let receipt = within(sink.write(&stream, stream.rows(&rows(0..3)).unwrap())).await.unwrap();
    let told = tokio::time::timeout(Duration::from_millis(30), receipt.durable()).await;
    let is_acknowledged = matches!(told, Ok(Ok(())));
    store.crash(Crash::Power(Cut::LoseUnsynced));
    drop(sink);
    within(open(&store, &target, settings()).await.unwrap().close(LONG)).await.unwrap();
    !is_acknowledged || ids(&target, "a").len() == 3
}

#[tokio::test]
async fn a_log_that_acknowledges_early_is_found() {
    assert!(survives(None).await);
    assert!(!survives(Some(LogMistake::AcknowledgesEarly)).await);
}
