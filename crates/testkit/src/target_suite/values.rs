//! Values come back as they were given.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A case fails by panicking.

use std::sync::Arc;

use standpipe_core::{Batch, Column, Schema, Type};

use super::{
    TargetFixture, same_text,
    world::{World, apply, batch},
};
use crate::target::{Value, block};

/// Edges of every type, and NULL, each type in a table of its own.
pub async fn values_of_every_type_come_back(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "values").await;
    for kind in fixture.types() {
        let mut values = edges(kind);
        if kind == Type::Numeric {
            values.extend(fixture.special_numerics().into_iter().map(|text| Value::Numeric(text.to_owned())));
        }
        come_back(&world, kind.name(), kind, values).await;
    }
}

/// Text that others lose: empty, blank, quoted, of other scripts, long, or looking like NULL.
pub async fn empty_text_null_and_unicode_come_back(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "texts").await;
    let long = "0123456789\u{fc}".repeat(20_000);
    let texts = [
        "",
        " ",
        "a ",
        " a",
        "NULL",
        "null",
        "\\N",
        "'",
        "''",
        "\"",
        "\\",
        "\\\\.",
        "a\nb",
        "a\r\nb",
        "\t",
        ",",
        ";",
        "%s ? $1 :x",
        "\u{e9}",
        "e\u{301}",
        "\u{1f6b0}\u{200d}",
        "\u{feff}bom",
        "\u{202e}rtl",
        "\u{1}",
        "\u{7f}",
        &long,
    ];
    let mut values = vec![Value::Null];
    for text in texts {
        values.push(Value::text(text));
        values.push(Value::Null);
    }
    come_back(&world, "text", Type::Text, values).await;
}

async fn come_back(world: &World<'_>, part: &str, kind: Type, values: Vec<Value>) {
    let columns = vec![Column::new("id", Type::Int8), Column::new("value", kind)];
    let schema = Arc::new(Schema::new(columns).unwrap());
    let table = world.table_of(part, &schema, &[]).await;
    let mut claim = world.claim(part).await;
    let rows: Vec<_> = (0..).zip(&values).map(|(id, value)| vec![Value::Int8(id), value.clone()]).collect();
    let written = Batch { blocks: vec![block(&schema, &rows)], ..batch(&claim.lane, &table, &[]) };
    assert_eq!(apply(&*world.a, &written, &mut claim, 10).await.unwrap(), [], "{kind}");
    let mut read = world.rows(&table).await;
    read.sort_by_key(|row| row[0].as_deref().unwrap().parse::<i64>().unwrap());
    assert_eq!(read.len(), values.len(), "{kind}");
    for (row, value) in read.iter().zip(&values) {
        let expected = value.to_text();
        assert!(
            same_text(kind, row[1].as_deref(), expected.as_deref()),
            "{kind}: wrote {expected:?}, read {:?}",
            row[1]
        );
    }
}

fn edges(kind: Type) -> Vec<Value> {
    let stamps = [0, -1, 1, 762_480_000_123_456, -63_082_281_600_000_000, 252_455_615_999_999_999];
    let mut values = match kind {
        Type::Bool => vec![Value::Bool(true), Value::Bool(false)],
        Type::Int2 => [0, 1, -1, i16::MIN, i16::MAX].map(Value::Int2).to_vec(),
        Type::Int4 => [0, 1, -1, i32::MIN, i32::MAX].map(Value::Int4).to_vec(),
        Type::Int8 => [0, 1, -1, i64::MIN, i64::MAX, (1 << 53) + 1].map(Value::Int8).to_vec(),
        Type::Float4 => {
            [0.0, 0.1, -1.5, 16_777_216.0, f32::MAX, f32::MIN_POSITIVE].map(Value::Float4).to_vec()
        }
        Type::Float8 => {
            [0.0, 0.1, -1.5, 1e300, f64::MAX, f64::MIN_POSITIVE, 0.1 + 0.2].map(Value::Float8).to_vec()
        }
        Type::Text => ["", "text", "\u{fc}\u{1f6b0}"].map(Value::text).to_vec(),
        Type::Bytea => {
            vec![Value::Bytea(Vec::new()), Value::Bytea(vec![0]), Value::Bytea((0..=255).collect())]
        }
        Type::Date => [0, -1, 59, 8_825, -730_119, 2_921_939].map(Value::Date).to_vec(),
        Type::Time => [0, 1, 43_200_000_000, 86_399_999_999].map(Value::Time).to_vec(),
        Type::Timestamp => stamps.map(Value::Timestamp).to_vec(),
        Type::Timestamptz => stamps.map(Value::Timestamptz).to_vec(),
        Type::Uuid => vec![
            Value::Uuid([0; 16]),
            Value::Uuid([0xff; 16]),
            Value::Uuid(*b"\x01\x23\x45\x67\x89\xab\xcd\xef\xfe\xdc\xba\x98\x76\x54\x32\x10"),
        ],
        Type::Json => ["{}", "null", "[1,\"\u{fc}\",null]", "{\"a\":{\"b\":[]}}"]
            .map(|text| Value::Json(text.to_owned()))
            .to_vec(),
        Type::Numeric => numerics(),
        other => panic!("the suite knows no values of type {other}"),
    };
    values.push(Value::Null);
    values
}

fn numerics() -> Vec<Value> {
    let mut texts: Vec<String> = [
        "0",
        "0.00",
        "1",
        "-1",
        "0.1",
        "1.50",
        "0.0001",
        "-0.00010000",
        "9999",
        "10000",
        "100000000",
        "99999999.9999",
        "-12345.678",
        "18446744073709551616",
        "0.3333333333333333333333333333333333",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push(format!("1{}", "0".repeat(130)));
    texts.push(format!("-0.{}1", "0".repeat(129)));
    texts.push(format!("{}.{}", "1234567890".repeat(30), "0987654321".repeat(30)));
    texts.into_iter().map(Value::Numeric).collect()
}
