//! Whatever call fails, before or after its effect: the end state is right, or the next life makes it right.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{future::Future, task::Poll, time::Duration};

use common::*;
use standpipe_core::ErrorKind;
use standpipe_sink::{Settings, Sink, SinkError};
use standpipe_testkit::{
    Crash, Fault as DiskFault, MemStorage, SimTarget, VecLog, VecStore,
    target::{CallKind, Fault, Gate, Mistake},
};
use standpipe_wal::Wal;

const LONG: Duration = Duration::from_secs(20);

/// A run of two streams with three lanes and several commits, in two lives. Every row is acknowledged.
async fn script(store: &VecStore, target: &SimTarget, settings: &Settings) -> Result<(), SinkError> {
    for life in 0..2_i64 {
        let sink = reopen(store, target, settings).await?;
        let outcome = write_some(&sink, life).await;
        let closed = within(sink.close(LONG)).await;
        outcome?;
        closed?;
    }
    Ok(())
}

async fn write_some(sink: &Sink<VecLog>, life: i64) -> Result<(), SinkError> {
    let a = retried(async || sink.stream(spec("a", 2)).await).await?;
    let b = retried(async || sink.stream(spec("b", 1)).await).await?;
    for step in 0..3 {
        let id = life * 10 + step;
        within(sink.write(&a, in_lane(&a, (step % 2) as u32, [id]))).await?.durable().await?;
        within(sink.write(&b, in_lane(&b, 0, [id]))).await?.durable().await?;
        within(sink.flush()).await?;
    }
    Ok(())
}

/// As a caller would: what may succeed later is tried again.
async fn retried<T>(mut call: impl AsyncFnMut() -> Result<T, SinkError>) -> Result<T, SinkError> {
    for _ in 0..3 {
        match call().await {
            Err(error) if matches!(error.kind(), ErrorKind::Retry | ErrorKind::InDoubt) => {}
            other => return other,
        }
    }
    call().await
}

async fn reopen(
    store: &VecStore,
    target: &SimTarget,
    settings: &Settings,
) -> Result<Sink<VecLog>, SinkError> {
    retried(async || open(store, target, settings.clone()).await).await
}

fn expected() -> Vec<i64> {
    (0..2).flat_map(|life| (0..3).map(move |step| life * 10 + step)).collect()
}

#[tokio::test]
async fn every_call_of_the_target_fails_once() {
    let planned = || Settings { flush_after: Duration::from_secs(3600), ..settings() };
    let (store, whole) = (VecStore::new(), target(&["a", "b"]));
    script(&store, &whole, &planned()).await.unwrap();
    let calls = whole.calls();
    let faults = [
        Fault::Fail(ErrorKind::Retry),
        Fault::FailAfter(ErrorKind::Retry),
        Fault::in_doubt(true),
        Fault::in_doubt(false),
        Fault::Panic,
    ];
    let mut tried = 0;
    for call in 1..=calls {
        let kind = whole.trace()[call as usize - 1].kind;
        for fault in &faults {
            // A lost reply to `commit` is in doubt, never "nothing happened": that would be the target's own mistake.
            let is_lie = kind == CallKind::Commit && matches!(fault, Fault::FailAfter(ErrorKind::Retry));
            // A panic in a call that the sink's caller makes is the caller's.
            let is_callers = kind == CallKind::Claim && matches!(fault, Fault::Panic);
            if is_lie || is_callers {
                continue;
            }
            let (store, target) = (VecStore::new(), target(&["a", "b"]));
            target.fail_call(call, fault.clone());
            let what = format!("call {call} ({kind:?}) {fault:?}");
            let ended = script(&store, &target, &planned()).await;
            let is_whole = check_once(&target, &what);
            if matches!(fault, Fault::Panic) {
                let error = ended.expect_err(&what);
                assert!(error.to_string().contains("panic"), "{what}: {error}");
            } else {
                ended.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(is_whole, "{what}: {:?} {:?}", ids(&target, "a"), ids(&target, "b"));
            }
            // Whatever happened: the next life finds nothing lost and nothing to be done twice.
            within(reopen(&store, &target, &planned()).await.unwrap().close(LONG)).await.unwrap();
            let ledger = target.ledger_rows();
            check_once(&target, &what);
            assert_eq!(ledger.len(), 3, "{what}");
            tried += 1;
        }
    }
    println!("{calls} calls, {tried} faults tried");
}

