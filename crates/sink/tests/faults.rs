//! Whatever call fails, before or after its effect: the end state is right, or the next life makes it right.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{future::Future, task::Poll, time::Duration};

use common::*;
use standpipe_core::ErrorKind;
use standpipe_sink::{Settings, Sink, SinkError};
use standpipe_testkit::{
    SimTarget, VecLog, VecStore,
    target::{CallKind, Fault},
};

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
