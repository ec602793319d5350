use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
};

use standpipe_core::{Error, Resolution, Target};
use standpipe_testkit::block_on;

use crate::world::{World, append, batch, begin, claim, ids, request, to};

#[test]
fn s6_a_zombie_on_another_handle_is_fenced_inside_its_transaction() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER)").await;
        let (zombie, old) = (world.other().await, world.claim("s").await);
        let new = claim(&world.target, "s").await.unwrap();
        let mut branch = begin(&zombie, &old).await;
        branch.write(&batch(&old, &append("t"), vec![ids([1])])).await.unwrap();
        let error = branch.advance(&old, &to(2)).await.unwrap_err();
        assert!(matches!(error, Error::Fenced { epoch: 1, .. }), "{error}");
        assert!(branch.commit().await.is_err());
        assert_eq!(world.rows("SELECT count(*) FROM t"), ["0"]);
        let mut branch = begin(&world.target, &new).await;
        branch.advance(&new, &to(2)).await.unwrap();
        branch.commit().await.unwrap();
    });
}

#[test]
fn k12_a_takeover_comes_before_the_check_or_behind_the_commit() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER)").await;
        let (usurper, old) = (world.other().await, world.claim("s").await);
        let mut branch = begin(&world.target, &old).await;
        branch.write(&batch(&old, &append("t"), vec![ids([1])])).await.unwrap();
        branch.advance(&old, &to(5)).await.unwrap();
        // The check has been made and the commit has not: nobody can claim here.
        let request = request("s");
        let mut taking = pin!(usurper.claim(&request));
        let mut context = Context::from_waker(Waker::noop());
        assert!(taking.as_mut().poll(&mut context).is_pending(), "nobody can claim here");
        branch.commit().await.unwrap();
        let position = taking.await.unwrap()[0].position;
        assert_eq!(position, 5, "the position of a claim is final");
        assert_eq!(world.rows("SELECT id FROM t"), ["1"]);
    });
}

#[test]
fn s7_a_long_stream_id_is_kept_whole() {
    block_on(async {
        let world = World::new().await;
        let long = "\u{1f6b0}".repeat(256);
        assert_eq!(long.len(), standpipe_core::StreamId::BYTES_MAX);
        let other = format!("{}\u{1f6b1}", "\u{1f6b0}".repeat(255));
        assert_eq!(world.claim(&long).await.epoch, 1);
        assert_eq!(world.claim(&other).await.epoch, 1);
        assert_eq!(world.claim(&long).await.epoch, 2);
        let ledger = world.target.ledger(None).await.unwrap();
        assert_eq!(
            ledger.iter().map(|row| row.lane.stream.as_str()).collect::<Vec<_>>(),
            [long.as_str(), other.as_str()]
        );
        assert_eq!(ledger[0].source_position, "");
    });
}

#[test]
fn a_position_beyond_what_sqlite_holds_is_refused() {
    block_on(async {
        let world = World::new().await;
        let held = world.claim("s").await;
        let mut branch = begin(&world.target, &held).await;
        let error = branch.advance(&held, &to(1 << 63)).await.unwrap_err();
        assert!(error.to_string().contains("beyond"), "{error}");
    });
}

#[test]
fn a_complete_source_is_seen_without_a_lock() {
    block_on(async {
        let world = World::new().await;
        let held = world.claim("s").await;
        let mut branch = begin(&world.target, &held).await;
        let done = standpipe_core::Advance { complete: true, ..to(9) };
        branch.advance(&held, &done).await.unwrap();
        branch.commit().await.unwrap();
        let other = world.sqlite();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(world.target.claim(&request("s")).await.unwrap(), []);
    });
}

#[test]
fn an_outcome_is_never_made_up() {
    block_on(async {
        let world = World::new().await;
        let held = world.claim("s").await;
        assert!(world.target.resolve(&[]).await.is_err());
        assert_eq!(world.target.resolve(&[(held.clone(), 2)]).await.unwrap(), Resolution::NotCommitted);
        world.sqlite().execute_batch("DELETE FROM standpipe_ledger").unwrap();
        assert!(world.target.resolve(&[(held.clone(), 2)]).await.is_err());
        world.sqlite().execute_batch("DROP TABLE standpipe_ledger").unwrap();
        let error = world.target.resolve(&[(held, 2)]).await.unwrap_err();
        assert!(error.to_string().contains("ledger"), "{error}");
    });
}