/// Each once, in order; whether all are there.
fn check_once(target: &SimTarget, what: &str) -> bool {
    ["a", "b"].iter().all(|name| {
        let found = ids(target, name);
        let distinct: std::collections::BTreeSet<_> = found.iter().collect();
        assert_eq!(distinct.len(), found.len(), "{what}: {name} {found:?}");
        sorted(found) == expected()
    })
}

#[tokio::test]
async fn a_commit_that_the_server_makes_later_is_waited_for() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    target.fail_nth(CallKind::Commit, 1, Fault::Late);
    let sink = open(&store, &target, settings()).await.unwrap();
    let stream = sink.stream(spec("a", 1)).await.unwrap();
    let receipt = within(sink.write(&stream, stream.rows(&rows(0..3)).unwrap())).await.unwrap();
    let seen = target.clone();
    until("the ledger is asked", || seen.trace().iter().any(|call| call.kind == CallKind::Resolve)).await;
    assert!(ids(&target, "a").is_empty());
    assert_eq!(target.finish_late_commits(), 1);
    within(receipt.applied()).await.unwrap();
    within(sink.close(LONG)).await.unwrap();
    assert_eq!(ids(&target, "a"), [0, 1, 2]);
}

#[tokio::test]
async fn a_zombie_is_fenced_and_never_writes_or_claims_again() {
    for kind in [CallKind::Write, CallKind::Advance, CallKind::Commit] {
        let (store, target) = (VecStore::new(), target(&["a"]));
        let paused = Gate::new();
        let zombie = open(&store, &target, settings()).await.unwrap();
        let stream = zombie.stream(spec("a", 1)).await.unwrap();
        target.fail_nth(kind, 1, Fault::Hang(paused.clone()));
        let receipt = within(zombie.write(&stream, stream.rows(&rows(0..3)).unwrap())).await.unwrap();
        within(receipt.durable()).await.unwrap();
        within(paused.reached()).await;
        // The log changes hands under the zombie, as a lock that expired would.
        store.crash(Crash::Kill);
        let successor = tokio::spawn({
            let (store, target) = (store.clone(), target.clone());
            async move {
                let sink = open(&store, &target, settings()).await.unwrap();
                within(sink.flush()).await.unwrap();
                sink
            }
        });
        if kind == CallKind::Commit {
            // It holds the ledger's row: the claim waits for it.
            tokio::task::yield_now().await;
            paused.open();
        }
        let successor = within(successor).await.unwrap();
        paused.open();
        let told = within(receipt.applied()).await;
        // It finds out by its commit, or by its log that is gone.
        let again = within(async {
            loop {
                match zombie.stream(spec("a", 1)).await {
                    Ok(_) => tokio::task::yield_now().await,
                    Err(error) => return error,
                }
            }
        });
        let again = again.await;
        assert!(matches!(again.kind(), ErrorKind::Fenced | ErrorKind::Closed), "{again}");
        assert_eq!(target.ledger_rows()[0].epoch, 2, "it was claimed once by each, and never again");
        if kind != CallKind::Commit {
            assert!(told.is_err(), "{kind:?}");
        }
        assert!(within(zombie.close(LONG)).await.is_err());
        within(successor.close(LONG)).await.unwrap();
        assert_eq!(ids(&target, "a"), [0, 1, 2], "{kind:?}");
    }
}

