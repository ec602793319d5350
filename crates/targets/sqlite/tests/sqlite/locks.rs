use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use standpipe_core::{ErrorKind, Target};
use standpipe_sqlite::{Journal, Settings, Sqlite};
use standpipe_testkit::block_on;

use crate::world::{World, append, batch, begin, claim, ids, request, to};

#[test]
fn a_locked_database_says_who_holds_it_and_what_to_do() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER)").await;
        let held = world.claim("s").await;
        let other = world.sqlite();
        other.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)").unwrap();
        let mut named = false;
        for error in [
            world.target.begin(&[&held], None).await.map(drop).unwrap_err(),
            world.target.claim(&request("s")).await.unwrap_err(),
            world.target.resolve(&[(held.clone(), 2)]).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Retry);
            assert_eq!(error.code(), Some("SQLITE_BUSY"));
            let message = error.to_string();
            assert!(message.contains("the database is locked by"), "{message}");
            assert!(message.contains("300ms of busy_timeout"), "{message}");
            named |= message.contains("locked by another connection of this process");
        }
        // The system's list of locks may miss one at times, not each time.
        assert!(named || cfg!(not(target_os = "linux")));
        assert_eq!(world.target.ledger(None).await.unwrap().len(), 1, "reading goes on");
        other.execute_batch("ROLLBACK").unwrap();
        begin(&world.target, &held).await.rollback().await.unwrap();
    });
}

#[test]
fn a_claim_beside_an_open_branch_of_the_same_handle_gives_up_in_time() {
    block_on(async {
        let world = World::new().await;
        let held = world.claim("s").await;
        let branch = begin(&world.target, &held).await;
        let error = world.target.claim(&request("s")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retry);
        assert!(error.to_string().contains("a branch of this process"), "{error}");
        drop(branch);
        assert_eq!(world.claim("s").await.epoch, 2);
    });
}

#[test]
fn branches_of_one_handle_take_turns() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER)").await;
        let held = world.claim("s").await;
        let mut first = begin(&world.target, &held).await;
        let claims = [&held];
        let mut second = pin!(world.target.begin(&claims, None));
        let mut context = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut context).is_pending(), "one branch at a time");
        first.write(&batch(&held, &append("t"), vec![ids([1])])).await.unwrap();
        first.commit().await.unwrap();
        let mut second = second.await.unwrap();
        second.write(&batch(&held, &append("t"), vec![ids([2])])).await.unwrap();
        second.commit().await.unwrap();
        assert_eq!(world.rows("SELECT id FROM t"), ["1", "2"]);
    });
}

#[test]
fn a_reader_in_the_way_of_a_rollback_journals_commit_leaves_nothing_committed() {
    block_on(async {
        let world = World::new().await;
        let settings = Settings {
            journal: Journal::Keep,
            busy_timeout: Duration::from_millis(200),
            ..Settings::default()
        };
        let path = world.directory.path().join("rollback.db");
        let target = Sqlite::open(&path, settings).await.unwrap();
        let held = claim(&target, "s").await.unwrap();
        let reader = rusqlite::Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM standpipe_ledger").unwrap();
        let mut branch = begin(&target, &held).await;
        branch.advance(&held, &to(9)).await.unwrap();
        let error = branch.commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
        reader.execute_batch("COMMIT").unwrap();
        assert_eq!(target.ledger(None).await.unwrap()[0].position, 1);
        let mut branch = begin(&target, &held).await;
        branch.advance(&held, &to(9)).await.unwrap();
        branch.commit().await.unwrap();
        assert_eq!(target.ledger(None).await.unwrap()[0].position, 9);
    });
}
