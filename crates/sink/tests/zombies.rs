//! Writers that were taken over, and lanes that fail while others go on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use common::*;
use standpipe_core::ErrorKind;
use standpipe_sink::{Settings, Sink, SinkError};
use standpipe_testkit::{
    Crash, SimTarget, VecStore,
    target::{CallKind, Fault, Gate, Mistake},
};

const LONG: Duration = Duration::from_secs(20);

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