/// Two owners of one stream without a log between them: only the ledger tells them apart.
async fn two_owners(target: &SimTarget) -> Result<(), SinkError> {
    let source = || standpipe_core::SourceId::new("f").unwrap();
    let open = async || Sink::builder().target(target.connect()).settings(settings()).open().await.unwrap();
    let window = standpipe_core::Window::everything;
    let first = open().await;
    let old = first.source(spec("a", 1), source(), window(), true).await?.unwrap();
    let gate = Gate::new();
    target.fail_nth(CallKind::Advance, 1, Fault::Hang(gate.clone()));
    let hung = within(first.write_at(&old, 0..3, in_lane(&old, 0, 0..3))).await?;
    within(gate.reached()).await;
    let second = open().await;
    let new = second.source(spec("a", 1), source(), window(), true).await?.unwrap();
    within(second.write_at(&new, 0..3, in_lane(&new, 0, 0..3))).await?.applied().await?;
    gate.open();
    let told = within(hung.applied()).await;
    let again = first.source(spec("a", 1), source(), window(), true).await;
    assert!(again.is_err(), "whatever became of it, it does not claim again");
    told
}

#[tokio::test]
async fn s6_a_zombie_that_resumes_between_its_rows_and_its_commit_writes_nothing() {
    let target = target(&["a"]);
    let error = two_owners(&target).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    assert_eq!(ids(&target, "a"), [0, 1, 2]);
}

