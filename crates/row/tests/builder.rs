//! What the builder takes, refuses and takes back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use standpipe_core::{Column, Lines, Schema, Type};
use standpipe_row::{BlockBuilder, NonFinite, RowError, Tuples, Value};

fn builder(columns: &[(&str, Type)]) -> BlockBuilder {
    let columns = columns.iter().map(|(name, kind)| Column::new(*name, *kind)).collect();
    BlockBuilder::new(Arc::new(Schema::new(columns).unwrap()))
}

type Write = fn(&mut BlockBuilder) -> &mut BlockBuilder;

fn fault(kind: Type, write: impl FnOnce(&mut BlockBuilder) -> &mut BlockBuilder) -> String {
    let mut builder = builder(&[("c", kind)]);
    builder.begin_row();
    write(&mut builder);
    let fault = builder.end_row().unwrap_err();
    assert_eq!(fault.column.as_deref(), Some("c"), "{fault}");
    let block = builder.finish();
    assert_eq!((block.rows, block.tuples.len()), (0, 0), "a bad row leaves no trace");
    fault.reason
}

#[test]
fn values_that_do_not_fit_are_refused_with_what_was_expected() {
    let cases: Vec<(Type, Write, &str)> = vec![
        (Type::Int2, |b| b.int(32_768), "expected an integer from -32768 to 32767, found 32768"),
        (
            Type::Int4,
            |b| b.int(1 << 31),
            "expected an integer from -2147483648 to 2147483647, found 2147483648",
        ),
        (Type::Float8, |b| b.int((1 << 53) + 1), "holds exactly, found 9007199254740993"),
        (Type::Float8, |b| b.float(f64::NAN), "expected a finite number"),
        (Type::Float4, |b| b.float(f64::INFINITY), "expected a finite number"),
        (Type::Float4, |b| b.float(1e39), "within the range of float4"),
        (Type::Text, |b| b.text("a\0b"), "expected text without NUL (byte 0), found \"a\\0b\""),
        (Type::Text, |b| b.int(5), "expected text, found 5"),
        (Type::Bool, |b| b.int(1), "expected true or false, found 1"),
        (Type::Int8, |b| b.text("5"), "expected an integer, found \"5\""),
        (Type::Date, |b| b.date(i32::MAX), "years 1 to 9999"),
        (Type::Time, |b| b.time(86_400_000_000), "microseconds of one day"),
        (Type::Timestamp, |b| b.timestamp(i64::MIN), "years 1 to 9999"),
        (Type::Timestamp, |b| b.date(1), "expected a timestamp"),
        (Type::Json, |b| b.json("{"), "expected JSON, found \"{\""),
        (Type::Uuid, |b| b.bytes(&[0; 16]), "expected a UUID"),
        (Type::Bytea, |b| b.bool(true), "expected bytes, found true"),
    ];
    for (kind, write, expected) in cases {
        let reason = fault(kind, write);
        assert!(reason.contains(expected), "{kind}: {reason:?}");
    }
}

#[test]
fn text_that_does_not_fit_is_refused() {
    for (kind, text, expected) in [
        (Type::Bool, "2", "true or false"),
        (Type::Int2, "40000", "from -32768 to 32767"),
        (Type::Int2, "99999999999999999999", "from -32768 to 32767"),
        (Type::Int4, "1.5", "an integer, found \"1.5\""),
        (Type::Int8, "9223372036854775808", "to 9223372036854775807"),
        (Type::Float8, "NaN", "a finite number"),
        (Type::Float4, "-inf", "a finite number"),
        (Type::Float8, "1e999", "range of float8"),
        (Type::Text, "a\0", "without NUL"),
        (Type::Bytea, "00", "\\x"),
        (Type::Bytea, "\\x0", "\\x"),
        (Type::Bytea, "\\x0g", "\\x"),
        (Type::Date, "2013-02-30", "the calendar has"),
        (Type::Time, "25:00:00", "23:59:59"),
        (Type::Timestamp, "2013-01-01T10:00:00Z", "without a zone"),
        (Type::Timestamptz, "2013-01-01T10:00:00", "with a zone"),
        (Type::Timestamptz, "2013-01-01T10:00:00.1234567Z", "at most 6 digits"),
        (Type::Uuid, "xyz", "UUID"),
        (Type::Json, "{\"a\":}", "valid JSON"),
    ] {
        let reason = fault(kind, |b| b.parse(text.as_bytes()));
        assert!(reason.contains(expected), "{kind} {text}: {reason:?}");
    }
    assert!(fault(Type::Text, |b| b.parse(b"\xff\xfe")).contains("expected UTF-8"));
    assert!(fault(Type::Text, |b| b.parse(&[b'x'; 40].map(|_| 0xc3))).contains("expected UTF-8"));
    assert!(fault(Type::Json, |b| b.parse(b"\"\xff\"")).contains("valid JSON"));
}

#[test]
fn non_finite_numbers_are_taken_where_that_is_asked_for() {
    let mut builder = builder(&[("a", Type::Float8), ("b", Type::Float4)]);
    builder.set_non_finite(NonFinite::Allow);
    builder.begin_row().parse(b"NaN").float(f64::NEG_INFINITY).end_row().unwrap();
    let block = builder.finish();
    let tuple = Tuples::new(&block).next().unwrap().unwrap();
    let values: Vec<Value<'_>> = tuple.fields().map(|field| field.value().unwrap()).collect();
    assert!(matches!(values[0], Value::Float(value) if value.is_nan()));
    assert_eq!(values[1], Value::Float(f64::NEG_INFINITY));
}

