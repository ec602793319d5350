//! Dead letters that are tried again: each row is written or its letter kept, once, whatever fails and whoever else tries.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{ops::ControlFlow, pin::pin, sync::Arc, time::Duration};

use common::*;
use standpipe_core::{DeadLetter, ErrorKind, Guarantee, Mode, StreamId, TableName, Target};
use standpipe_sink::{
    LetterFilter, LetterRetry, Retried, Retry, RetryStep, discard_dead_letters, retry_dead_letters,
};
use standpipe_testkit::{
    SimTarget,
    target::{CallKind, Fault, Gate, Value},
};

fn letters() -> TableName {
    table("letters")
}

fn letter(stream: &str, number: u32, row: impl Into<String>) -> DeadLetter {
    DeadLetter {
        lane: lane(stream, number % 2),
        position: u64::from(number) * 10,
        ordinal: number % 3,
        table: table("a"),
        origin: Arc::from("in.csv"),
        line: Some(u64::from(number)),
        column: None,
        code: Some("23505".to_owned()),
        reason: "refused at first".to_owned(),
        row: row.into().into_bytes().into(),
    }
}

fn good(number: u32) -> DeadLetter {
    letter("s", number, format!(r#"{{"id":{number},"note":"row {number}"}}"#))
}

async fn keep(target: &SimTarget, kept: &[DeadLetter]) {
    let mut branch = target.begin(&[], None).await.unwrap();
    branch.dead_letter(&letters(), kept).await.unwrap();
    branch.commit().await.unwrap();
}

/// Forty letters, of which every seventh is refused again and four cannot be read.
async fn world() -> SimTarget {
    let target = target(&["a"]);
    target.reject_if(|_, tuple| {
        let id: [u8; 8] = tuple[6..14].try_into().unwrap();
        i64::from_be_bytes(id) % 7 == 0
    });
    let mut kept: Vec<DeadLetter> = (1..=40).map(good).collect();
    for (index, row) in ["9,nine\n", "", "[1]", r#"{"id":40,"no"#].into_iter().enumerate() {
        kept[index * 10] = letter("s", index as u32 * 10 + 1, row);
    }
    keep(&target, &kept).await;
    target
}

fn asked() -> LetterRetry {
    let pauses = Retry {
        pause: Duration::from_micros(100),
        pause_max: Duration::from_micros(200),
        seed: 1,
        ..Retry::default()
    };
    LetterRetry { batch_rows: 6, retry: pauses, ..LetterRetry::of(letters()) }
}

async fn retry(target: &SimTarget, asked: &LetterRetry) -> Retried {
    within(retry_dead_letters(target, asked, |_| ControlFlow::Continue(()))).await.unwrap()
}

fn left(target: &SimTarget) -> Vec<DeadLetter> {
    let mut left: Vec<DeadLetter> = target.dead_letters().into_iter().map(|(_, letter)| letter).collect();
    left.sort_by_key(DeadLetter::id);
    left
}

/// What 40 letters come to: nothing lost, nothing twice.
fn assert_once(target: &SimTarget, is_whole: bool, when: &str) {
    let written = sorted(ids(target, "a"));
    let lines: Vec<i64> = left(target).iter().map(|letter| letter.line.unwrap() as i64).collect();
    assert_eq!(sorted([written.clone(), lines].concat()), (1..=40).collect::<Vec<i64>>(), "{when}");
    if is_whole {
        let expected: Vec<i64> = (1..=40).filter(|id| id % 7 != 0 && ![1, 11, 21, 31].contains(id)).collect();
        assert_eq!(written, expected, "{when}");
    }
}

#[tokio::test]
async fn rows_are_written_and_what_is_refused_again_keeps_its_identity_and_gets_the_new_reason() {
    let target = world().await;
    let before = left(&target);
    let mut steps = Vec::new();
    let told = |step: &RetryStep<'_>| {
        steps.push((step.so_far.letters(), step.refused.len(), step.unreadable.len()));
        ControlFlow::Continue(())
    };
    let retried = within(retry_dead_letters(&target, &asked(), told)).await.unwrap();
    assert_eq!(retried, Retried { applied: 32, refused_again: 4, unreadable: 4 });
    assert_once(&target, true, "after one retry");
    for letter in left(&target) {
        let old = before.iter().find(|old| old.id() == letter.id()).unwrap();
        let is_unreadable = [1, 11, 21, 31].contains(&letter.line.unwrap());
        if is_unreadable {
            assert_eq!(letter, *old, "what cannot be read stays as it was");
        } else {
            let (reason, code) = ("the test refuses this row".to_owned(), Some("SIM02".to_owned()));
            assert_eq!(letter, DeadLetter { reason, code, ..old.clone() });
        }
    }
    assert_eq!(steps.len(), 7, "forty in pages of six: {steps:?}");
    assert_eq!(steps.iter().map(|(_, refused, _)| refused).sum::<usize>(), 4);
    assert_eq!(steps.last().unwrap().0, 40);
    // Again: nothing new to write, and it ends although letters are put back.
    assert_eq!(retry(&target, &asked()).await, Retried { applied: 0, refused_again: 4, unreadable: 4 });
    assert_once(&target, true, "after another");
}

#[tokio::test]
async fn pages_are_bounded_by_rows_and_by_bytes() {
    let target = target(&["a"]);
    keep(&target, &(1..=40).map(good).collect::<Vec<_>>()).await;
    let row_bytes = good(11).row.len() as u64;
    retry(&target, &LetterRetry { batch_bytes: row_bytes * 3, batch_rows: 1000, ..asked() }).await;
    let sizes: Vec<u64> = target.commits()[1..].iter().map(|commit| commit.rows[&table("a")]).collect();
    assert!(sizes.iter().all(|rows| (1..=4).contains(rows)) && sizes.len() >= 10, "{sizes:?}");
    assert_eq!(sizes.iter().sum::<u64>(), 40);
}

#[tokio::test]
async fn whatever_fails_wherever_each_row_is_there_once() {
    let counting = world().await;
    let before = counting.calls();
    retry(&counting, &asked()).await;
    let calls = counting.calls() - before;
    assert!(calls > 40, "{calls}");
    let faults = [
        Fault::Fail(ErrorKind::Retry),
        Fault::FailAfter(ErrorKind::Retry),
        Fault::in_doubt(true),
        Fault::in_doubt(false),
        Fault::Fail(ErrorKind::Invalid),
        Fault::Fail(ErrorKind::Corrupt),
    ];
    for fault in &faults {
        for number in 1..=calls {
            let target = world().await;
            target.fail_call(target.calls() + number, fault.clone());
            let when = format!("{fault:?} at call {number}");
            let ended = within(retry_dead_letters(&target, &asked(), |_| ControlFlow::Continue(()))).await;
            assert_eq!(target.open_branches(), 0, "{when}");
            match ended {
                // A table that cannot be looked at refuses the rows; they are tried again with the next retry.
                Ok(_) if matches!(fault, Fault::Fail(ErrorKind::Invalid)) => {
                    assert_once(&target, false, &when);
                    retry(&target, &asked()).await;
                    assert_once(&target, true, &when);
                }
                Ok(retried) => {
                    assert_once(&target, true, &when);
                    let lied = matches!(fault, Fault::FailAfter(ErrorKind::Retry));
                    assert!(lied || retried.applied == 32, "{when}: {retried:?}");
                }
                Err(error) => {
                    assert!(matches!(fault, Fault::Fail(ErrorKind::Corrupt)), "{when}: {error}");
                    assert_once(&target, false, &when);
                    retry(&target, &asked()).await;
                    assert_once(&target, true, &when);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_retry_that_is_dropped_anywhere_loses_and_doubles_nothing() {
    let kinds = [CallKind::DeadLetters, CallKind::Begin, CallKind::Withdraw, CallKind::Write];
    for kind in kinds.into_iter().chain([CallKind::DeadLetter, CallKind::Commit]) {
        for after in [false, true] {
            let target = world().await;
            let gate = Gate::new();
            let fault = if after { Fault::HangAfter(gate.clone()) } else { Fault::Hang(gate.clone()) };
            target.fail_nth(kind, 2, fault);
            let (asked, other) = (asked(), target.connect());
            {
                let running = pin!(retry_dead_letters(&other, &asked, |_| ControlFlow::Continue(())));
                let reached = pin!(gate.reached());
                tokio::select! {
                    _ = running => panic!("it was to hang at {kind:?}"),
                    () = reached => {}
                }
            }
            let when = format!("dropped at {kind:?}, after {after}");
            assert_once(&target, false, &when);
            retry(&target, &asked).await;
            assert_once(&target, true, &when);
        }
    }
}

#[tokio::test]
async fn a_commit_that_comes_late_is_waited_for() {
    let target = world().await;
    target.fail_nth(CallKind::Commit, 1, Fault::Late);
    let (asked, other) = (asked(), target.connect());
    let mut running = pin!(retry_dead_letters(&other, &asked, |_| ControlFlow::Continue(())));
    // It asks by withdrawing, which has to wait for the commit that is under way.
    let asks = async {
        let withdraws = || target.trace().iter().filter(|call| call.kind == CallKind::Withdraw).count();
        until("it looks for the letters", || withdraws() == 2).await;
    };
    tokio::select! {
        ended = &mut running => panic!("it guessed: {ended:?}"),
        () = asks => {}
    }
    assert_eq!(ids(&target, "a").len(), 0);
    assert_eq!(target.finish_late_commits(), 1);
    let retried = within(running).await.unwrap();
    assert_eq!(retried, Retried { applied: 32, refused_again: 4, unreadable: 4 });
    assert_once(&target, true, "after a late commit");
}

#[tokio::test]
async fn two_at_once_take_each_letter_out_once() {
    for hang_at in 1..=6 {
        let target = world().await;
        let gate = Gate::new();
        target.fail_nth(CallKind::Commit, hang_at, Fault::Hang(gate.clone()));
        let (one, two, asked) = (target.connect(), target.connect(), asked());
        let mut first = pin!(retry(&one, &asked));
        tokio::select! {
            _ = &mut first => panic!("it was to hang"),
            () = gate.reached() => {}
        }
        // The second stands before a letter of the first's open commit.
        let reads = |kind| target.trace().iter().filter(|call| call.kind == kind).count();
        let withdraws = reads(CallKind::Withdraw);
        let mut second = pin!(retry(&two, &asked));
        let stands = until("the second withdraws", || reads(CallKind::Withdraw) > withdraws);
        tokio::select! {
            _ = &mut second => panic!("nothing is left before the first's page"),
            () = stands => {}
        }
        gate.open();
        let (a, b) = tokio::join!(first, second);
        assert_eq!(a.applied + b.applied, 32, "{a:?} {b:?}");
        assert_once(&target, true, &format!("two at once, the first held at commit {hang_at}"));
    }
}

#[tokio::test]
async fn it_gives_up_when_told_to_and_says_why() {
    let target = world().await;
    target.fail_every(CallKind::Withdraw, Fault::Fail(ErrorKind::Retry));
    let mut asked = asked();
    asked.retry.give_up_after = Some(Duration::from_millis(5));
    let error = within(retry_dead_letters(&target, &asked, |_| ControlFlow::Continue(()))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    target.clear_faults();
    target.fail_every(CallKind::Commit, Fault::in_doubt(true));
    target.fail_nth(CallKind::Withdraw, 2, Fault::Fail(ErrorKind::Closed));
    let error = within(retry_dead_letters(&target, &asked, |_| ControlFlow::Continue(()))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InDoubt, "{error}");
    assert_once(&target, false, "after a doubt that stayed");
}

#[tokio::test]
async fn only_those_meant_and_only_so_many() {
    let target = target(&["a", "b"]);
    let other = |number| DeadLetter { lane: lane("t", 0), code: None, ..good(number) };
    keep(&target, &(1..=9).map(good).chain((10..=19).map(other)).collect::<Vec<_>>()).await;
    let of_code = LetterFilter { code: Some("23505".into()), ..LetterFilter::default() };
    let of_both = LetterFilter { stream: Some(StreamId::new("t").unwrap()), ..of_code.clone() };
    assert_eq!(retry(&target, &LetterRetry { filter: of_both, ..asked() }).await, Retried::default());
    let some = LetterRetry { filter: of_code.clone(), letters_max: 7, to_table: Some(table("b")), ..asked() };
    assert_eq!(retry(&target, &some).await.applied, 7);
    assert_eq!((ids(&target, "a").len(), ids(&target, "b").len()), (0, 7));
    let of_stream = LetterFilter { stream: Some(StreamId::new("t").unwrap()), ..LetterFilter::default() };
    assert_eq!(retry(&target, &LetterRetry { filter: of_stream, ..asked() }).await.applied, 10);
    assert_eq!((sorted(ids(&target, "a")), left(&target).len()), ((10..=19).collect(), 2));
    let single = LetterRetry { batch_rows: 1, ..asked() };
    let stopped = within(retry_dead_letters(&target, &single, |_| ControlFlow::Break(())));
    assert_eq!(stopped.await.unwrap().applied, 1);
}

#[tokio::test]
async fn modes_and_rows_that_give_some_columns_only() {
    let target = target(&["a"]);
    target.add_key(&table("a"), &["id"]).unwrap();
    let row = |number, row: &str| letter("s", number, row);
    keep(
        &target,
        &[
            row(2, r#"{"id":1,"note":"first"}"#),
            row(4, r#"{"note":"second","id":1}"#),
            row(6, r#"{"id":1}"#),
            row(8, r#"{"id":2,"note":null}"#),
            row(10, r#"{"id":3,"id":4}"#),
            row(12, r#"{"id":5,"more":1}"#),
            row(14, "{}"),
            row(16, r#"{"id":"x"}"#),
        ],
    )
    .await;
    let upsert = LetterRetry { mode: Mode::Upsert, key: vec!["id".into()], batch_rows: 100, ..asked() };
    let retried = retry(&target, &upsert).await;
    assert_eq!(retried, Retried { applied: 4, refused_again: 4, unreadable: 0 });
    let notes: Vec<_> = target.values(&table("a")).iter().map(|row| row[1].to_text()).collect();
    assert_eq!(notes, [Some("second".to_owned()), None], "a column that is not given is not set");
    let reasons: Vec<_> = left(&target).into_iter().map(|letter| (letter.column, letter.reason)).collect();
    let of = |column: &str, reason: &str| (Some(column.to_owned()), reason.to_owned());
    assert_eq!(
        reasons,
        [
            of("id", "there twice in the row"),
            of("more", "the table has no such column"),
            (None, "the row has no fields".to_owned()),
            of("id", "expected an integer, found \"x\""),
        ]
    );
    assert!(matches!(target.values(&table("a"))[0][0], Value::Int8(1)));
    let keyless = LetterRetry { key: Vec::new(), ..upsert };
    let error = retry_dead_letters(&target, &keyless, |_| ControlFlow::Continue(())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

#[tokio::test]
async fn a_table_that_is_gone_holds_no_other_up() {
    let target = target(&["a"]);
    let gone = DeadLetter { table: table("gone"), ..good(1) };
    keep(&target, &[gone, good(2), good(3)]).await;
    assert_eq!(retry(&target, &asked()).await, Retried { applied: 2, refused_again: 1, unreadable: 0 });
    assert_eq!(left(&target)[0].reason, "there is no table gone");
}

#[tokio::test]
async fn a_target_that_promises_less_is_refused() {
    let target = world().await;
    target.set_guarantee(Guarantee::AtLeastOnce);
    let error = retry_dead_letters(&target, &asked(), |_| ControlFlow::Continue(())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_once(&target, false, "refused");
}

#[tokio::test]
async fn letters_are_thrown_away_and_counted_once() {
    for fault in [None, Some(Fault::in_doubt(true)), Some(Fault::in_doubt(false))] {
        let target = world().await;
        keep(&target, &[DeadLetter { lane: lane("t", 0), ..good(50) }]).await;
        if let Some(fault) = fault {
            target.fail_nth(CallKind::Commit, 1, fault);
        }
        let filter = LetterFilter { stream: Some(StreamId::new("s").unwrap()), ..LetterFilter::default() };
        let table = letters();
        let thrown = discard_dead_letters(&target, &table, &filter, |_| ControlFlow::Continue(()));
        assert_eq!(within(thrown).await.unwrap().letters, 40);
        assert_eq!(left(&target).iter().map(|letter| letter.line).collect::<Vec<_>>(), [Some(50)]);
    }
}
