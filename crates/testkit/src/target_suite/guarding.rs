//! Target duty 7.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A case fails by panicking.

use standpipe_core::{Column, Guarantee, Mode, Schema, Type};

use super::{
    TargetFixture,
    world::{ORIGIN, World, apply, batch, begin_with, in_mode, to},
};
use crate::target::{Value, block};

/// Transactional: rows and position together or not at all. Idempotent: the same rows twice change nothing. At least once:
/// what was committed is there.
pub async fn target_duty_7_the_guarantee_is_kept(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "guarantee").await;
    match world.a.guarantee() {
        Guarantee::Transactional => transactional(&world).await,
        Guarantee::Idempotent(key) => idempotent(&world, &key).await,
        Guarantee::AtLeastOnce => at_least_once(&world).await,
    }
}

async fn transactional(world: &World<'_>) {
    let table = world.table("t").await;
    let mut claim = world.claim("s").await;
    for end in [10, 20, 30] {
        let rows = batch(&claim.lane, &table, &[&[end]]);
        let mut branch = begin_with(&*world.a, &claim, &rows).await;
        branch.advance(&claim, &to(end as u64)).await.unwrap();
        branch.rollback().await.unwrap();
        assert_eq!(world.ids(&table).await.len() as u64, world.position("s").await / 10);
        apply(&*world.a, &rows, &mut claim, end as u64).await.unwrap();
        assert_eq!(world.ids(&table).await.len() as u64, world.position("s").await / 10);
    }
}

async fn idempotent(world: &World<'_>, key: &[String]) {
    let columns = key.iter().map(|name| Column::new(name, Type::Int8).not_null()).collect();
    let schema = std::sync::Arc::new(Schema::new(columns).unwrap());
    let key: Vec<&str> = key.iter().map(String::as_str).collect();
    let table = world.table_of("t", &schema, &key).await;
    let mut claim = world.claim("s").await;
    let rows: Vec<Vec<Value>> = (0..10).map(|id| vec![Value::Int8(id); key.len()]).collect();
    let mut rows_of_key = in_mode(batch(&claim.lane, &table, &[]), Mode::Upsert, &key);
    rows_of_key.blocks = vec![block(&schema, &rows)];
    for end in [10, 20] {
        let rejects = apply(&*world.a, &rows_of_key, &mut claim, end).await.unwrap();
        assert_eq!(rejects, [], "a row that is there already is no bad row");
        assert_eq!(world.rows(&table).await.len(), 10, "the same rows twice are there twice");
    }
}

async fn at_least_once(world: &World<'_>) {
    let table = world.table("t").await;
    let mut claim = world.claim("s").await;
    assert_eq!(claim.position, ORIGIN);
    apply(&*world.a, &batch(&claim.lane, &table, &[&[1, 2], &[3]]), &mut claim, 10).await.unwrap();
    let ids = world.ids(&table).await;
    assert!([1, 2, 3].iter().all(|id| ids.contains(id)), "committed rows are missing: {ids:?}");
}
