//! Branch duties 1, 6 and 7, S8, and `close`.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A case fails by panicking.

use std::pin::pin;

use standpipe_core::DeadLetter;

use super::{
    TargetFixture,
    world::{ORIGIN, World, apply, assert_fenced, assert_same_ids, batch, begin_with, letter, to},
};
use crate::poll::{poll_times, until};

/// Rows and positions are seen by others after the commit, all together, and not before.
pub async fn branch_duty_1_nothing_is_seen_before_the_commit(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "not_seen").await;
    let table = world.table("t").await;
    let claim = world.claim("s").await;
    let mut branch = begin_with(&*world.a, &claim, &batch(&claim.lane, &table, &[&[1], &[2]])).await;
    assert_eq!(world.ids(&table).await, [], "rows of an open branch are seen");
    branch.write(&batch(&claim.lane, &table, &[&[3]])).await.unwrap();
    branch.advance(&claim, &to(10)).await.unwrap();
    assert_eq!(world.ids(&table).await, []);
    branch.commit().await.unwrap();
    assert_eq!((world.ids(&table).await, world.position("s").await), (vec![1, 2, 3], 10));

    let claim = world.take_over("s").await;
    let mut branch = begin_with(&*world.a, &claim, &batch(&claim.lane, &table, &[&[4]])).await;
    branch.advance(&claim, &to(20)).await.unwrap();
    branch.rollback().await.unwrap();
    assert_eq!((world.ids(&table).await, world.position("s").await), (vec![1, 2, 3], 10));
}

/// Dead letters come and go with the branch that holds them.
pub async fn branch_duty_1_dead_letters_are_part_of_the_commit(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "letters").await;
    let (table, letters) = (world.table("t").await, world.name("letters"));
    let claim = world.claim("s").await;
    for commits in [false, true] {
        let mut branch = begin_with(&*world.a, &claim, &batch(&claim.lane, &table, &[&[1]])).await;
        let bad: Vec<DeadLetter> = (0..3).map(|ordinal| letter(&claim, &table, ordinal)).collect();
        branch.dead_letter(&letters, &bad[..2]).await.unwrap();
        branch.dead_letter(&letters, &bad[2..]).await.unwrap();
        branch.advance(&claim, &to(10)).await.unwrap();
        if commits {
            branch.commit().await.unwrap();
            assert_eq!(world.rows(&letters).await.len(), 3);
            assert_eq!((world.ids(&table).await, world.position("s").await), (vec![1], 10));
        } else {
            branch.rollback().await.unwrap();
            // The table may be there already or not; the letters may not.
            let kept = match world.b.describe(&letters).await.unwrap() {
                Some(_) => world.rows(&letters).await.len(),
                None => 0,
            };
            assert_eq!((kept, world.ids(&table).await), (0, vec![]));
        }
    }
    let claim = world.take_over("s").await;
    let mut branch = world.b.begin(&[&claim], None).await.unwrap();
    branch.dead_letter(&letters, &[letter(&claim, &table, 9)]).await.unwrap();
    drop(branch);
    world.take_over("s").await;
    assert_eq!(world.rows(&letters).await.len(), 3, "a letter of a dropped branch stayed");
}

/// A branch that is dropped at any point leaves nothing, holds nobody up, and its connection goes on.
pub async fn branch_duty_6_a_dropped_branch_leaves_nothing(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "dropped").await;
    let table = world.table("t").await;
    let mut claim = world.claim("s").await;
    for advanced in [false, true] {
        let mut branch = begin_with(&*world.a, &claim, &batch(&claim.lane, &table, &[&[1]])).await;
        if advanced {
            branch.advance(&claim, &to(10)).await.unwrap();
        }
        drop(branch);
        claim = world.take_over("s").await;
        assert_eq!((claim.position, world.ids(&table).await), (ORIGIN, vec![]));
        // The first connection is the one that was dropped in the middle of something.
        claim = world.claim("s").await;
    }
    apply(&*world.a, &batch(&claim.lane, &table, &[&[2]]), &mut claim, 10).await.unwrap();
    assert_eq!((world.ids(&table).await, world.position("s").await), (vec![2], 10));
}

