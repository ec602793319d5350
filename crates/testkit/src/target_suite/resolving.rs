//! Target duty 6 and branch duty 5.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A case fails by panicking.

use std::pin::pin;

use standpipe_core::{Claim, ErrorKind, Resolution};

use super::{
    TargetFixture,
    world::{ORIGIN, World, apply, batch, begin_with, to},
};
use crate::poll::{join, until};

/// The ledger is at the end of the move: it was committed.
pub async fn target_duty_6_resolve_after_a_commit(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "resolve_committed").await;
    let table = world.table("t").await;
    let before = world.claim("a").await;
    apply(&*world.a, &batch(&before.lane, &table, &[&[1]]), &mut before.clone(), 10).await.unwrap();
    let moves = [(before, 10)];
    for target in [&world.a, &world.b] {
        assert_eq!(target.resolve(&moves).await.unwrap(), Resolution::Committed);
    }
    assert_eq!(world.position("a").await, 10);

    let claims = world.a.claim(&world.request("b", 3)).await.unwrap();
    let mut branch = world.a.begin(&claims.iter().collect::<Vec<_>>(), None).await.unwrap();
    for claim in &claims {
        branch.advance(claim, &to(7)).await.unwrap();
    }
    branch.commit().await.unwrap();
    let moves: Vec<(Claim, u64)> = claims.into_iter().map(|claim| (claim, 7)).collect();
    assert_eq!(world.a.resolve(&moves).await.unwrap(), Resolution::Committed);
}

/// The ledger is at the start of the move: it was not committed, and the lanes can go on from there.
pub async fn target_duty_6_resolve_after_a_rollback(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "resolve_rolled_back").await;
    let table = world.table("t").await;
    let mut claim = world.claim("s").await;
    let rows = batch(&claim.lane, &table, &[&[1]]);
    let mut branch = begin_with(&*world.a, &claim, &rows).await;
    branch.advance(&claim, &to(10)).await.unwrap();
    branch.rollback().await.unwrap();
    assert_eq!(world.a.resolve(&[(claim.clone(), 10)]).await.unwrap(), Resolution::NotCommitted);
    apply(&*world.a, &rows, &mut claim, 10).await.expect("the lane is still ours");
    assert_eq!(world.ids(&table).await, [1]);
}

/// Another owner: the answer still tells whether our last commit was carried out.
pub async fn target_duty_6_resolve_after_being_fenced(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "resolve_fenced").await;
    let table = world.table("t").await;
    let done = world.claim("done").await;
    apply(&*world.a, &batch(&done.lane, &table, &[&[1]]), &mut done.clone(), 10).await.unwrap();
    let undone = world.claim("undone").await;
    let mut next = world.take_over("done").await;
    world.take_over("undone").await;
    let answer = world.a.resolve(&[(done.clone(), 10)]).await.unwrap();
    assert_eq!(answer, Resolution::Fenced { committed: true });
    let answer = world.a.resolve(&[(undone, 10)]).await.unwrap();
    assert_eq!(answer, Resolution::Fenced { committed: false });
    apply(&*world.b, &batch(&next.lane, &table, &[&[2]]), &mut next, 20).await.unwrap();
    let answer = world.a.resolve(&[(done, 10)]).await.unwrap();
    assert_eq!(answer, Resolution::Fenced { committed: true }, "the new owner has gone further");
    assert_eq!(world.ids(&table).await, [1, 2]);
}

/// The ledger is ours and at neither end of the move: an error, and no guess.
pub async fn target_duty_6_resolve_of_what_fits_neither_fails(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "resolve_neither").await;
    let table = world.table("t").await;
    let claim = world.claim("s").await;
    apply(&*world.a, &batch(&claim.lane, &table, &[&[1]]), &mut claim.clone(), 10).await.unwrap();
    let error = world.a.resolve(&[(claim, 5)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(world.position("s").await, 10, "asking changed the ledger");
}

/// While the commit may still be carried out there is no answer, or it is true afterwards.
pub async fn target_duty_6_resolve_waits_for_the_commit_in_flight(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "resolve_in_flight").await;
    let table = world.table("t").await;
    let claim = world.claim("s").await;
    let mut branch = begin_with(&*world.a, &claim, &batch(&claim.lane, &table, &[&[1]])).await;
    branch.advance(&claim, &to(10)).await.unwrap();
    let moves = [(claim.clone(), 10)];
    let mut asking = pin!(world.b.resolve(&moves));
    let early = until(asking.as_mut(), pin!(world.fixture.settle())).await;
    let (ended, answer) = match early {
        Some(answer) => (branch.commit().await, answer),
        None => join(pin!(branch.commit()), asking).await,
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Retry, "resolve that met a lock: {error}");
            world.b.resolve(&moves).await.unwrap()
        }
    };
    let (expected, end) =
        if ended.is_ok() { (Resolution::Committed, 10) } else { (Resolution::NotCommitted, ORIGIN) };
    assert_eq!(answer, expected, "resolve guessed while the commit was in flight");
    assert_eq!(world.position("s").await, end);
}

/// A commit that lost its reply says `InDoubt`, and `resolve` then tells which it was.
pub async fn branch_duty_5_a_lost_reply_is_in_doubt(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "lost_reply").await;
    for committed in [true, false] {
        let part = if committed { "carried_out" } else { "lost" };
        let table = world.table(part).await;
        let mut claim = world.claim(part).await;
        let rows = batch(&claim.lane, &table, &[&[1, 2]]);
        let mut branch = begin_with(&*world.a, &claim, &rows).await;
        branch.advance(&claim, &to(10)).await.unwrap();
        if !fixture.lose_next_commit(committed) {
            branch.rollback().await.unwrap();
            return;
        }
        let error = branch.commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InDoubt, "{error}");
        match world.a.resolve(&[(claim.clone(), 10)]).await.unwrap() {
            Resolution::Committed => assert!(committed, "it was never carried out"),
            Resolution::NotCommitted => {
                assert!(!committed, "it was carried out");
                apply(&*world.a, &rows, &mut claim, 10).await.unwrap();
            }
            other => panic!("nobody took the lane over, and yet: {other:?}"),
        }
        assert_eq!(world.ids(&table).await, [1, 2]);
    }
}
