//! A bad row stops neither its batch nor its table; it is kept with its reason, once, and counted.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::*;
use standpipe_core::{DeadLetter, Error, ErrorKind, LaneId, SourceId, Window, async_trait};
use standpipe_row::{BlockBuilder, RowError};
use standpipe_sink::{DeadLetterStore, DeadLetters, ErrorLimit, Rows, Settings, Sink, SinkError, Stream};
use standpipe_testkit::{
    SimTarget, VecStore,
    target::{CallKind, Fault},
};

const LONG: Duration = Duration::from_secs(20);

/// Letters beside the target, as a file would keep them.
#[derive(Clone, Default)]
struct Beside {
    letters: Arc<Mutex<Vec<DeadLetter>>>,
    fail_next: Arc<Mutex<Option<ErrorKind>>>,
}

impl Beside {
    fn ids(&self) -> Vec<(u32, u64, u32)> {
        self.letters.lock().unwrap().iter().map(|l| (l.lane.lane, l.position, l.ordinal)).collect()
    }
}

#[async_trait]
impl DeadLetterStore for Beside {
    async fn keep(&self, letters: &[DeadLetter]) -> Result<(), Error> {
        self.letters.lock().unwrap().extend_from_slice(letters);
        match self.fail_next.lock().unwrap().take() {
            Some(kind) => Err(Error::new(kind, "kept, and then failed")),
            None => Ok(()),
        }
    }

    async fn trim(&self, lane: &LaneId, from_position: u64) -> Result<(), Error> {
        self.letters.lock().unwrap().retain(|letter| letter.lane != *lane || letter.position < from_position);
        Ok(())
    }
}

/// The target refuses every row whose id is divisible by this.
fn refuse_multiples(target: &SimTarget, of: i64) {
    target.reject_if(move |_, tuple| {
        let id: [u8; 8] = tuple[6..14].try_into().unwrap();
        i64::from_be_bytes(id) % of == 0
    });
}

async fn source(target: &SimTarget, settings: Settings) -> (Sink, Stream) {
    let sink = Sink::builder().target(target.connect()).settings(settings).open().await.unwrap();
    let window = Window::everything();
    let stream = sink.source(spec("a", 2), SourceId::new("f").unwrap(), window, true).await.unwrap().unwrap();
    (sink, stream)
}

#[tokio::test]
async fn s1_bad_rows_are_isolated_with_place_line_and_reason() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    refuse_multiples(&target, 7);
    let sink = open(&store, &target, settings()).await.unwrap();
    let stream = sink.stream(spec("a", 1)).await.unwrap();
    let mut builder = BlockBuilder::new(stream.schema().clone());
    builder.set_origin(Arc::from("input.csv"));
    for (line, id) in (100..).zip([1, 7, -1, 2, 14, 3]) {
        builder.line(line);
        if id == -1 {
            builder.reject(RowError { column: Some("id".into()), reason: "no number".into() }, b"x,y");
        } else {
            builder.serialize(&row(id)).unwrap();
        }
    }
    let rows = Rows::from_block(builder.finish());
    within(sink.write(&stream, rows)).await.unwrap().applied().await.unwrap();
    assert_eq!(ids(&target, "a"), [1, 2, 3]);
    let letters: Vec<DeadLetter> = target.dead_letters().into_iter().map(|(_, letter)| letter).collect();
    let places: Vec<_> =
        letters.iter().map(|l| (l.position, l.ordinal, l.line, l.column.as_deref())).collect();
    assert_eq!(places, [(1, 1, Some(101), None), (1, 2, Some(102), Some("id")), (1, 4, Some(104), None)]);
    assert_eq!(&letters[0].row[..], br#"{"id":7,"note":"row 7"}"#);
    assert_eq!((&letters[1].row[..], &*letters[1].reason), (&b"x,y"[..], "no number"));
    assert!(letters.iter().all(|letter| &*letter.origin == "input.csv" && letter.table == table("a")));
    assert_eq!(letters[2].code.as_deref(), Some("SIM02"));
    within(sink.close(LONG)).await.unwrap();
}

