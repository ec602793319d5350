//! Target duty 8, branch duty 2, S1, S3 and the modes.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A case fails by panicking.

use std::sync::Arc;

use standpipe_core::{Batch, Block, Column, Mode, Reject, Schema, Type};

use super::{
    TargetFixture,
    world::{World, apply, assert_same_ids, batch, begin_with, id_rows, in_mode, pair, to},
};
use crate::target::{Value, block};

/// Over blocks, batches and commits the rows of a lane keep their order.
pub async fn target_duty_8_rows_of_a_lane_keep_their_order(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "order").await;
    let table = world.table("t").await;
    let mut claim = world.claim("s").await;
    let ids: Vec<i64> = (0..3_000).map(|n| (n * 7_919) % 3_000).collect();
    for (end, commit) in (2..).zip(ids.chunks(1_000)) {
        let blocks: Vec<&[i64]> = commit.chunks(300).collect();
        let mut branch = begin_with(&*world.a, &claim, &batch(&claim.lane, &table, &blocks[..2])).await;
        branch.write(&batch(&claim.lane, &table, &blocks[2..])).await.unwrap();
        branch.advance(&claim, &to(end)).await.unwrap();
        branch.commit().await.unwrap();
        claim.position = end;
    }
    assert_same_ids(&world.ids(&table).await, &ids, "the order of a lane");
}

/// S1: rows whose key is there already, in several blocks and at every kind of place, are named; all others are kept.
pub async fn branch_duty_2_s1_bad_rows_are_named_and_the_others_stay(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "bad_rows").await;
    let table = world.keyed("t").await;
    let mut claim = world.claim("s").await;
    apply(&*world.a, &batch(&claim.lane, &table, &[&[1, 500, 999]]), &mut claim, 10).await.unwrap();

    let whole: Vec<i64> = (1..=1_000).collect();
    let rows = batch(&claim.lane, &table, &[&[2_000, 1, 2_001], &[], &whole, &[3_000, 3_000, 2_001, 3_001]]);
    let rejects = apply(&*world.a, &rows, &mut claim, 20).await.unwrap();
    assert_eq!(places(&rejects), [(0, 1), (2, 0), (2, 499), (2, 998), (3, 1), (3, 2)]);
    assert!(rejects.iter().all(|reject| !reject.reason.is_empty()), "each says why: {rejects:?}");
    let mut expected = whole;
    expected.extend([2_000, 2_001, 3_000, 3_001]);
    assert_same_ids(&world.sorted_ids(&table).await, &expected, "the good rows of a batch");
    assert_eq!(world.position("s").await, 20);

    apply(&*world.a, &batch(&claim.lane, &table, &[&[4_000]]), &mut claim, 30).await.unwrap();
    assert_eq!(world.sorted_ids(&table).await.last(), Some(&4_000), "the table goes on after bad rows");
}

/// Nothing but bad rows: the lane moves on all the same.
pub async fn branch_duty_2_s1_a_batch_of_bad_rows_alone(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "only_bad").await;
    let table = world.keyed("t").await;
    let mut claim = world.claim("s").await;
    apply(&*world.a, &batch(&claim.lane, &table, &[&[1, 2]]), &mut claim, 10).await.unwrap();
    let rejects =
        apply(&*world.a, &batch(&claim.lane, &table, &[&[1], &[2, 1]]), &mut claim, 20).await.unwrap();
    assert_eq!(places(&rejects), [(0, 0), (1, 0), (1, 1)]);
    assert_eq!((world.sorted_ids(&table).await, world.position("s").await), (vec![1, 2], 20));
    let rejects = apply(&*world.a, &batch(&claim.lane, &table, &[]), &mut claim, 30).await.unwrap();
    assert_eq!((rejects, world.position("s").await), (vec![], 30), "a batch without a row");
}

fn places(rejects: &[Reject]) -> Vec<(usize, u32)> {
    rejects.iter().map(|reject| (reject.block, reject.row)).collect()
}

/// Columns in another order, and columns left out.
pub async fn branch_duty_2_blocks_of_a_batch_may_differ_in_schema(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "schemas").await;
    let table = world.table("t").await;
    let mut claim = world.claim("s").await;
    let turned =
        Arc::new(Schema::new(vec![Column::new("name", Type::Text), Column::new("id", Type::Int8)]).unwrap());
    let short = Arc::new(Schema::new(vec![Column::new("id", Type::Int8)]).unwrap());
    let rows = Batch {
        blocks: vec![
            block(&pair(), &id_rows(&[1])),
            block(&turned, &[vec![Value::text("row 2"), Value::Int8(2)]]),
            block(&short, &[vec![Value::Int8(3)]]),
            block(&pair(), &id_rows(&[4])),
        ],
        ..batch(&claim.lane, &table, &[])
    };
    assert_eq!(apply(&*world.a, &rows, &mut claim, 10).await.unwrap(), []);
    let row = |id: &str, name: Option<&str>| vec![Some(id.to_owned()), name.map(str::to_owned)];
    assert_eq!(
        world.rows(&table).await,
        [row("1", Some("row 1")), row("2", Some("row 2")), row("3", None), row("4", Some("row 4"))]
    );
}

