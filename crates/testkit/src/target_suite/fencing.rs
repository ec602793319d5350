//! Target duties 2, 3 and 5, branch duties 3 and 4.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A case fails by panicking.

use std::pin::pin;

use standpipe_core::{Branch, Claim, Error, ErrorKind};

use super::{
    TargetFixture,
    world::{ORIGIN, World, apply, assert_fenced, batch, begin_with, only, to},
};
use crate::poll::{join, until};

/// A claim that comes while a branch has advanced but not committed waits for it, fails with `Retry`, or the commit fails: its position is final.
pub async fn target_duty_2_a_claim_waits_for_the_commit_in_flight(fixture: &dyn TargetFixture) {
    for commits in [true, false] {
        let world = World::new(fixture, "commit_in_flight").await;
        let part = if commits { "committed" } else { "rolled_back" };
        let table = world.table(part).await;
        let claim = world.claim(part).await;
        let mut branch = begin_with(&*world.a, &claim, &batch(&claim.lane, &table, &[&[1, 2]])).await;
        branch.advance(&claim, &to(10)).await.unwrap();
        race(&world, part, &claim, branch, commits, &table).await;
    }
}

/// K12: a zombie has written its rows, another takes the stream over, then the zombie goes on. Exactly one of the two commits the rows.
pub async fn target_duty_2_k12_a_zombie_between_check_and_write(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "zombie").await;
    let table = world.table("t").await;
    let claim = world.claim("s").await;
    let branch = begin_with(&*world.a, &claim, &batch(&claim.lane, &table, &[&[1, 2]])).await;
    race_to_the_end(&world, &claim, branch, &table).await;
}

/// S6: the zombie advances only after the new owner's claim was answered.
pub async fn target_duty_3_s6_a_zombie_cannot_commit_between_two_claims(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "late_zombie").await;
    let table = world.table("t").await;
    let old = world.claim("s").await;
    let mut new = world.take_over("s").await;
    let outcome = apply(&*world.a, &batch(&old.lane, &table, &[&[1]]), &mut old.clone(), 10).await;
    assert_fenced(outcome.map(|_| ()), "a commit of epoch 1 after epoch 2 was claimed");
    assert_eq!(world.ids(&table).await, []);
    apply(&*world.b, &batch(&new.lane, &table, &[&[1]]), &mut new, 10).await.unwrap();
    let outcome = apply(&*world.a, &batch(&old.lane, &table, &[&[1]]), &mut old.clone(), 10).await;
    assert_fenced(outcome.map(|_| ()), "the same commit after the new owner's");
    assert_eq!(world.ids(&table).await, [1]);
}

async fn race(
    world: &World<'_>,
    part: &str,
    claim: &Claim,
    branch: Box<dyn Branch>,
    commits: bool,
    table: &standpipe_core::TableName,
) {
    let request = world.request(part, 1);
    let mut taking = pin!(world.b.claim(&request));
    let early = until(taking.as_mut(), pin!(world.fixture.settle())).await;
    let ending = async move { if commits { branch.commit().await } else { branch.rollback().await } };
    let (ended, taken) = match early {
        Some(taken) => (ending.await, taken),
        None => join(pin!(ending), taking).await,
    };
    let applied = if commits && ended.is_ok() { 10 } else { ORIGIN };
    let next = settled_claim(world, part, taken, applied).await;
    assert_eq!(next.position, applied, "the claim's position was not final");
    assert!(next.epoch > claim.epoch);
    let expected: &[i64] = if applied == 10 { &[1, 2] } else { &[] };
    assert_eq!(world.ids(table).await, expected);
    assert_eq!(world.position(part).await, applied);
}

/// Checks what a claim said that ran into a branch, and claims again if it met the lock timeout.
async fn settled_claim(
    world: &World<'_>,
    part: &str,
    taken: Result<Vec<Claim>, Error>,
    applied: u64,
) -> Claim {
    match taken {
        Ok(claims) => {
            let claim = only(claims);
            assert_eq!(claim.position, applied, "a commit of an earlier epoch followed the claim");
            claim
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Retry, "a claim that met a lock: {error}");
            world.take_over(part).await
        }
    }
}

async fn race_to_the_end(
    world: &World<'_>,
    claim: &Claim,
    mut branch: Box<dyn Branch>,
    table: &standpipe_core::TableName,
) {
    let request = world.request("s", 1);
    let mut taking = pin!(world.b.claim(&request));
    let early = until(taking.as_mut(), pin!(world.fixture.settle())).await;
    let zombie = async move {
        match branch.advance(claim, &to(10)).await {
            Ok(()) => branch.commit().await,
            Err(error) => {
                branch.rollback().await.unwrap();
                Err(error)
            }
        }
    };
    let (ended, taken) = match early {
        Some(taken) => (zombie.await, taken),
        None => join(pin!(zombie), taking).await,
    };
    if let Err(error) = &ended {
        assert!(matches!(error.kind(), ErrorKind::Fenced | ErrorKind::Retry), "{error}");
    }
    let applied = if ended.is_ok() { 10 } else { ORIGIN };
    let mut next = settled_claim(world, "s", taken, applied).await;
    if next.position == ORIGIN {
        apply(&*world.b, &batch(&next.lane, table, &[&[1, 2]]), &mut next, 10).await.unwrap();
    }
    assert_eq!(world.ids(table).await, [1, 2], "exactly one of the two commits the rows");
    assert_eq!(world.position("s").await, 10);
}