/// `begin` and `write` whose futures are dropped after some polls.
pub async fn branch_duty_6_a_dropped_write_leaves_nothing(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "cancelled").await;
    let table = world.table("t").await;
    let ids: Vec<i64> = (0..500).collect();
    let mut claim = world.claim("s").await;
    for polls in 0..6 {
        let rows = batch(&claim.lane, &table, &[&ids, &ids]);
        let beginning = [&claim];
        drop(poll_times(pin!(world.a.begin(&beginning, None)), polls).await);
        let mut branch = world.a.begin(&[&claim], None).await.unwrap();
        let _ = poll_times(pin!(branch.write(&rows)), polls).await;
        drop(branch);
        claim = world.take_over("s").await;
        assert_eq!(claim.position, ORIGIN, "after {polls} polls");
        assert_same_ids(&world.ids(&table).await, &[], "a write that was dropped");
    }
    apply(&*world.a, &batch(&claim.lane, &table, &[&ids]), &mut claim, 10).await.unwrap();
    assert_same_ids(&world.ids(&table).await, &ids, "the write after it");
}

/// What concerns the whole branch leaves it fit for `rollback` only.
pub async fn branch_duty_7_a_failed_branch_cannot_be_committed(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "failed").await;
    let table = world.table("t").await;
    let claim = world.claim("s").await;
    let nowhere = world.name("absent");
    for ends in ["commit", "rollback", "drop"] {
        let mut branch = begin_with(&*world.a, &claim, &batch(&claim.lane, &table, &[&[1]])).await;
        branch
            .write(&batch(&claim.lane, &nowhere, &[&[2]]))
            .await
            .expect_err("there is no such table: it concerns every row, so none of them is a reject");
        match ends {
            "commit" => {
                // Some databases would go on; the seam does not.
                let _ = branch.advance(&claim, &to(10)).await;
                assert!(branch.commit().await.is_err(), "a failed branch said that it was committed");
            }
            "rollback" => branch.rollback().await.unwrap(),
            _ => drop(branch),
        }
        assert_eq!((world.ids(&table).await, world.position("s").await), (vec![], ORIGIN), "{ends}");
    }
    apply(&*world.a, &batch(&claim.lane, &table, &[&[3]]), &mut claim.clone(), 10).await.unwrap();
    assert_eq!(world.ids(&table).await, [3]);
}

/// S8: whatever `commit` says yes to is there.
pub async fn s8_nothing_committed_is_never_reported_as_committed(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "s8").await;
    let table = world.table("t").await;
    let old = world.claim("s").await;
    let mut claim = world.take_over("s").await;
    let mut branch = begin_with(&*world.a, &old, &batch(&old.lane, &table, &[&[1]])).await;
    assert_fenced(branch.advance(&old, &to(10)).await, "an old epoch");
    assert!(branch.commit().await.is_err(), "a fenced branch said that it was committed");
    assert_eq!((world.ids(&table).await, world.position("s").await), (vec![], ORIGIN));

    if fixture.lose_next_commit(false) {
        let outcome = apply(&*world.b, &batch(&claim.lane, &table, &[&[2]]), &mut claim, 10).await;
        assert!(outcome.is_err(), "the connection was lost at COMMIT and it said yes");
        assert_eq!((world.ids(&table).await, world.position("s").await), (vec![], ORIGIN));
    }
    for (id, end) in [(3, 10), (4, 20)] {
        apply(&*world.b, &batch(&claim.lane, &table, &[&[id]]), &mut claim, end).await.unwrap();
        assert_eq!(world.ids(&table).await.last(), Some(&id), "commit said yes");
        assert_eq!(world.position("s").await, end, "commit said yes");
    }
}

/// `close` with a branch open: nothing of it stays, it cannot be committed any more, and nobody waits for it.
pub async fn close_rolls_open_branches_back(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "closed").await;
    let table = world.table("t").await;
    let claim = world.claim("s").await;
    let mut branch = begin_with(&*world.a, &claim, &batch(&claim.lane, &table, &[&[1]])).await;
    branch.advance(&claim, &to(10)).await.unwrap();
    let mut closing = pin!(world.a.close());
    match until(closing.as_mut(), pin!(fixture.settle())).await {
        Some(closed) => {
            closed.unwrap();
            assert!(branch.commit().await.is_err(), "a branch of a closed target said that it was committed");
        }
        // It may wait for the branch to end by itself.
        None => {
            drop(branch);
            closing.await.unwrap();
        }
    }
    let mut claim = world.take_over("s").await;
    assert_eq!((claim.position, world.ids(&table).await), (ORIGIN, vec![]));
    apply(&*world.b, &batch(&claim.lane, &table, &[&[2]]), &mut claim, 10).await.unwrap();
    assert_eq!(world.ids(&table).await, [2]);
}
