use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
};

use standpipe_core::{ErrorKind, Target};
use standpipe_testkit::block_on;

use crate::world::{World, append, batch, begin, ids, to};

#[test]
fn a_dropped_branch_is_rolled_back_before_the_next_begins() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER)").await;
        let held = world.claim("s").await;
        for round in 0..20 {
            let mut branch = begin(&world.target, &held).await;
            branch.write(&batch(&held, &append("t"), vec![ids(0..100)])).await.unwrap();
            branch.advance(&held, &to(100 + round)).await.unwrap();
            drop(branch);
        }
        assert_eq!(world.load(&append("t"), vec![ids([7])]).await.unwrap(), []);
        assert_eq!(world.rows("SELECT id FROM t"), ["7"]);
    });
}

#[test]
fn a_dropped_call_leaves_the_branch_fit_for_rollback_only() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER)").await;
        let held = world.claim("s").await;
        let mut branch = begin(&world.target, &held).await;
        {
            let rows = batch(&held, &append("t"), vec![ids(0..50_000)]);
            let mut writing = pin!(branch.write(&rows));
            let mut context = Context::from_waker(Waker::noop());
            assert!(writing.as_mut().poll(&mut context).is_pending());
        }
        let error = branch.advance(&held, &to(2)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let error = branch.commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        begin(&world.target, &held).await.rollback().await.unwrap();
        assert_eq!(world.rows("SELECT count(*) FROM t"), ["0"]);
    });
}

#[test]
fn a_dropped_commit_is_one_or_the_other() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER)").await;
        let held = world.claim("s").await;
        let mut branch = begin(&world.target, &held).await;
        branch.write(&batch(&held, &append("t"), vec![ids([1])])).await.unwrap();
        branch.advance(&held, &to(2)).await.unwrap();
        {
            let mut committing = pin!(branch.commit());
            let mut context = Context::from_waker(Waker::noop());
            let _ = committing.as_mut().poll(&mut context);
        }
        let answer = world.target.resolve(&[(held, 2)]).await.unwrap();
        assert_eq!(answer, standpipe_core::Resolution::Committed, "what was sent runs to its end");
        assert_eq!(world.rows("SELECT id FROM t"), ["1"]);
    });
}

#[test]
fn close_rolls_back_a_branch_that_somebody_still_holds() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER)").await;
        let held = world.claim("s").await;
        let mut branch = begin(&world.target, &held).await;
        branch.write(&batch(&held, &append("t"), vec![ids([1])])).await.unwrap();
        branch.advance(&held, &to(2)).await.unwrap();
        world.target.close().await.unwrap();
        let other = world.other().await;
        assert_eq!(other.ledger(None).await.unwrap()[0].position, 1);
        assert!(branch.commit().await.is_err(), "closed, and it said that it was committed");
        assert_eq!(world.rows("SELECT count(*) FROM t"), ["0"]);
        world.target.close().await.expect("closing again is closed already");
    });
}
