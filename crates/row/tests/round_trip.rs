//! Text to block to value to text, for every type; and what a file's head says of its columns.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::value::RawValue;
use standpipe_core::{Column, Schema, Type};
use standpipe_row::{
    BlockBuilder, CsvEntry, CsvRows, CsvSettings, Inference, JsonEncoder, NonFinite, Tuples, UnknownField,
    Value, render_date, render_json, render_time, render_timestamp, render_uuid,
};

fn builder(kind: Type) -> BlockBuilder {
    BlockBuilder::new(Arc::new(Schema::new(vec![Column::new("c", kind)]).unwrap()))
}

fn rendered(render: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    render(&mut out);
    out
}

fn check(kind: Type, text: &[u8], expected: Value<'_>) -> Result<(), TestCaseError> {
    let mut builder = builder(kind);
    builder.begin_row().parse(text).end_row().map_err(|fault| TestCaseError::fail(fault.to_string()))?;
    let block = builder.finish();
    let tuple = Tuples::new(&block).next().unwrap().unwrap();
    prop_assert_eq!(tuple.fields().next().unwrap().value().unwrap(), expected);
    Ok(())
}

/// A value of every type, as JSON that the encoder takes.
fn any_row() -> impl Strategy<Value = String> {
    let day = -730_119_i32..=2_921_939;
    let us = -63_082_281_600_000_000_i64..252_455_616_000_000_000;
    (
        (any::<Option<bool>>(), any::<i16>(), any::<i32>(), any::<i64>()),
        (-1e30_f32..1e30, any::<f64>().prop_filter("finite", |value| value.is_finite())),
        ("[^\u{0}]{0,40}", prop::collection::vec(any::<u8>(), 0..20)),
        (day, 0_i64..86_400_000_000, us.clone(), us),
        (
            any::<[u8; 16]>(),
            prop::option::of("[a-z\"\\\\\n]{0,5}"),
            "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?(e-?[0-9]{1,2})?",
        ),
    )
        .prop_map(
            |((flag, a, b, c), (f, g), (text, bytes), (day, time, local, instant), (uuid, json, numeric))| {
                let string = |bytes: Vec<u8>| serde_json::Value::String(String::from_utf8(bytes).unwrap());
                let mut hex = b"\\x".to_vec();
                bytes.iter().for_each(|byte| hex.extend(format!("{byte:02x}").bytes()));
                let float4: serde_json::Value =
                    serde_json::from_str(&serde_json::to_string(&f).unwrap()).unwrap();
                let row = serde_json::json!({
                    "c_bool": flag, "c_int2": a, "c_int4": b, "c_int8": c, "c_float4": float4, "c_float8": g,
                    "c_text": text,
                    "c_bytea": string(hex),
                    "c_date": string(rendered(|out| render_date(day, out))),
                    "c_time": string(rendered(|out| render_time(time, out))),
                    "c_timestamp": string(rendered(|out| render_timestamp(local, false, out))),
                    "c_timestamptz": string(rendered(|out| render_timestamp(instant, true, out))),
                    "c_uuid": string(rendered(|out| render_uuid(&uuid, out))),
                    "c_json": json.map(|text| serde_json::json!([text, {"k": 1}])),
                })
                .to_string();
                // serde_json itself would make a float of it.
                format!("{},\"c_numeric\":{numeric}}}", row.strip_suffix('}').unwrap())
            },
        )
}