#[test]
fn not_null_columns_refuse_null_in_both_kinds_of_row() {
    let schema =
        Schema::new(vec![Column::new("a", Type::Int8), Column::new("b", Type::Int8).not_null()]).unwrap();
    let mut builder = BlockBuilder::new(Arc::new(schema));
    for write in [
        |b: &mut BlockBuilder| b.begin_row().int(1).null().end_row(),
        |b: &mut BlockBuilder| b.begin_placed_row().column(0).int(1).end_row(),
        |b: &mut BlockBuilder| b.begin_placed_row().column(1).null().end_row(),
    ] {
        let fault = write(&mut builder).unwrap_err();
        assert_eq!(fault.column.as_deref(), Some("b"), "{fault}");
        assert!(fault.reason.contains("NULL"), "{fault}");
    }
    builder.begin_placed_row().column(1).int(1).end_row().unwrap();
    assert_eq!(builder.finish().rows, 1);
}

#[test]
fn a_row_has_one_value_for_each_column() {
    let mut builder = builder(&[("a", Type::Int8), ("b", Type::Int8)]);
    assert!(builder.begin_row().int(1).end_row().unwrap_err().reason.contains("1 values for 2 columns"));
    assert!(builder.begin_row().int(1).int(2).int(3).end_row().unwrap_err().reason.contains("more values"));
    assert!(builder.end_row().unwrap_err().reason.contains("no row is open"));
    assert!(builder.begin_placed_row().int(1).end_row().is_err());
    assert!(builder.begin_placed_row().column(0).int(1).int(2).end_row().is_err());
    assert!(builder.begin_row().column(0).int(1).end_row().is_err());
    let twice = builder.begin_placed_row().column(1).int(1).column(1).int(2).end_row().unwrap_err();
    assert_eq!((twice.column.as_deref(), twice.reason.as_str()), (Some("b"), "there twice in the row"));
    assert!(builder.finish().tuples.is_empty());
}

#[test]
fn placed_values_come_into_the_order_of_the_columns() {
    let mut straight = builder(&[("a", Type::Int8), ("b", Type::Text), ("c", Type::Bool)]);
    straight.begin_row().int(1).text("x").bool(true).end_row().unwrap();
    straight.begin_row().null().text("y").null().end_row().unwrap();
    let mut placed = builder(&[("a", Type::Int8), ("b", Type::Text), ("c", Type::Bool)]);
    placed.begin_placed_row().column(2).bool(true).column(0).int(1).column(1).text("x").end_row().unwrap();
    // A column that was chosen and got no value is NULL, first or last.
    placed.begin_placed_row().column(0).column(1).text("y").column(2).end_row().unwrap();
    assert_eq!(straight.finish().tuples, placed.finish().tuples);
}

#[test]
fn rejected_rows_keep_their_places_and_lines() {
    let mut builder = builder(&[("a", Type::Int8)]);
    builder.line(2).begin_row().int(1).end_row().unwrap();
    builder.line(3).reject(RowError::of_row("bad"), b"raw");
    builder.line(7).begin_row().int(2).end_row().unwrap();
    builder.begin_row().int(3);
    let size = builder.size_bytes();
    let block = builder.finish();
    assert_eq!((block.rows, block.entries()), (2, 3), "the open row is dropped");
    assert!(size >= block.size_bytes());
    assert_eq!(block.ordinal_of(1), 2);
    assert_eq!(block.origin.line_of(2), Some(7));
    assert_eq!(block.origin.lines, Lines::Each([0, 1, 5].as_slice().into()));
    assert!(builder.is_empty());
    assert_eq!(builder.finish().origin.lines, Lines::Consecutive);
}

#[test]
fn the_size_that_is_told_while_building_is_the_block_s() {
    let mut builder = builder(&[("a", Type::Text)]);
    builder.line(1).begin_row().text("x").end_row().unwrap();
    builder.line(9).reject(RowError { column: Some("a".into()), reason: "r".into() }, b"raw");
    let told = builder.size_bytes();
    assert_eq!(told, builder.finish().size_bytes());
}

#[test]
fn long_rows_and_long_raw_bytes_have_limits() {
    let mut builder = builder(&[("a", Type::Text), ("b", Type::Text)]);
    builder.set_row_bytes_max(100);
    let text = "x".repeat(80);
    let fault = builder.begin_row().text(&text).text(&text).end_row().unwrap_err();
    assert_eq!(fault.column.as_deref(), Some("b"));
    assert!(fault.reason.contains("80 bytes, with which the row is longer than 100"), "{fault}");
    builder.reject(fault, &[b'x'; 100_000]);
    let block = builder.finish();
    assert_eq!(block.rejected[0].raw.len(), BlockBuilder::RAW_BYTES_MAX);
    assert!(block.rejected[0].reason.contains("has 100000 bytes, of which 65536 are kept"));
}

#[test]
fn the_buffer_is_handed_out_without_a_copy() {
    let mut builder = builder(&[("a", Type::Int8)]);
    builder.begin_row().int(1).end_row().unwrap();
    assert_eq!(builder.capacity_bytes(), BlockBuilder::CAPACITY_DEFAULT);
    let block = builder.finish();
    assert_eq!(builder.capacity_bytes(), 0, "nothing is held between blocks");
    assert_eq!(block.tuples.len(), 2 + 4 + 8);
}
