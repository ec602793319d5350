//! The simulated target's faults, locks and inspection behave as they say.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use standpipe_core::{
    Advance, Batch, Branch, Claim, ClaimRequest, Column, Destination, Error, ErrorKind, Resolution, Schema,
    SourceId, StreamId, TableName, Target, Type, Window,
};
use standpipe_testkit::{
    SimTarget, block_on,
    target::{Call, CallKind, Fault, Gate, Value, block},
};

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Column::new("id", Type::Int8)]).unwrap())
}

fn table() -> TableName {
    TableName::new("t")
}

fn request() -> ClaimRequest {
    ClaimRequest {
        stream: StreamId::new("s").unwrap(),
        lanes: Some(1),
        source: SourceId::new("log:1").unwrap(),
        window: Window::everything(),
        origin: 0,
        reopen: false,
        owner: "test".into(),
    }
}

fn rows(claim: &Claim, ids: &[i64]) -> Batch {
    let rows: Vec<_> = ids.iter().map(|id| vec![Value::Int8(*id)]).collect();
    Batch {
        lane: claim.lane.clone(),
        destination: Arc::new(Destination::append(table())),
        blocks: vec![block(&schema(), &rows)],
    }
}

fn start() -> (SimTarget, Claim) {
    let target = SimTarget::new();
    target.create_table(&table(), &schema(), &[]).unwrap();
    let claim = block_on(target.claim(&request())).unwrap().remove(0);
    (target, claim)
}

fn to(position: u64) -> Advance {
    Advance { position, source_position: String::new(), complete: false }
}

async fn ready(target: &SimTarget, claim: &Claim, ids: &[i64]) -> Result<Box<dyn Branch>, Error> {
    let mut branch = target.begin(&[claim], None).await?;
    branch.write(&rows(claim, ids)).await?;
    branch.advance(claim, &to(claim.position + 10)).await?;
    Ok(branch)
}

async fn apply(target: &SimTarget, claim: &Claim, ids: &[i64]) -> Result<(), Error> {
    ready(target, claim, ids).await?.commit().await
}

