//! Sources that can be read again by themselves: their own positions, ranges, ends, and refusals.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use common::*;
use standpipe_core::{Error, ErrorKind, SourceId, Window};
use standpipe_sink::{NoLog, Rows, Settings, Sink, SinkError, Stream};
use standpipe_testkit::{
    SimTarget,
    target::{CallKind, Fault, Gate},
};

const LONG: Duration = Duration::from_secs(20);

async fn unlogged(target: &SimTarget, settings: Settings) -> Sink<NoLog> {
    Sink::builder().target(target.connect()).settings(settings).open().await.unwrap()
}

fn file(text: &str) -> SourceId {
    SourceId::new(text).unwrap()
}

fn to(end: u64) -> Window {
    Window { start: 0, end, floors: Vec::new() }
}

/// Row `n` belongs to lane `n % lanes`, and is `n..n + 1` of its source.
async fn give(sink: &Sink<NoLog>, stream: &Stream, from: u64, until: u64) -> Result<(), SinkError> {
    for n in from..until {
        let lane = (n % u64::from(stream.lanes())) as u32;
        let rows = in_lane(stream, lane, [n as i64]).at(format!("row {n}")).unwrap();
        within(sink.write_at(stream, n..n + 1, rows)).await?;
    }
    Ok(())
}

fn lowest(stream: &Stream) -> u64 {
    stream.positions().iter().map(|(position, _)| *position).min().unwrap()
}

#[tokio::test]
async fn lanes_at_different_positions_go_on_where_each_was() {
    let target = target(&["a"]);
    let alone = Settings { lanes_per_commit: 1, batch_rows_max: 1, ..settings() };
    let mut lives = 0;
    loop {
        let sink = unlogged(&target, alone.clone()).await;
        let Some(stream) = sink.source(spec("a", 3), file("f"), to(60), false).await.unwrap() else { break };
        lives += 1;
        // Each life is dropped after a few commits: the lanes are left wherever they were.
        let gate = Gate::new();
        target.fail_nth(CallKind::Commit, 7, Fault::Hang(gate.clone()));
        let from = lowest(&stream);
        give(&sink, &stream, from, 60).await.unwrap();
        tokio::select! {
            done = sink.finish(&stream, 60, "end") => done.unwrap(),
            () = gate.reached() => {}
        }
        drop(sink);
        target.clear_faults();
        gate.open();
    }
    assert!(lives > 3, "{lives}");
    let found = ids(&target, "a");
    assert_eq!(sorted(found.clone()), (0..60).collect::<Vec<_>>());
    for lane in 0..3 {
        assert!(found.iter().filter(|id| *id % 3 == lane).is_sorted());
    }
    assert!(
        target
            .ledger_rows()
            .iter()
            .all(|row| row.complete && row.position == 60 && row.source_position == "end")
    );
}

