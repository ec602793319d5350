//! `create`, `describe` and `add_column`.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A case fails by panicking.

use std::sync::Arc;

use standpipe_core::{Batch, Column, Schema, Type};

use super::{
    TargetFixture,
    world::{World, apply, batch},
};
use crate::target::{Value, block};

/// A table is made once, is described as it was made, and takes a further column; awkward names included.
pub async fn create_describe_and_add_column(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "tables").await;
    assert_eq!(world.b.describe(&world.name("absent")).await.unwrap(), None);

    let columns = vec![
        Column::new("id", Type::Int8).not_null(),
        Column::new("select", Type::Text),
        Column::new("Two Words \"q\"", Type::Float8),
    ];
    let schema = Arc::new(Schema::new(columns).unwrap());
    let table = world.table_of("a b\"c", &schema, &["id"]).await;
    let shape = world.b.describe(&table).await.unwrap().unwrap();
    let names: Vec<&str> = shape.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["id", "select", "Two Words \"q\""]);
    assert_eq!(shape.keys.first(), Some(&vec!["id".to_owned()]), "the primary key comes first");
    assert!(!shape.column("id").unwrap().nullable && shape.column("select").unwrap().nullable);
    assert!(shape.columns.iter().all(|column| !column.generated && !column.declared.is_empty()));

    let mut claim = world.claim("s").await;
    let row = |id| vec![Value::Int8(id), Value::text("x"), Value::Float8(0.5)];
    let rows = Batch { blocks: vec![block(&schema, &[row(1)])], ..batch(&claim.lane, &table, &[]) };
    assert_eq!(apply(&*world.a, &rows, &mut claim, 10).await.unwrap(), []);

    let other = Schema::new(vec![Column::new("other", Type::Text)]).unwrap();
    world.b.create(&table, &other, &[]).await.unwrap();
    assert_eq!(world.b.describe(&table).await.unwrap(), Some(shape), "a table that exists is left as it is");

    let added = Column::new("added", Type::Text);
    world.b.add_column(&table, &added).await.unwrap();
    world.a.add_column(&table, &added).await.unwrap();
    let shape = world.a.describe(&table).await.unwrap().unwrap();
    assert_eq!(shape.columns.iter().filter(|column| column.name == "added").count(), 1);
    let wider = Arc::new(Schema::new(vec![Column::new("id", Type::Int8), added]).unwrap());
    let rows = Batch {
        blocks: vec![block(&wider, &[vec![Value::Int8(2), Value::text("new")]])],
        ..batch(&claim.lane, &table, &[])
    };
    assert_eq!(apply(&*world.a, &rows, &mut claim, 20).await.unwrap(), []);
    let mut rows = world.rows(&table).await;
    rows.sort();
    let last: Vec<_> = rows.iter().map(|row| row.last().unwrap().as_deref()).collect();
    assert_eq!(last, [None, Some("new")]);
}