#[tokio::test]
async fn k12_the_zombie_test_finds_an_unconditional_ledger_update() {
    let target = target(&["a"]);
    target.plant(Mistake::UnconditionalAdvance);
    let _ = two_owners(&target).await;
    assert_eq!(
        sorted(ids(&target, "a")),
        [0, 0, 1, 1, 2, 2],
        "the mistake doubles, and this test would see it"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_fails_in_a_group_stops_its_stream_only() {
    let (store, target) = (VecStore::new(), target(&["b", "c"]));
    let sink = open(&store, &target, Settings { workers: 2, ..patient() }).await.unwrap();
    let mut receipts = Vec::new();
    for name in ["a", "b", "c"] {
        // There is no table `a`.
        let stream = sink.stream(spec(name, 1)).await.unwrap();
        for id in 0..5 {
            receipts
                .push((name, within(sink.write(&stream, stream.rows(&[row(id)]).unwrap())).await.unwrap()));
        }
    }
    let flushed = within(sink.flush()).await.unwrap_err();
    assert!(matches!(&flushed, SinkError::Stream { stream, .. } if stream.as_str() == "a"), "{flushed}");
    for (name, receipt) in receipts {
        within(receipt.durable()).await.unwrap();
        assert_eq!(within(receipt.applied()).await.is_ok(), name != "a");
    }
    let late = sink.stream(spec("b", 1)).await.unwrap();
    within(sink.write(&late, late.rows(&[row(5)]).unwrap())).await.unwrap();
    assert!(within(sink.close(LONG)).await.is_err(), "a stream stopped, and close says so");
    assert_eq!((ids(&target, "b").len(), ids(&target, "c").len()), (6, 5));
    // Its rows are in the log: with the table there, the next life applies them.
    target.create_table(&table("a"), &schema(), &[]).unwrap();
    within(open(&store, &target, settings()).await.unwrap().close(LONG)).await.unwrap();
    assert_eq!(ids(&target, "a"), [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_batch_that_was_given_up_nothing_is_applied() {
    for round in 0..30 {
        let (store, target) = (VecStore::new(), target(&["a"]));
        let one_row = Settings { workers: 4, batch_rows_max: 1, ..settings() };
        target.fail_nth(CallKind::Write, 3, Fault::Fail(ErrorKind::Invalid));
        let sink = open(&store, &target, one_row).await.unwrap();
        let stream = sink.stream(spec("a", 1)).await.unwrap();
        let mut taken = 0;
        for id in 0..40 {
            match within(sink.write(&stream, stream.rows(&[row(id)]).unwrap())).await {
                Ok(_) => taken = id + 1,
                Err(error) => assert!(matches!(error, SinkError::Stream { .. }), "{error}"),
            }
        }
        assert!(within(sink.close(LONG)).await.is_err());
        assert_eq!(ids(&target, "a"), [0, 1], "round {round}");
        within(open(&store, &target, settings()).await.unwrap().close(LONG)).await.unwrap();
        assert_eq!(ids(&target, "a"), (0..taken).collect::<Vec<_>>(), "round {round}");
    }
}

#[tokio::test]
async fn lanes_that_were_committed_together_and_then_partly_taken_over_are_not_applied_again() {
    let (store, target) = (VecStore::new(), target(&["a", "b"]));
    let sink = open(&store, &target, patient()).await.unwrap();
    let (a, b) = (sink.stream(spec("a", 1)).await.unwrap(), sink.stream(spec("b", 1)).await.unwrap());
    acknowledge(&sink, &a, [1]).await.unwrap();
    acknowledge(&sink, &b, [1]).await.unwrap();
    let gate = Gate::new();
    target.fail_nth(CallKind::Commit, 1, Fault::in_doubt(true));
    target.fail_nth(CallKind::Resolve, 1, Fault::Hang(gate.clone()));
    let (flushed, ()) = tokio::join!(within(sink.flush()), async {
        within(gate.reached()).await;
        // Somebody takes `a` over, in between.
        let ledger = target.ledger_rows();
        let request = standpipe_core::ClaimRequest {
            stream: ledger[0].lane.stream.clone(),
            lanes: None,
            source: ledger[0].source.clone(),
            window: standpipe_core::Window::everything(),
            origin: 0,
            reopen: true,
            owner: "another".into(),
        };
        standpipe_core::Target::claim(&target, &request).await.unwrap();
        gate.open();
    });
    flushed.unwrap();
    assert_eq!((ids(&target, "a"), ids(&target, "b")), (vec![1], vec![1]));
    let refused = sink.write(&a, a.rows(&[row(2)]).unwrap()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Fenced, "{refused}");
    acknowledge(&sink, &b, [2]).await.unwrap();
    assert_eq!(within(sink.close(LONG)).await.unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!((ids(&target, "a"), ids(&target, "b")), (vec![1], vec![1, 2]));
}

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
    for call in 1..200 {
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
        acknowledge(&sink, &stream, 0..60).await.unwrap();
        disk.fail_call(disk.calls() + call, DiskFault::ENOSPC);
        let mut outcome = Ok(());
        for first in (60..ROWS).step_by(60) {
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

#[tokio::test]
async fn a_panicking_target_stops_the_sink_with_its_message() {
    for kind in [CallKind::Begin, CallKind::Write, CallKind::Advance, CallKind::Commit] {
        let (store, target) = (VecStore::new(), target(&["a"]));
        target.fail_nth(kind, 1, Fault::Panic);
        let sink = open(&store, &target, Settings { workers: 3, ..settings() }).await.unwrap();
        let stream = sink.stream(spec("a", 1)).await.unwrap();
        let receipt = within(sink.write(&stream, stream.rows(&rows(0..3)).unwrap())).await.unwrap();
        within(receipt.durable()).await.unwrap();
        assert!(within(receipt.applied()).await.is_err());
        let closed = within(sink.close(LONG)).await.unwrap_err();
        assert!(matches!(closed, SinkError::Panicked { .. }), "{kind:?}: {closed}");
        within(open(&store, &target, settings()).await.unwrap().close(LONG)).await.unwrap();
        assert_eq!(ids(&target, "a"), [0, 1, 2], "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panicking_observer_stops_the_sink_and_doubles_nothing() {
    struct Panics(bool);
    impl standpipe_sink::Events for Panics {
        fn applied(&self, _: &standpipe_sink::Applied<'_>) {
            assert!(!self.0, "the observer broke");
        }
        fn acknowledged(&self, _: u64, _: Duration) {
            assert!(self.0, "the other observer broke");
        }
    }
    for in_worker in [true, false] {
        let (store, target) = (VecStore::new(), target(&["a"]));
        let log = vec_log(&store).await;
        let several = Settings { workers: 3, batch_rows_max: 1, ..settings() };
        let builder = Sink::builder().target(target.connect()).log(log).settings(several);
        let sink = builder.events(std::sync::Arc::new(Panics(in_worker))).open().await.unwrap();
        let stream = sink.stream(spec("a", 2)).await.unwrap();
        let blocks = (0..2).map(|lane| (lane, block(&stream, [i64::from(lane)]))).collect();
        let receipt = within(sink.write(&stream, standpipe_sink::Rows::from_blocks(blocks))).await.unwrap();
        within(receipt.durable()).await.unwrap();
        let closed = within(sink.close(LONG)).await.unwrap_err();
        assert!(
            matches!(&closed, SinkError::Panicked { message, .. } if message.contains("broke")),
            "{closed}"
        );
        within(open(&store, &target, settings()).await.unwrap().close(LONG)).await.unwrap();
        assert_eq!(sorted(ids(&target, "a")), [0, 1]);
    }
}

#[tokio::test]
async fn writes_cancelled_at_every_poll_lose_and_double_nothing() {
    let (store, target) = (VecStore::new(), target(&["a", "b"]));
    let tight = Settings { memory_bytes: 64 << 10, block_bytes: 2 << 10, ..settings() };
    let sink = open(&store, &target, tight).await.unwrap();
    let a = sink.stream(spec("a", 1)).await.unwrap();
    let source = standpipe_core::SourceId::new("f").unwrap();
    let window = standpipe_core::Window::everything();
    let b = sink.source(spec("b", 2), source, window, true).await.unwrap().unwrap();
    let (mut next, mut at, mut cancelled, mut acknowledged) = (0_i64, 0_u64, 0, Vec::new());
    for round in 0..120_u32 {
        let polls = round % 6;
        let range = next..next + 700;
        next = range.end;
        let write = sink.write(&a, a.rows(&rows(range.clone())).unwrap());
        match polled(write, polls).await {
            Some(receipt) => acknowledged.push((range, receipt.unwrap())),
            None => cancelled += 1,
        }
        // The same call again goes on where the one that was cancelled stopped.
        let ids = at as i64..at as i64 + 300;
        let given = || {
            let blocks =
                (0..2).map(|lane| (lane, block(&b, ids.clone().filter(move |id| id % 2 == i64::from(lane)))));
            standpipe_sink::Rows::from_blocks(blocks.collect())
        };
        if polled(sink.write_at(&b, at..at + 300, given()), polls).await.is_none() {
            cancelled += 1;
            within(sink.write_at(&b, at..at + 300, given())).await.unwrap();
        }
        at += 300;
    }
    assert!(cancelled > 10, "{cancelled}");
    for (_, receipt) in &acknowledged {
        within(receipt.applied()).await.unwrap();
    }
    within(sink.close(LONG)).await.unwrap();
    let found = ids(&target, "a");
    assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "in order, each once");
    for (range, _) in &acknowledged {
        assert!(range.clone().all(|id| found.binary_search(&id).is_ok()), "{range:?}");
    }
    assert_eq!(sorted(ids(&target, "b")), (0..at as i64).collect::<Vec<_>>());
    println!("{cancelled} calls cancelled, {} rows", found.len());
}

/// Polls so many times, and drops the future if it is not ready then.
async fn polled<T>(future: impl Future<Output = T>, polls: u32) -> Option<T> {
    let mut future = std::pin::pin!(future);
    for _ in 0..=polls {
        let once = std::future::poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Poll::Ready(None),
        });
        if let Some(output) = once.await {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}