#[tokio::test]
async fn a_complete_source_writes_nothing_and_a_grown_one_goes_on() {
    let target = target(&["a"]);
    let sink = unlogged(&target, settings()).await;
    let stream = sink.source(spec("a", 2), file("f"), to(10), false).await.unwrap().unwrap();
    give(&sink, &stream, 0, 10).await.unwrap();
    within(sink.finish(&stream, 10, "ten")).await.unwrap();
    within(sink.close(LONG)).await.unwrap();
    let commits = target.commits().len();

    let sink = unlogged(&target, settings()).await;
    assert!(sink.source(spec("a", 2), file("f"), to(10), false).await.unwrap().is_none());
    within(sink.close(LONG)).await.unwrap();
    assert_eq!((target.commits().len(), target.ledger_rows()[0].epoch), (commits, 1), "nothing was written");

    let sink = unlogged(&target, settings()).await;
    let stream = sink.source(spec("a", 2), file("f"), to(14), true).await.unwrap().unwrap();
    assert_eq!(stream.positions(), [(10, "ten".to_owned()), (10, "ten".to_owned())]);
    give(&sink, &stream, 10, 14).await.unwrap();
    within(sink.finish(&stream, 14, "fourteen")).await.unwrap();
    within(sink.close(LONG)).await.unwrap();
    assert_eq!(sorted(ids(&target, "a")), (0..14).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_a_source_cannot_serve_is_refused_by_name() {
    let target = target(&["a"]);
    let sink = unlogged(&target, settings()).await;
    let stream = sink.source(spec("a", 1), file("f"), to(10), false).await.unwrap().unwrap();
    give(&sink, &stream, 0, 10).await.unwrap();
    let again = sink.source(spec("a", 1), file("f"), to(10), false).await.unwrap_err();
    assert!(matches!(again, SinkError::Stream { .. }), "{again}");
    within(sink.close(LONG)).await.unwrap();
    let sink = unlogged(&target, settings()).await;
    let refused = async |source: &str, window: Window, lanes: u32| match sink
        .source(spec("a", lanes), file(source), window, true)
        .await
    {
        Err(SinkError::Target(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(*refused("f", to(9), 1).await, Error::Ahead { position: 10, end: 9, .. }));
    assert!(matches!(*refused("g", to(10), 1).await, Error::WrongSource { .. }));
    assert!(matches!(*refused("f", to(10), 2).await, Error::Lanes { ledger: 1, asked: 2, .. }));
    let later = Window { start: 11, ..to(20) };
    assert!(matches!(*refused("f", later, 1).await, Error::Gap { from: 10, to: 11, .. }));
    assert_eq!(target.ledger_rows()[0].epoch, 1, "nobody was fenced by it");
}

#[tokio::test]
async fn ranges_are_taken_whole_once_and_in_order() {
    let target = target(&["a"]);
    let sink = unlogged(&target, patient()).await;
    let stream = sink.source(spec("a", 2), file("f"), to(100), false).await.unwrap().unwrap();
    // Several blocks of one lane in one range are one step.
    let blocks = vec![(0, block(&stream, [1])), (1, block(&stream, [2])), (0, block(&stream, [3]))];
    within(sink.write_at(&stream, 0..3, Rows::from_blocks(blocks.clone()))).await.unwrap();
    let again = within(sink.write_at(&stream, 0..3, Rows::from_blocks(blocks))).await.unwrap();
    for (range, rows) in [(2..5, [9]), (7..7, [9])] {
        let refused = sink.write_at(&stream, range, in_lane(&stream, 0, rows)).await;
        assert!(matches!(refused, Err(SinkError::Invalid(_))), "{refused:?}");
    }
    let half = vec![(0, block(&stream, [4])), (7, block(&stream, [5]))];
    assert!(sink.write_at(&stream, 3..4, Rows::from_blocks(half)).await.is_err(), "there is no lane 7");
    within(sink.write_at(&stream, 3..4, in_lane(&stream, 0, [4]))).await.unwrap();
    assert!(matches!(sink.finish(&stream, 2, "").await, Err(SinkError::Invalid(_))));
    let ended = sink.finish(&stream, 4, "end");
    within(ended).await.unwrap();
    within(again.applied()).await.unwrap();
    assert_eq!(sorted(ids(&target, "a")), [1, 2, 3, 4]);
    // The end joined the rows' own commit.
    let commits = target.commits();
    let last = commits.last().unwrap();
    assert!(last.lanes.iter().all(|lane| lane.complete && lane.to == 4), "{last:?}");
    assert_eq!(last.rows.values().sum::<u64>(), 4, "one commit: {commits:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_made_side_by_side_keep_their_order_when_memory_is_short() {
    let target = target(&["a"]);
    let tight = Settings { memory_bytes: 64 << 10, ..settings() };
    let sink = unlogged(&target, tight).await;
    let stream = sink.source(spec("a", 1), file("f"), to(1000), false).await.unwrap().unwrap();
    let calls = (0..60_u64).map(|n| {
        let ids = (0..100).map(|step| n as i64 * 100 + step);
        sink.write_at(&stream, n..n + 1, in_lane(&stream, 0, ids))
    });
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    // Polled in order once, and then whichever is woken.
    let all = std::future::poll_fn(|context| {
        calls.retain_mut(|call| match call.as_mut().poll(context) {
            std::task::Poll::Ready(done) => {
                done.unwrap();
                false
            }
            std::task::Poll::Pending => true,
        });
        calls.reverse();
        if calls.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    });
    within(all).await;
    within(sink.finish(&stream, 60, "")).await.unwrap();
    assert_eq!(ids(&target, "a"), (0..6000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_sink_with_a_log_takes_sources_beside_it() {
    let (store, target) = (standpipe_testkit::VecStore::new(), target(&["a", "b", "c"]));
    let sink = open(&store, &target, settings()).await.unwrap();
    let a = sink.stream(spec("a", 1)).await.unwrap();
    let b = sink.source(spec("b", 1), file("f"), to(5), false).await.unwrap().unwrap();
    let c = sink.stream(spec("c", 1)).await.unwrap();
    assert!(matches!(sink.write(&b, b.rows(&rows(0..1)).unwrap()).await, Err(SinkError::Invalid(_))));
    assert!(matches!(sink.write_at(&a, 0..1, in_lane(&a, 0, [1])).await, Err(SinkError::Invalid(_))));
    assert!(matches!(sink.stream(spec("b", 1)).await, Err(SinkError::Invalid(_))));
    acknowledge(&sink, &a, 0..5).await.unwrap();
    within(sink.write_at(&b, 0..5, in_lane(&b, 0, 0..5))).await.unwrap();
    acknowledge(&sink, &c, 0..5).await.unwrap();
    let closed = within(sink.close(LONG)).await.unwrap();
    assert_eq!((closed.left_in_log, closed.not_applied_rows), (0, 0));
    for name in ["a", "b", "c"] {
        assert_eq!(ids(&target, name), (0..5).collect::<Vec<_>>(), "{name}");
    }
}

#[tokio::test]
async fn targets_that_promise_less_are_taken_only_as_such() {
    let target = target(&["a"]);
    target.set_guarantee(standpipe_core::Guarantee::AtLeastOnce);
    let refused = Sink::builder().target(target.connect()).open().await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    assert!(Sink::builder().target(target.connect()).at_least_once().open().await.is_ok());
    assert!(Sink::builder().open().await.is_err(), "no target");
}