fn ids(target: &SimTarget) -> Vec<Value> {
    target.rows(&table()).iter().map(|row| row.value("id").unwrap()).collect()
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn calls_are_numbered_and_counted_by_kind() {
    let (target, claim) = start();
    let seen = Arc::new(Mutex::new(Vec::new()));
    target.on_call({
        let seen = Arc::clone(&seen);
        move |call| seen.lock().unwrap().push(*call)
    });
    block_on(apply(&target, &claim, &[1])).unwrap();
    let trace = target.trace();
    let kinds: Vec<CallKind> = trace.iter().map(|call| call.kind).collect();
    assert_eq!(
        kinds,
        [CallKind::Claim, CallKind::Begin, CallKind::Write, CallKind::Advance, CallKind::Commit]
    );
    assert_eq!(trace[4], Call { number: 5, kind: CallKind::Commit, nth: 1 });
    assert_eq!(target.calls(), 5);
    assert_eq!(seen.lock().unwrap()[..], trace[1..]);
}

#[test]
fn a_call_that_fails_before_leaves_nothing_and_one_that_fails_after_has_happened() {
    for (number, kind) in (2..).zip([CallKind::Begin, CallKind::Write, CallKind::Advance, CallKind::Commit]) {
        for after in [false, true] {
            let (target, claim) = start();
            let fault =
                if after { Fault::FailAfter(ErrorKind::Retry) } else { Fault::Fail(ErrorKind::Retry) };
            target.fail_call(number, fault);
            let error = block_on(apply(&target, &claim, &[1])).unwrap_err();
            assert_eq!((error.kind(), error.code()), (ErrorKind::Retry, Some("SIM01")), "{error}");
            let happened = after && kind == CallKind::Commit;
            assert_eq!(ids(&target).len(), usize::from(happened), "{kind:?}");
            assert_eq!(target.commits().len(), usize::from(happened));
            assert_eq!(target.open_branches(), 0, "{kind:?} left a branch open");
        }
    }
    let (target, _) = start();
    target.fail_nth(CallKind::Claim, 1, Fault::FailAfter(ErrorKind::Retry));
    block_on(target.claim(&request())).unwrap_err();
    assert_eq!(target.ledger_rows()[0].epoch, 2, "the reply was lost, the claim was not");
}

#[test]
fn faults_by_kind_and_by_number_and_always() {
    let (target, claim) = start();
    target.fail_nth(CallKind::Begin, 2, Fault::Fail(ErrorKind::Invalid));
    assert!(block_on(target.begin(&[&claim], None)).is_ok());
    assert!(block_on(target.begin(&[&claim], None)).is_err());
    assert!(block_on(target.begin(&[&claim], None)).is_ok());
    target.fail_every(CallKind::Describe, Fault::Fail(ErrorKind::Retry));
    assert!((0..3).all(|_| block_on(target.describe(&table())).is_err()));
    target.clear_faults();
    assert!(block_on(target.describe(&table())).unwrap().is_some());
}

#[test]
fn a_commit_in_doubt_was_carried_out_or_not_as_planned() {
    for committed in [true, false] {
        let (target, claim) = start();
        target.fail_nth(CallKind::Commit, 1, Fault::in_doubt(committed));
        let error = block_on(apply(&target, &claim, &[1])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InDoubt);
        let answer = block_on(target.resolve(&[(claim, 10)])).unwrap();
        assert_eq!(answer, if committed { Resolution::Committed } else { Resolution::NotCommitted });
        assert_eq!(ids(&target).len(), usize::from(committed));
    }
}

#[test]
fn a_late_commit_holds_its_lane_until_the_server_carries_it_out() {
    let (target, claim) = start();
    target.fail_nth(CallKind::Commit, 1, Fault::Late);
    let error = block_on(apply(&target, &claim, &[1])).unwrap_err();
    assert_eq!((error.kind(), ids(&target).len()), (ErrorKind::InDoubt, 0));
    let other = target.connect();
    let (wanted, moves) = (request(), [(claim, 10)]);
    let mut taking = pin!(other.claim(&wanted));
    let mut asking = pin!(target.resolve(&moves));
    assert!(poll(taking.as_mut()).is_pending() && poll(asking.as_mut()).is_pending());
    assert_eq!(target.finish_late_commits(), 1);
    assert_eq!(block_on(taking).unwrap()[0].position, 10);
    assert_eq!(block_on(asking).unwrap(), Resolution::Fenced { committed: true });
}

#[test]
fn a_call_hangs_at_its_gate_before_or_after_its_work() {
    for after in [false, true] {
        let (target, claim) = start();
        let gate = Gate::new();
        let fault = if after { Fault::HangAfter(gate.clone()) } else { Fault::Hang(gate.clone()) };
        target.fail_nth(CallKind::Commit, 1, fault);
        let mut applying = pin!(apply(&target, &claim, &[1]));
        assert!(!gate.is_reached());
        assert!(poll(applying.as_mut()).is_pending());
        block_on(gate.reached());
        assert_eq!(ids(&target).len(), usize::from(after));
        gate.open();
        assert!(matches!(poll(applying.as_mut()), Poll::Ready(Ok(()))));
        assert_eq!(ids(&target).len(), 1);
    }
}

#[test]
fn a_hanging_commit_that_is_dropped_is_rolled_back() {
    let (target, claim) = start();
    target.fail_nth(CallKind::Commit, 1, Fault::Hang(Gate::new()));
    {
        let mut applying = pin!(apply(&target, &claim, &[1]));
        assert!(poll(applying.as_mut()).is_pending());
        assert_eq!(target.open_branches(), 1);
    }
    assert_eq!((ids(&target).len(), target.open_branches()), (0, 0));
    assert_eq!(block_on(target.claim(&request())).unwrap()[0].position, 0);
}

#[test]
fn a_panic_leaves_the_database_usable() {
    for kind in [CallKind::Begin, CallKind::Write, CallKind::Advance, CallKind::Commit] {
        let (target, claim) = start();
        target.fail_nth(kind, 1, Fault::Panic);
        assert!(catch_unwind(AssertUnwindSafe(|| block_on(apply(&target, &claim, &[1])))).is_err());
        assert_eq!((ids(&target).len(), target.open_branches()), (0, 0), "{kind:?}");
        block_on(apply(&target, &claim, &[2])).unwrap();
        assert_eq!(ids(&target), [Value::Int8(2)]);
    }
}

#[test]
fn a_database_that_is_down_fails_everything_and_comes_back_as_it_was_committed() {
    let (target, claim) = start();
    block_on(apply(&target, &claim, &[1])).unwrap();
    let claim = Claim { position: 10, ..claim };
    let mut open = block_on(ready(&target, &claim, &[2])).unwrap();
    target.down();
    let retry = |error: Error| assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    retry(block_on(open.write(&rows(&claim, &[3]))).unwrap_err());
    retry(block_on(open.commit()).unwrap_err());
    retry(block_on(target.claim(&request())).unwrap_err());
    retry(block_on(target.ledger(None)).unwrap_err());
    retry(block_on(target.begin(&[&claim], None)).err().unwrap());
    target.up();
    assert_eq!(ids(&target), [Value::Int8(1)]);
    block_on(apply(&target, &claim, &[2])).unwrap();
    assert_eq!(ids(&target), [Value::Int8(1), Value::Int8(2)]);
}

#[test]
fn a_branch_from_before_the_fall_is_not_committed_after_it() {
    let (target, claim) = start();
    let open = block_on(ready(&target, &claim, &[2])).unwrap();
    target.down();
    target.up();
    assert_eq!(block_on(open.commit()).unwrap_err().kind(), ErrorKind::Retry);
    assert_eq!(ids(&target), []);
}

#[test]
fn whoever_waits_for_a_lane_is_woken_or_times_out_by_polls() {
    let (target, claim) = start();
    let open = block_on(ready(&target, &claim, &[1])).unwrap();
    let other = target.connect();
    {
        let wanted = request();
        let mut taking = pin!(other.claim(&wanted));
        assert!((0..100).all(|_| poll(taking.as_mut()).is_pending()), "without a timeout it waits for ever");
    }
    target.set_lock_polls(Some(3));
    let error = block_on(other.claim(&request())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry);
    assert!(error.to_string().contains("holds stream s lane 0"), "it names the holder: {error}");
    target.set_lock_polls(None);
    std::thread::scope(|scope| {
        let taken = scope.spawn(|| block_on(other.claim(&request())).unwrap());
        block_on(open.commit()).unwrap();
        assert_eq!(taken.join().unwrap()[0].position, 10);
    });
}

#[test]
fn two_branches_of_one_lane_wait_for_each_other_and_only_one_moves_it() {
    let (target, claim) = start();
    let first = block_on(ready(&target, &claim, &[1])).unwrap();
    let mut second = pin!(ready(&target, &claim, &[2]));
    assert!(poll(second.as_mut()).is_pending());
    block_on(first.commit()).unwrap();
    let outcome = block_on(second);
    assert!(matches!(outcome, Err(Error::Fenced { .. })));
    assert_eq!(ids(&target), [Value::Int8(1)]);
}

#[test]
fn rows_are_refused_by_key_and_by_the_tests_own_rule() {
    let (target, claim) = start();
    target.add_key(&table(), &["id"]).unwrap();
    target.reject_if(|_, tuple| tuple.ends_with(&7_i64.to_be_bytes()));
    let mut branch = block_on(target.begin(&[&claim], None)).unwrap();
    let rejects = block_on(branch.write(&rows(&claim, &[1, 7, 1, 2]))).unwrap();
    let named: Vec<_> = rejects.iter().map(|reject| (reject.row, reject.code.as_deref().unwrap())).collect();
    assert_eq!(named, [(1, "SIM02"), (2, "23505")]);
    block_on(branch.commit()).unwrap();
    assert_eq!(ids(&target), [Value::Int8(1), Value::Int8(2)]);
    assert!(target.add_key(&TableName::new("absent"), &["id"]).is_err());
}

#[test]
fn two_branches_that_bring_one_key_cannot_both_be_committed() {
    let (target, claim) = start();
    target.add_key(&table(), &["id"]).unwrap();
    let other_stream = ClaimRequest { stream: StreamId::new("other").unwrap(), ..request() };
    let other = block_on(target.claim(&other_stream)).unwrap().remove(0);
    let first = block_on(ready(&target, &claim, &[1])).unwrap();
    let second = block_on(ready(&target, &other, &[1])).unwrap();
    block_on(first.commit()).unwrap();
    assert_eq!(block_on(second.commit()).unwrap_err().kind(), ErrorKind::Retry);
    assert_eq!(ids(&target), [Value::Int8(1)]);
    let rejects = block_on(async {
        let mut branch = target.begin(&[&other], None).await.unwrap();
        branch.write(&rows(&other, &[1])).await.unwrap()
    });
    assert_eq!(rejects.len(), 1, "the second time it is a bad row");
}

#[test]
fn commits_are_logged_and_an_earlier_point_can_be_restored() {
    let (target, claim) = start();
    let earlier = target.snapshot();
    block_on(apply(&target, &claim, &[1, 2])).unwrap();
    let [commit] = &target.commits()[..] else { panic!("one commit") };
    assert_eq!((commit.number, commit.rows[&table()], commit.dead_letters), (1, 2, 0));
    assert_eq!((commit.lanes[0].from, commit.lanes[0].to), (0, 10));
    let open = block_on(ready(&target, &Claim { position: 10, ..claim }, &[3])).unwrap();
    target.restore(&earlier);
    assert!(block_on(open.commit()).is_err(), "a restored database knows nothing of open branches");
    assert_eq!((ids(&target).len(), target.ledger_rows()[0].position), (0, 0));
    let behind = ClaimRequest { window: Window { start: 10, end: 10, floors: vec![] }, ..request() };
    assert!(matches!(block_on(target.claim(&behind)), Err(Error::Gap { .. })));
}

#[test]
fn a_closed_connection_loses_its_branches_and_the_others_go_on() {
    let (target, claim) = start();
    let other = target.connect();
    let open = block_on(ready(&target, &claim, &[1])).unwrap();
    block_on(target.close()).unwrap();
    assert_eq!(block_on(open.commit()).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(block_on(target.claim(&request())).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(block_on(other.claim(&request())).unwrap()[0].position, 0);
    assert_eq!(ids(&target), []);
}