proptest! {
    #[test]
    fn rendered_rows_make_the_same_rows_again(row in any_row()) {
        let columns = Type::ALL.into_iter().map(|kind| Column::new(format!("c_{kind}"), kind)).collect();
        let schema = Arc::new(Schema::new(columns).unwrap());
        let mut encoder = JsonEncoder::new(&schema, UnknownField::Reject);
        let mut builder = BlockBuilder::new(schema);
        encoder.write(row.as_bytes(), &mut builder).map_err(|fault| TestCaseError::fail(fault.to_string()))?;
        let block = builder.finish();
        let again = render_json(&block, 0).unwrap();
        encoder.write(again.as_bytes(), &mut builder).map_err(|fault| TestCaseError::fail(fault.to_string()))?;
        prop_assert_eq!(&builder.finish().tuples, &block.tuples);
        // And so does serde, from the same object; its own numbers are floats, so that a numeric comes as a string.
        let mut object: serde_json::Value = serde_json::from_str(&again).unwrap();
        let numeric: &RawValue = serde_json::from_str::<BTreeMap<&str, &RawValue>>(&again).unwrap()["c_numeric"];
        object["c_numeric"] = numeric.get().into();
        builder.serialize(&object).map_err(|fault| TestCaseError::fail(fault.to_string()))?;
        prop_assert_eq!(render_json(&builder.finish(), 0).unwrap(), again);
    }

    #[test]
    fn integers_are_read_as_the_standard_library_reads_them(value in any::<i64>(), zeros in 0_usize..4, point in any::<bool>()) {
        let fraction = if point { format!(".{}", "0".repeat(zeros)) } else { String::new() };
        check(Type::Int8, format!("{value}{fraction}").as_bytes(), Value::Int(value))?;
        let narrow = i32::try_from(value >> 33).unwrap();
        check(Type::Int4, narrow.to_string().as_bytes(), Value::Int(narrow.into()))?;
    }

    #[test]
    fn floats_keep_every_bit(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        check(Type::Float8, format!("{value:?}").as_bytes(), Value::Float(value))?;
    }

    #[test]
    fn text_is_taken_as_it_is(text in "[^\u{0}]{0,80}") {
        check(Type::Text, text.as_bytes(), Value::Text(&text))?;
    }

    /// Whatever the bytes: a value or a fault that leaves no trace, and never a panic.
    #[test]
    fn any_bytes_are_a_value_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "[-0-9:TZ+. e\\\\x]{0,30}") {
        for kind in Type::ALL {
            for input in [&bytes[..], text.as_bytes()] {
                let mut builder = builder(kind);
                builder.set_non_finite(NonFinite::Allow);
                let taken = builder.begin_row().parse(input).end_row().is_ok();
                let block = builder.finish();
                prop_assert_eq!(block.rows, u32::from(taken));
                prop_assert_eq!(block.tuples.is_empty(), !taken);
                for tuple in Tuples::new(&block) {
                    prop_assert!(tuple.unwrap().fields().all(|field| field.value().is_ok()));
                }
            }
        }
    }

    /// A schema that was guessed from records takes these records.
    #[test]
    fn a_guessed_schema_takes_what_it_was_guessed_from(
        values in prop::collection::vec(
            prop::sample::select(vec!["", "1", "-5", "517.0", "1.5", "1e3", "true", "False", "2013-01-01",
                "2013-01-01T10:00:00", "2013-01-01 10:00:00Z", "007", "+5", "x", "9223372036854775808", "NaN", "-", "."]),
            1..6,
        ),
    ) {
        let text: String = values.iter().map(|value| format!("{value},k\n")).collect();
        let header = ["a", "k"].map(str::to_owned);
        let settings = CsvSettings::default();
        let mut inference = Inference::of_csv(&header, &settings);
        let mut rows = CsvRows::new(text.as_bytes(), settings.clone()).unwrap();
        while let Some(CsvEntry::Record(record)) = rows.read().unwrap() {
            inference.observe_csv(&record);
        }
        let schema = Arc::new(inference.finish().unwrap());
        let encoder = standpipe_row::CsvEncoder::new(&schema, &header, &settings).unwrap();
        let mut builder = BlockBuilder::new(schema);
        let mut rows = CsvRows::new(text.as_bytes(), settings).unwrap();
        while let Some(entry) = rows.read().unwrap() {
            encoder.encode(&entry, &mut builder);
        }
        prop_assert_eq!(builder.finish().rejected, vec![]);
    }
}