/// The table is emptied by the commit and not before it; rows of the same branch that come later stay.
pub async fn branch_duty_2_truncate_is_part_of_the_commit(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "truncate").await;
    for (part, table) in [("plain", world.table("t").await), ("keyed", world.keyed("k").await)] {
        let mut claim = world.claim(part).await;
        apply(&*world.a, &batch(&claim.lane, &table, &[&[1, 2]]), &mut claim, 10).await.unwrap();
        let mut rows = batch(&claim.lane, &table, &[&[1], &[3]]);
        rows.blocks[0].truncate = true;
        for commits in [false, true] {
            let mut branch = begin_with(&*world.a, &claim, &rows).await;
            branch.write(&batch(&claim.lane, &table, &[&[4]])).await.unwrap();
            branch.advance(&claim, &to(20)).await.unwrap();
            if !fixture.empties_behind_a_lock() {
                assert_eq!(world.sorted_ids(&table).await, [1, 2], "emptied before the commit");
            }
            if commits {
                branch.commit().await.unwrap();
            } else {
                branch.rollback().await.unwrap();
                assert_eq!(
                    world.sorted_ids(&table).await,
                    [1, 2],
                    "emptied by a branch that was rolled back"
                );
            }
        }
        assert_eq!(world.sorted_ids(&table).await, [1, 3, 4]);
        claim.position = 20;
        let empty = Block { truncate: true, ..block(&pair(), &[]) };
        let rows = Batch { blocks: vec![empty], ..batch(&claim.lane, &table, &[]) };
        apply(&*world.a, &rows, &mut claim, 30).await.unwrap();
        assert_eq!(world.ids(&table).await, [], "a block may empty the table and bring no row");
    }
}

/// S3: the same key several times in one block and over blocks.
pub async fn s3_a_key_twice_in_a_batch(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "key_twice").await;
    let modes = fixture.modes();
    for (mode, expected) in
        [(Mode::Upsert, "last"), (Mode::Replace, "last"), (Mode::Ignore, "first"), (Mode::Append, "first")]
    {
        if !modes.contains(&mode) {
            continue;
        }
        let table = world.keyed(mode.name()).await;
        let mut claim = world.claim(mode.name()).await;
        let named = |names: &[&str]| {
            let rows: Vec<_> = names.iter().map(|name| vec![Value::Int8(1), Value::text(*name)]).collect();
            block(&pair(), &rows)
        };
        let rows = Batch {
            blocks: vec![named(&["first", "second"]), named(&["third"]), named(&["fourth", "last"])],
            ..in_mode(batch(&claim.lane, &table, &[]), mode, &["id"])
        };
        let rejects = apply(&*world.a, &rows, &mut claim, 10).await.unwrap();
        let bad: &[(usize, u32)] = if mode == Mode::Append { &[(0, 1), (1, 0), (2, 0), (2, 1)] } else { &[] };
        assert_eq!(places(&rejects), bad, "{}", mode.name());
        let kept = world.rows(&table).await;
        assert_eq!(kept, [vec![Some("1".to_owned()), Some(expected.to_owned())]], "{}", mode.name());
    }
}

/// What each mode does to a row that is there, columns not given included.
pub async fn modes_do_what_they_say(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "modes").await;
    let columns =
        vec![Column::new("id", Type::Int8), Column::new("name", Type::Text), Column::new("n", Type::Int4)];
    let full = Arc::new(Schema::new(columns).unwrap());
    let part =
        Arc::new(Schema::new(vec![Column::new("id", Type::Int8), Column::new("n", Type::Int4)]).unwrap());
    for mode in fixture.modes() {
        let table = world.table_of(mode.name(), &full, &["id"]).await;
        let mut claim = world.claim(mode.name()).await;
        let of = |mode, block| Batch {
            blocks: vec![block],
            ..in_mode(batch(&claim.lane, &table, &[]), mode, &["id"])
        };
        let first = of(mode, block(&full, &[vec![Value::Int8(1), Value::text("a"), Value::Int4(10)]]));
        let second = of(
            mode,
            block(&part, &[vec![Value::Int8(1), Value::Int4(20)], vec![Value::Int8(2), Value::Int4(30)]]),
        );
        assert_eq!(apply(&*world.a, &first, &mut claim, 10).await.unwrap(), []);
        let rejects = apply(&*world.a, &second, &mut claim, 20).await.unwrap();
        let (bad, name, n): (&[(usize, u32)], _, _) = match mode {
            Mode::Append => (&[(0, 0)], Some("a"), "10"),
            Mode::Upsert => (&[], Some("a"), "20"),
            Mode::Replace => (&[], None, "20"),
            _ => (&[], Some("a"), "10"),
        };
        assert_eq!(places(&rejects), bad, "{}", mode.name());
        let row = |id: &str, name: Option<&str>, n: &str| {
            vec![Some(id.to_owned()), name.map(str::to_owned), Some(n.to_owned())]
        };
        let mut rows = world.rows(&table).await;
        rows.sort();
        assert_eq!(rows, [row("1", name, n), row("2", None, "30")], "{}", mode.name());
    }
}