#[tokio::test]
async fn structs_with_a_value_that_does_not_fit_travel_as_rejected_rows() {
    #[derive(serde::Serialize)]
    struct Loose {
        id: &'static str,
        note: &'static str,
    }
    #[derive(serde::Serialize)]
    struct Other {
        id: i64,
        colour: i64,
    }
    let (store, target) = (VecStore::new(), target(&["a"]));
    let sink = open(&store, &target, settings()).await.unwrap();
    let stream = sink.stream(spec("a", 1)).await.unwrap();
    let rows =
        [Loose { id: "1", note: "good" }, Loose { id: "one", note: "bad" }, Loose { id: "3", note: "good" }];
    let receipt = within(sink.write(&stream, stream.rows(&rows).unwrap())).await.unwrap();
    within(receipt.applied()).await.unwrap();
    assert_eq!(ids(&target, "a"), [1, 3]);
    let (_, letter) = &target.dead_letters()[0];
    assert_eq!((letter.ordinal, letter.column.as_deref()), (1, Some("id")));
    assert_eq!(&letter.row[..], br#"{"id":"one","note":"bad"}"#);
    let fields = stream.rows(&[Other { id: 1, colour: 2 }]).unwrap_err();
    assert!(fields.to_string().contains("colour"), "{fields}");
    within(sink.close(LONG)).await.unwrap();
}

#[tokio::test]
async fn several_blocks_of_one_range_give_each_row_a_place_of_its_own() {
    let target = target(&["a"]);
    refuse_multiples(&target, 5);
    let (sink, stream) = source(&target, settings()).await;
    let blocks = vec![(0, block(&stream, [5, 1])), (0, block(&stream, [2, 10])), (1, block(&stream, [15]))];
    let receipt = within(sink.write_at(&stream, 0..10, Rows::from_blocks(blocks))).await.unwrap();
    within(receipt.applied()).await.unwrap();
    let mut places: Vec<_> =
        target.dead_letters().iter().map(|(_, l)| (l.lane.lane, l.position, l.ordinal)).collect();
    places.sort_unstable();
    assert_eq!(places, [(0, 0, 0), (0, 0, 3), (1, 0, 0)]);
    within(sink.close(LONG)).await.unwrap();
}

#[tokio::test]
async fn too_many_errors_stop_the_sink_and_their_batch_is_not_committed() {
    let (store, target) = (VecStore::new(), target(&["a"]));
    refuse_multiples(&target, 10);
    let limited = Settings { errors_max: ErrorLimit::Rows(2), ..settings() };
    let sink = open(&store, &target, limited).await.unwrap();
    let stream = sink.stream(spec("a", 1)).await.unwrap();
    within(sink.write(&stream, stream.rows(&rows(1..21)).unwrap())).await.unwrap().applied().await.unwrap();
    let last = within(sink.write(&stream, stream.rows(&rows(21..41)).unwrap())).await.unwrap();
    let stopped = within(last.applied()).await.unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::Reject, "{stopped}");
    assert_eq!(ids(&target, "a").len(), 18);
    assert_eq!(target.dead_letters().len(), 2);
    let closed = within(sink.close(LONG)).await.unwrap_err();
    assert!(matches!(closed, SinkError::TooManyErrors { dead_letters: 4, .. }), "{closed}");
    // With the limit raised the same rows are applied: nothing was lost.
    let sink = open(&store, &target, settings()).await.unwrap();
    within(sink.close(LONG)).await.unwrap();
    assert_eq!((ids(&target, "a").len(), target.dead_letters().len()), (36, 4));
}

#[tokio::test]
async fn a_percentage_counts_the_good_rows_of_the_same_batch() {
    for (limit, stops) in [(4.9, true), (5.1, false)] {
        let target = target(&["a"]);
        refuse_multiples(&target, 20);
        let (sink, stream) =
            source(&target, Settings { errors_max: ErrorLimit::Percent(limit), ..patient() }).await;
        // 5 in 100 rows are bad, from the first commit on.
        for n in 0..60 {
            let ids = n * 1000 + 1..(n + 1) * 1000 + 1;
            if within(sink.write_at(&stream, n as u64..n as u64 + 1, in_lane(&stream, 0, ids))).await.is_err()
            {
                break;
            }
        }
        let closed = within(sink.close(LONG)).await;
        assert_eq!(closed.is_err(), stops, "limit {limit}: {closed:?}");
    }
}