fn guessed(values: &[&str]) -> Type {
    let settings = CsvSettings::default();
    let header = ["a", "k"].map(str::to_owned);
    let mut inference = Inference::of_csv(&header, &settings);
    for value in values {
        // Each from a spot of its own.
        let text = format!("{value},k\n");
        let mut spot = Inference::of_csv(&header, &settings);
        let mut rows = CsvRows::new(text.as_bytes(), settings.clone()).unwrap();
        let Some(CsvEntry::Record(record)) = rows.read().unwrap() else { panic!("a record") };
        spot.observe_csv(&record);
        inference.merge(&spot);
    }
    inference.finish().unwrap().columns()[0].kind
}

#[test]
fn columns_are_guessed_by_the_rules() {
    for (values, kind) in [
        (&["1", "-2", ""][..], Type::Int8),
        (&["517.0", "", "533.0"], Type::Int8),
        (&["517.0", "", "533"], Type::Int8),
        (&["517.0", "533.0"], Type::Float8),
        (&["517.0", "533.5", ""], Type::Float8),
        (&["1", "1e3"], Type::Float8),
        (&["0.5", ".5", "-1.25"], Type::Float8),
        (&["0", "0.0", ""], Type::Int8),
        (&["007", "8"], Type::Text),
        (&["+5"], Type::Text),
        (&["9223372036854775807"], Type::Int8),
        (&["9223372036854775808"], Type::Text),
        (&["1", "9223372036854775808"], Type::Text),
        (&["true", "FALSE", ""], Type::Bool),
        (&["t", "f"], Type::Text),
        (&["1", "0"], Type::Int8),
        (&["true", "1"], Type::Text),
        (&["2013-01-31", ""], Type::Date),
        (&["2013-02-31"], Type::Text),
        (&["0013-02-01"], Type::Date),
        (&["2013-01-31T10:00:00", "2013-01-31 10:00:00.5"], Type::Timestamp),
        (&["2013-01-31T10:00:00Z", "2013-01-31T10:00:00+01"], Type::Timestamptz),
        (&["2013-01-31T10:00:00Z", "2013-01-31T10:00:00"], Type::Text),
        (&["2013-01-31", "2013-01-31T10:00:00"], Type::Text),
        (&["NaN"], Type::Text),
        (&["", ""], Type::Text),
        (&[], Type::Text),
        (&["x", "1"], Type::Text),
        (&["67e55044-10b1-426f-9247-bb680e5fe0c8"], Type::Text),
    ] {
        assert_eq!(guessed(values), kind, "{values:?}");
    }
}

#[test]
fn columns_of_json_are_guessed_by_the_rules() {
    let mut inference = Inference::of_json();
    assert!(inference.observe_json(
        br#"{"id":1,"maybe":517.0,"all":1.0,"code":"007","n":"5","at":"2013-01-01T10:00:00Z","deep":{"a":1},"mixed":[1],"none":null,"flag":true}"#
    ));
    assert!(!inference.observe_json(b"[1]"));
    assert!(!inference.observe_json(b"{\"lost\":1"));
    let mut spot = Inference::of_json();
    assert!(spot.observe_json(
        br#"{"late":1.5,"id":2,"all":2.0,"code":"1","n":"6","at":"2013-01-01T10:00:00Z","deep":[],"mixed":"x","flag":false}"#
    ));
    inference.merge(&spot);
    let schema = inference.finish().unwrap();
    let told: Vec<_> = schema.columns().iter().map(|column| (column.name.as_str(), column.kind)).collect();
    assert_eq!(
        told,
        [
            ("id", Type::Int8),
            ("maybe", Type::Int8),
            ("all", Type::Float8),
            ("code", Type::Text),
            ("n", Type::Text),
            ("at", Type::Timestamptz),
            ("deep", Type::Json),
            ("mixed", Type::Text),
            ("none", Type::Text),
            ("flag", Type::Bool),
            ("late", Type::Float8),
        ]
    );
    assert!(schema.columns().iter().all(|column| column.nullable));
    assert!(Inference::of_json().finish().is_err());
}
