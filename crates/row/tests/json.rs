//! JSON lines as they come: places, columns, and what nasty input gets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{self, Read};
use std::sync::Arc;

use standpipe_core::{Block, Column, Schema, Type};
use standpipe_row::{BlockBuilder, JsonEncoder, JsonEntry, JsonLines, Position, UnknownField, render_json};

fn schema(columns: &[(&str, Type)]) -> Arc<Schema> {
    let columns = columns.iter().map(|(name, kind)| Column::new(*name, *kind)).collect();
    Arc::new(Schema::new(columns).unwrap())
}

fn encode(schema: &Arc<Schema>, policy: UnknownField, text: &[u8]) -> (Block, JsonEncoder) {
    let mut encoder = JsonEncoder::new(schema, policy);
    let mut builder = BlockBuilder::new(Arc::clone(schema));
    let mut lines = JsonLines::new(text);
    while let Some(entry) = lines.read().unwrap() {
        encoder.encode(&entry, &mut builder);
    }
    (builder.finish(), encoder)
}

fn rows(block: &Block) -> Vec<String> {
    (0..block.rows).map(|row| render_json(block, row).unwrap()).collect()
}

#[test]
fn fields_find_their_columns_in_any_order() {
    let schema = schema(&[("a", Type::Int8), ("b", Type::Text), ("c", Type::Json)]);
    let text = concat!(
        "\u{feff}{\"a\":1,\"b\":\"x\",\"c\":[1, 2]}\n",
        "\r\n   \n",
        "{\"c\":{\"k\":\"v\"},\"a\":2.0}\r\n",
        "{\"b\":\"tab\\t\\u00e9\",\"c\":\"text\",\"\\u0061\":\"3\"}\n",
        "{}\n",
        "{\"b\":1.50,\"c\":true}\n",
        "{\"b\":{\"k\":[1,  2]},\"c\":null}\n",
        "  {\"b\":false} ",
    );
    let (block, _) = encode(&schema, UnknownField::Reject, text.as_bytes());
    assert_eq!(block.rejected, []);
    assert_eq!(
        rows(&block),
        [
            r#"{"a":1,"b":"x","c":[1, 2]}"#,
            r#"{"a":2,"b":null,"c":{"k":"v"}}"#,
            "{\"a\":3,\"b\":\"tab\\té\",\"c\":\"text\"}",
            r#"{"a":null,"b":null,"c":null}"#,
            r#"{"a":null,"b":"1.50","c":true}"#,
            r#"{"a":null,"b":"{\"k\":[1,  2]}","c":null}"#,
            r#"{"a":null,"b":"false","c":null}"#,
        ]
    );
    let lines: Vec<_> =
        (0..block.rows).map(|row| block.origin.line_of(block.ordinal_of(row)).unwrap()).collect();
    assert_eq!(lines, [1, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn bad_lines_stop_nothing_and_say_why() {
    let schema = schema(&[("a", Type::Int4), ("b", Type::Text), ("d", Type::Timestamptz), ("e", Type::Bool)]);
    let cases: &[(&[u8], Option<&str>, &str)] = &[
        (b"{\"a\":1", None, "not a JSON object: EOF while parsing an object (character 6 of the line)"),
        (b"[1]", None, "not a JSON object: invalid type: sequence, expected an object"),
        (b"5", None, "not a JSON object: invalid type: integer `5`, expected an object"),
        (b"{\"a\":1} x", None, "not a JSON object: trailing characters (character 9 of the line)"),
        (b"{\"a\":01}", None, "not a JSON object: "),
        (b"{\"a\":1,}", None, "not a JSON object: trailing comma"),
        (b"{\"a\":NaN}", None, "not a JSON object: expected value"),
        (b"{\"b\":\"\xff\"}", None, "not a JSON object: "),
        (b"\x00\x01\xff\xfe", None, "not a JSON object: "),
        (b"{\"a\":1,\"a\":2}", Some("a"), "there twice in the row"),
        (b"{\"a\":1,\"x\":2}", Some("x"), "the table has no such column"),
        (b"{\"a\":\"one\"}", Some("a"), "expected an integer, found \"one\""),
        (b"{\"a\":5e2}", Some("a"), "expected an integer, found \"5e2\""),
        (b"{\"a\":2147483648}", Some("a"), "expected an integer from -2147483648 to 2147483647"),
        (b"{\"a\":true}", Some("a"), "expected an integer, found \"true\""),
        (b"{\"a\":[1]}", Some("a"), "expected an integer from -2147483648 to 2147483647, found \"[1]\""),
        (b"{\"b\":\"x\\u0000y\"}", Some("b"), "expected text without NUL"),
        (b"{\"b\":\"\\ud800\"}", Some("b"), "expected a string with valid escapes"),
        (b"{\"d\":\"2013-01-01T10:00:00\"}", Some("d"), "expected a timestamp with a zone"),
        (b"{\"d\":1357034400}", Some("d"), "expected a timestamp with a zone"),
        (b"{\"e\":\"maybe\"}", Some("e"), "expected true or false"),
    ];
    for (line, column, reason) in cases {
        let text = [b"{\"a\":1}\n", *line, b"\n{\"a\":2}\n"].concat();
        let (block, _) = encode(&schema, UnknownField::Reject, &text);
        let shown = String::from_utf8_lossy(line);
        assert_eq!((block.rows, block.rejected.len()), (2, 1), "{shown}");
        let rejected = &block.rejected[0];
        assert_eq!(rejected.column.as_deref(), *column, "{shown}");
        assert!(rejected.reason.starts_with(reason), "{shown}: {}", rejected.reason);
        assert_eq!(&rejected.raw[..], *line);
        assert_eq!(block.origin.line_of(rejected.ordinal), Some(2));
    }
}

#[test]
fn deep_nesting_is_no_way_to_exhaust_the_stack() {
    let schema = schema(&[("a", Type::Json)]);
    let text = format!("{{\"a\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let (block, _) = encode(&schema, UnknownField::Reject, text.as_bytes());
    assert_eq!(block.entries(), 1);
}

#[test]
fn unknown_fields_are_what_the_policy_says() {
    let schema = schema(&[("a", Type::Int8)]);
    let text = b"{\"x\":[{}],\"a\":1,\"y\":2}\n{\"a\":2,\"x\":3}\n";
    let (block, encoder) = encode(&schema, UnknownField::Reject, text);
    assert_eq!((block.rows, block.rejected.len()), (0, 2));
    assert_eq!(encoder.unknown_fields(), [""; 0]);
    let (block, encoder) = encode(&schema, UnknownField::Ignore, text);
    assert_eq!(rows(&block), [r#"{"a":1}"#, r#"{"a":2}"#]);
    assert_eq!(encoder.unknown_fields(), [""; 0]);
    let (block, encoder) = encode(&schema, UnknownField::Report, text);
    assert_eq!(block.rows, 2);
    assert_eq!(encoder.unknown_fields(), ["x", "y"]);
}

#[test]
fn a_line_of_100_mb_costs_no_memory() {
    let reader = (&b"{\"a\":1}\n{\"a\":\""[..])
        .chain(io::repeat(b'x').take(100_000_000))
        .chain(&b"\"}\n{\"a\":2}"[..]);
    let mut lines = JsonLines::new(reader).with_line_bytes_max(1 << 20);
    let mut seen = Vec::new();
    loop {
        match lines.read().unwrap() {
            None => break,
            Some(JsonEntry::Line(line)) => {
                seen.push((line.start().line, line.text().len() as u64, line.has_line_end()))
            }
            Some(JsonEntry::Refused(refused)) => {
                assert_eq!(refused.reason, "the line has 100000008 bytes, the limit is 1048576");
                assert_eq!(refused.raw.len(), 64 << 10);
                seen.push((refused.start.line, refused.end.offset - refused.start.offset, true));
            }
        }
        assert!(lines.capacity_bytes() < 4 << 20, "{} bytes", lines.capacity_bytes());
    }
    assert_eq!(seen, [(1, 7, true), (2, 100_000_009, true), (3, 7, false)]);
}

#[test]
fn reading_goes_on_where_it_stopped() {
    let text = b"{\"a\":1}\n\n{\"a\":2}\r\n{\"a\":3}";
    let mut lines = JsonLines::new(&text[..]);
    lines.read().unwrap().unwrap();
    let position = lines.position();
    assert_eq!(position, Position { offset: 8, line: 2 });
    let mut resumed = JsonLines::resume(&text[8..], position);
    let Some(JsonEntry::Line(line)) = resumed.read().unwrap() else { panic!("a line") };
    assert_eq!((line.text(), line.start().line, line.end().offset), (&b"{\"a\":2}"[..], 3, 18));
    let mut middle = JsonLines::resume(&text[3..], Position { offset: 3, line: 1 });
    middle.skip_line().unwrap();
    let Some(JsonEntry::Line(line)) = middle.read().unwrap() else { panic!("a line") };
    assert_eq!(line.text(), b"{\"a\":2}");
}