/// After a claim every `advance` of an earlier epoch fails, and nothing of its branch is kept, not even by `commit`.
pub async fn target_duty_3_old_epoch_cannot_advance(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "old_epoch").await;
    let table = world.table("t").await;
    let old = world.claim("s").await;
    let new = world.take_over("s").await;
    let mut branch = begin_with(&*world.a, &old, &batch(&old.lane, &table, &[&[1]])).await;
    assert_fenced(branch.advance(&old, &to(10)).await, "epoch 1 after epoch 2 was claimed");
    assert!(branch.commit().await.is_err(), "a fenced branch said that it was committed");
    assert_eq!(world.ids(&table).await, []);
    assert_eq!((world.position("s").await, new.epoch), (ORIGIN, 2));
}

/// Three lanes of two streams in one branch.
pub async fn target_duty_5_lanes_of_several_streams_move_together(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "several_streams").await;
    let (left, right) = (world.table("left").await, world.table("right").await);
    let mut claims = world.a.claim(&world.request("a", 2)).await.unwrap();
    claims.push(world.claim("b").await);
    let mut branch = world.a.begin(&claims.iter().collect::<Vec<_>>(), None).await.unwrap();
    for (id, (claim, table)) in (1..).zip(claims.iter().zip([&left, &right, &left])) {
        let rejects = branch.write(&batch(&claim.lane, table, &[&[id], &[id + 10]])).await.unwrap();
        assert_eq!(rejects, []);
    }
    for (end, claim) in (10..).zip(&claims) {
        branch.advance(claim, &to(end)).await.unwrap();
    }
    branch.commit().await.unwrap();
    assert_eq!(world.ids(&left).await, [1, 11, 3, 13]);
    assert_eq!(world.ids(&right).await, [2, 12]);
    let positions: Vec<u64> = world.ledger("a").await.iter().map(|row| row.position).collect();
    assert_eq!((positions, world.position("b").await), (vec![10, 11], 12));
}

/// One lane of three was taken over: none moves, no row stays.
pub async fn target_duty_5_one_fenced_lane_stops_them_all(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "one_fenced").await;
    let table = world.table("t").await;
    let mut claims = world.a.claim(&world.request("a", 2)).await.unwrap();
    claims.push(world.claim("b").await);
    world.take_over("b").await;
    let mut branch = world.a.begin(&claims.iter().collect::<Vec<_>>(), None).await.unwrap();
    for (id, claim) in (1..).zip(&claims) {
        branch.write(&batch(&claim.lane, &table, &[&[id]])).await.unwrap();
    }
    branch.advance(&claims[0], &to(10)).await.unwrap();
    branch.advance(&claims[1], &to(10)).await.unwrap();
    assert_fenced(branch.advance(&claims[2], &to(10)).await, "the stream that was taken over");
    assert!(branch.commit().await.is_err(), "a branch with a fenced lane said that it was committed");
    assert_eq!(world.ids(&table).await, []);
    assert!(world.ledger("a").await.iter().all(|row| row.position == ORIGIN));
    assert_eq!(world.position("b").await, ORIGIN);
}

/// The epoch is right and the position is not: a batch that was applied already, or one that skips.
pub async fn branch_duty_3_another_position_cannot_advance(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "other_position").await;
    let table = world.table("t").await;
    let old = world.claim("s").await;
    let mut claim = old.clone();
    apply(&*world.a, &batch(&claim.lane, &table, &[&[1]]), &mut claim, 10).await.unwrap();
    for position in [old.position, 9, 11] {
        let stale = Claim { position, ..old.clone() };
        let mut branch = begin_with(&*world.a, &stale, &batch(&stale.lane, &table, &[&[2]])).await;
        assert_fenced(branch.advance(&stale, &to(20)).await, "the ledger's position is 10");
        branch.rollback().await.unwrap();
    }
    assert_eq!((world.ids(&table).await, world.position("s").await), (vec![1], 10));
    apply(&*world.a, &batch(&claim.lane, &table, &[&[2]]), &mut claim, 20).await.unwrap();
    assert_eq!(world.ids(&table).await, [1, 2]);
}

/// A lane that has no row at all is a fenced lane, and no bad row of the batch.
pub async fn branch_duty_4_a_ledger_error_is_no_row_error(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "ledger_error").await;
    let table = world.table("t").await;
    let claim = world.claim("s").await;
    let mut forged = claim.clone();
    forged.lane.stream = world.stream("nobody");
    let mut branch = begin_with(&*world.a, &forged, &batch(&forged.lane, &table, &[&[1]])).await;
    assert_fenced(branch.advance(&forged, &to(10)).await, "a lane without a row");
    branch.rollback().await.unwrap();
    assert_eq!(world.ids(&table).await, []);
    assert!(world.ledger("nobody").await.is_empty());
}
