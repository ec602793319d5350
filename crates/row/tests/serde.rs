//! Rows from structs and maps.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;
use standpipe_core::{Column, Schema, Type};
use standpipe_row::{BlockBuilder, render_json, trace};

fn builder(columns: &[(&str, Type)]) -> BlockBuilder {
    let columns = columns.iter().map(|(name, kind)| Column::new(*name, *kind)).collect();
    BlockBuilder::new(Arc::new(Schema::new(columns).unwrap()))
}

fn row(builder: &mut BlockBuilder) -> String {
    let block = builder.finish();
    assert_eq!(block.rows, 1);
    render_json(&block, 0).unwrap()
}

#[derive(Serialize)]
struct Meters(f64);

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Open,
    Shut { since: u32 },
}

#[derive(Serialize)]
struct Inner {
    x: i32,
    y: Option<&'static str>,
}

#[derive(Serialize)]
struct Everything {
    flag: bool,
    small: i8,
    large: u64,
    ratio: f32,
    depth: Meters,
    letter: char,
    name: Option<String>,
    missing: Option<i64>,
    state: State,
    other: State,
    inner: Inner,
    list: Vec<Inner>,
    pair: (i32, &'static str),
    map: BTreeMap<String, i32>,
    blob: Vec<u8>,
    id: [u8; 16],
    day: &'static str,
    at: &'static str,
    nothing: (),
    any: Option<Inner>,
    word: &'static str,
}

fn everything() -> Everything {
    Everything {
        flag: true,
        small: -7,
        large: 1 << 60,
        ratio: 0.1,
        depth: Meters(3.5),
        letter: 'é',
        name: Some("x".into()),
        missing: None,
        state: State::Open,
        other: State::Shut { since: 5 },
        inner: Inner { x: 1, y: None },
        list: vec![Inner { x: 2, y: Some("q") }],
        pair: (1, "a"),
        map: BTreeMap::from([("k".into(), 1)]),
        blob: vec![1, 255],
        id: [0xab; 16],
        day: "2013-01-31",
        at: "2013-01-31T10:00:00.5+01:00",
        nothing: (),
        any: None,
        word: "\"",
    }
}

#[test]
fn every_kind_of_field_reaches_its_column() {
    let mut builder = builder(&[
        ("flag", Type::Bool),
        ("small", Type::Int2),
        ("large", Type::Int8),
        ("ratio", Type::Float4),
        ("depth", Type::Float8),
        ("letter", Type::Text),
        ("name", Type::Text),
        ("missing", Type::Int8),
        ("state", Type::Text),
        ("other", Type::Text),
        ("inner", Type::Json),
        ("list", Type::Json),
        ("pair", Type::Json),
        ("map", Type::Text),
        ("blob", Type::Bytea),
        ("id", Type::Uuid),
        ("day", Type::Date),
        ("at", Type::Timestamptz),
        ("nothing", Type::Text),
        ("any", Type::Json),
        ("word", Type::Json),
    ]);
    builder.serialize(&everything()).unwrap();
    assert_eq!(
        row(&mut builder),
        concat!(
            r#"{"flag":true,"small":-7,"large":1152921504606846976,"ratio":0.1,"depth":3.5,"letter":"é","name":"x","#,
            r#""missing":null,"state":"open","other":"{\"shut\":{\"since\":5}}","inner":{"x":1,"y":null},"#,
            r#""list":[{"x":2,"y":"q"}],"pair":[1,"a"],"map":"{\"k\":1}","blob":"\\x01ff","#,
            r#""id":"abababab-abab-abab-abab-abababababab","day":"2013-01-31","at":"2013-01-31T09:00:00.5Z","#,
            r#""nothing":null,"any":null,"word":"\""}"#,
        )
    );
}

#[test]
fn a_traced_schema_takes_what_it_was_traced_from() {
    let schema = trace(&everything()).unwrap();
    let kind = |name: &str| schema.columns()[schema.index_of(name).unwrap()].kind;
    assert_eq!(kind("flag"), Type::Bool);
    assert_eq!(kind("small"), Type::Int2);
    assert_eq!(kind("ratio"), Type::Float4);
    assert_eq!(kind("depth"), Type::Float8);
    assert_eq!(kind("missing"), Type::Text);
    assert_eq!(kind("state"), Type::Text);
    assert_eq!(kind("other"), Type::Json);
    assert_eq!(kind("inner"), Type::Json);
    assert_eq!(kind("blob"), Type::Json);
    let mut builder = BlockBuilder::new(Arc::new(schema));
    builder.serialize(&everything()).unwrap();
    assert!(trace(&5).is_err());
    assert!(trace(&vec![1]).is_err());
    assert!(trace(&BTreeMap::<String, i32>::new()).is_err());
}

#[derive(Serialize)]
struct Ab {
    a: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    b: Option<i64>,
    c: &'static str,
}

#[test]
fn order_does_not_matter_nor_do_fields_that_come_and_go() {
    let mut builder = builder(&[("c", Type::Text), ("b", Type::Int8), ("a", Type::Int8), ("z", Type::Bool)]);
    for (b, expected) in [
        (Some(2), r#"{"c":"x","b":2,"a":1,"z":null}"#),
        (None, r#"{"c":"x","b":null,"a":1,"z":null}"#),
        (Some(3), r#"{"c":"x","b":3,"a":1,"z":null}"#),
    ] {
        builder.serialize(&Ab { a: 1, b, c: "x" }).unwrap();
        assert_eq!(row(&mut builder), expected);
    }
    builder.serialize(&HashMap::from([("a", 5), ("b", 6)])).unwrap();
    assert_eq!(row(&mut builder), r#"{"c":null,"b":6,"a":5,"z":null}"#);
}

#[test]
fn numbers_convert_where_nothing_is_lost() {
    let mut builder = builder(&[("a", Type::Int8), ("b", Type::Float8), ("c", Type::Text)]);
    builder.serialize(&serde_json::json!({"a": 5.0, "b": 7, "c": 1.25})).unwrap();
    assert_eq!(row(&mut builder), r#"{"a":5,"b":7.0,"c":"1.25"}"#);
    builder.serialize(&serde_json::json!({"c": u64::MAX})).unwrap();
    assert_eq!(row(&mut builder), r#"{"a":null,"b":null,"c":"18446744073709551615"}"#);
    for (bad, column, expected) in [
        (serde_json::json!({"a": 5.5}), "a", "expected an integer, found 5.5"),
        (serde_json::json!({"a": u64::MAX}), "a", "9223372036854775807, found 18446744073709551615"),
        (serde_json::json!({"b": (1_u64 << 53) + 1}), "b", "holds exactly"),
        (serde_json::json!({"a": "x"}), "a", "expected an integer, found \"x\""),
        (serde_json::json!({"a": [1]}), "a", "expected an integer, found a value that nests"),
        (serde_json::json!({"a": true}), "a", "expected an integer, found true"),
    ] {
        let fault = builder.serialize(&bad).unwrap_err();
        assert_eq!(fault.column.as_deref(), Some(column), "{fault}");
        assert!(fault.reason.contains(expected), "{fault}");
    }
    assert!(builder.finish().tuples.is_empty());
}

struct Fails;

impl Serialize for Fails {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it does not want to"))
    }
}

#[test]
fn what_is_no_row_is_refused_and_leaves_no_trace() {
    #[derive(Serialize)]
    struct Holder {
        a: i64,
        b: Fails,
    }
    let mut builder = builder(&[("a", Type::Int8), ("b", Type::Json)]);
    let fault = builder.serialize(&Holder { a: 1, b: Fails }).unwrap_err();
    assert_eq!((fault.column.as_deref(), fault.reason.as_str()), (Some("b"), "it does not want to"));
    let fault = builder.serialize(&BTreeMap::from([("a", 1), ("nope", 2)])).unwrap_err();
    assert_eq!(fault.reason, "the table has no column \"nope\"");
    let fault = builder.serialize(&BTreeMap::from([(1, 1)])).unwrap_err();
    assert!(fault.reason.contains("keys are no strings"), "{fault}");
    for fault in [builder.serialize(&5), builder.serialize("text"), builder.serialize(&[1, 2])] {
        assert!(fault.unwrap_err().reason.contains("must be a struct or a map"));
    }
    let mut bytes = self::builder(&[("b", Type::Bytea)]);
    assert!(bytes.serialize(&BTreeMap::from([("b", vec![1, 256])])).is_err());
    assert!(bytes.finish().tuples.is_empty());
    assert!(builder.finish().tuples.is_empty());
}