#[tokio::test]
async fn letters_beside_the_target_are_kept_once_through_every_fault() {
    let calls = [CallKind::Begin, CallKind::Write, CallKind::Advance, CallKind::Commit];
    let mut tried = 0;
    for kind in calls {
        for fault in [Fault::Fail(ErrorKind::Retry), Fault::in_doubt(true), Fault::in_doubt(false)] {
            for nth in 1..4 {
                let (target, beside) = (target(&["a"]), Beside::default());
                refuse_multiples(&target, 3);
                let kept =
                    Settings { dead_letters: DeadLetters::Store(Arc::new(beside.clone())), ..settings() };
                target.fail_nth(kind, nth, fault.clone());
                let (sink, stream) = source(&target, kept.clone()).await;
                let mut id = 0;
                for n in 0..4 {
                    let rows = in_lane(&stream, (n % 2) as u32, id..id + 6);
                    within(sink.write_at(&stream, n..n + 1, rows)).await.unwrap();
                    id += 6;
                }
                within(sink.flush()).await.unwrap();
                within(sink.close(LONG)).await.unwrap();
                let mut places = beside.ids();
                places.sort_unstable();
                let expected =
                    [(0, 0), (0, 2), (1, 1), (1, 3)].map(|(lane, at)| [(lane, at, 0), (lane, at, 3)]);
                assert_eq!(places, expected.concat(), "{kind:?} {nth} {fault:?}");
                assert_eq!(ids(&target, "a").len(), 16, "{kind:?} {nth} {fault:?}");
                tried += 1;
            }
        }
    }
    println!("{tried} faults tried");
}

#[tokio::test]
async fn s2_every_row_is_in_the_table_or_among_the_letters_through_kills() {
    let (store, target, beside) = (VecStore::new(), target(&["a"]), Beside::default());
    refuse_multiples(&target, 4);
    let kept = Settings {
        dead_letters: DeadLetters::Store(Arc::new(beside.clone())),
        batch_rows_max: 5,
        ..settings()
    };
    let mut given = 0;
    for life in 0..20 {
        let sink = open(&store, &target, kept.clone()).await.unwrap();
        let stream = sink.stream(spec("a", 2)).await.unwrap();
        // The life ends while a commit with letters hangs, on one side of its effect or the other.
        let gate = standpipe_testkit::target::Gate::new();
        let fault = if life % 2 == 0 { Fault::Hang(gate.clone()) } else { Fault::HangAfter(gate.clone()) };
        target.fail_nth(CallKind::Commit, 2, fault);
        for lane in 0..6 {
            let rows = in_lane(&stream, lane % 2, given..given + 8);
            within(sink.write(&stream, rows)).await.unwrap().durable().await.unwrap();
            given += 8;
        }
        within(gate.reached()).await;
        store.crash(standpipe_testkit::Crash::Kill);
        drop(sink);
        target.clear_faults();
        gate.open();
    }
    within(open(&store, &target, kept).await.unwrap().close(LONG)).await.unwrap();
    assert_eq!(sorted(ids(&target, "a")), (0..given).filter(|id| id % 4 != 0).collect::<Vec<_>>());
    let letters = beside.letters.lock().unwrap();
    let mut found: Vec<String> = letters.iter().map(|l| String::from_utf8(l.row.to_vec()).unwrap()).collect();
    let mut expected: Vec<String> =
        (0..given).filter(|id| id % 4 == 0).map(|id| format!(r#"{{"id":{id},"note":"row {id}"}}"#)).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "table {} + letters {} = {given}", ids(&target, "a").len(), letters.len());
}

#[tokio::test]
async fn a_store_that_fails_keeps_the_commit_back() {
    let (target, beside) = (target(&["a"]), Beside::default());
    refuse_multiples(&target, 2);
    *beside.fail_next.lock().unwrap() = Some(ErrorKind::Retry);
    let kept = Settings { dead_letters: DeadLetters::Store(Arc::new(beside.clone())), ..settings() };
    let (sink, stream) = source(&target, kept.clone()).await;
    within(sink.write_at(&stream, 0..1, in_lane(&stream, 0, 0..4))).await.unwrap().applied().await.unwrap();
    assert_eq!(beside.ids(), [(0, 0, 0), (0, 0, 2)], "tried again, kept once");
    *beside.fail_next.lock().unwrap() = Some(ErrorKind::Invalid);
    let given = within(sink.write_at(&stream, 1..2, in_lane(&stream, 0, 4..8))).await.unwrap();
    assert!(within(given.applied()).await.is_err());
    assert_eq!(target.commits().len(), 1);
    assert!(within(sink.close(LONG)).await.is_err());
    // The next claim removes the letters of the commit that never happened.
    let (sink, _) = source(&target, kept).await;
    assert_eq!(beside.ids(), [(0, 0, 0), (0, 0, 2)]);
    within(sink.close(LONG)).await.unwrap();
}
