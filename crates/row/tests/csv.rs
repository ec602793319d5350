//! CSV as it comes: records, places, lines, and what nasty input gets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{self, Read};
use std::sync::Arc;

use proptest::prelude::*;
use standpipe_core::{Column, ErrorKind, Schema, Type};
use standpipe_row::{
    BlockBuilder, CsvEncoder, CsvEntry, CsvRows, CsvSettings, Position, Tuples, render_json,
};

/// Hands out at most `step` bytes at a time.
struct Drip<'a> {
    bytes: &'a [u8],
    step: usize,
}

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.step.min(self.bytes.len()).min(buffer.len());
        buffer[..length].copy_from_slice(&self.bytes[..length]);
        self.bytes = &self.bytes[length..];
        Ok(length)
    }
}

/// Every entry as text: `line@start-end: fields`, or the reason it was refused.
fn read(bytes: &[u8], step: usize, settings: &CsvSettings) -> Vec<String> {
    let mut rows = CsvRows::new(Drip { bytes, step }, settings.clone()).unwrap();
    let mut entries = Vec::new();
    while let Some(entry) = rows.read().unwrap() {
        entries.push(match entry {
            CsvEntry::Record(record) => {
                let (start, end) = (record.start(), record.end());
                assert_eq!(record.raw(), &bytes[start.offset as usize..end.offset as usize]);
                let fields: Vec<_> = record.fields().map(String::from_utf8_lossy).collect();
                let by_index: Vec<_> =
                    (0..record.len()).map(|i| String::from_utf8_lossy(record.field(i).unwrap())).collect();
                assert_eq!(fields, by_index);
                let open = if record.has_line_end() { "" } else { " (open)" };
                format!("{}@{}-{}: {}{open}", start.line, start.offset, end.offset, fields.join("|"))
            }
            CsvEntry::Refused(refused) => {
                format!(
                    "{}@{}-{}: {}",
                    refused.start.line, refused.start.offset, refused.end.offset, refused.reason
                )
            }
        });
    }
    assert_eq!(rows.position().offset, bytes.len() as u64);
    entries
}

#[test]
fn records_have_their_bytes_places_and_lines() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("\n\r\n\n", &[]),
        ("\u{feff}", &[]),
        ("a,b\n", &["1@0-4: a|b"]),
        ("a,b", &["1@0-3: a|b (open)"]),
        ("a,b\r\nc,d\r\n", &["1@0-5: a|b", "2@5-10: c|d"]),
        ("a\rb\r", &["1@0-2: a", "2@2-4: b"]),
        ("\u{feff}a,b\n", &["1@3-7: a|b"]),
        ("\u{feff}\"a\",b\n", &["1@3-9: a|b"]),
        ("a\n\n\nb\n", &["1@0-2: a", "4@4-6: b"]),
        ("a\r\n\r\nb", &["1@0-3: a", "3@5-6: b (open)"]),
        (",\n,,\n", &["1@0-2: |", "2@2-5: ||"]),
        ("\"a,b\",\"c\"\"d\"\n", &["1@0-13: a,b|c\"d"]),
        ("\"a\nb\",c\nd,e\n", &["1@0-8: a\nb|c", "3@8-12: d|e"]),
        ("\"a\r\nb\"\r\nc\r\n", &["1@0-8: a\r\nb", "3@8-11: c"]),
        ("\"a\"\rb\r", &["1@0-4: a", "2@4-6: b"]),
        ("x,\"\"\n", &["1@0-5: x|"]),
        ("a\"b,c\n", &["1@0-6: a\"b|c"]),
        ("a,b\"\"c\n", &["1@0-7: a|b\"\"c"]),
        ("\"a\"", &["1@0-3: a (open)"]),
        ("\"a\"b,c\n", &["1@0-7: ab|c"]),
        ("\u{feff}\n\u{feff}a\n", &["2@4-9: \u{feff}a"]),
        ("\"\u{feff}a\"\n\"\u{feff}b\"\n", &["1@0-7: \u{feff}a", "2@7-14: \u{feff}b"]),
        ("x\n\u{feff}\"b\",c\n", &["1@0-2: x", "2@2-11: \u{feff}\"b\"|c"]),
        ("a\0b,c\n", &["1@0-6: a\0b|c"]),
        (
            "h\nx\n\"open,\ny\nz",
            &[
                "1@0-2: h",
                "2@2-4: x",
                "3@4-14: a quote is not closed: the record that begins on line 3 goes on to the end of the file",
            ],
        ),
        (
            "\"",
            &[
                "1@0-1: a quote is not closed: the record that begins on line 1 goes on to the end of the file",
            ],
        ),
    ];
    for (text, expected) in cases {
        for step in [1, 2, 3, 7, 1 << 20] {
            assert_eq!(read(text.as_bytes(), step, &CsvSettings::default()), *expected, "{text:?} by {step}");
        }
    }
}

#[test]
fn records_beyond_the_limit_are_skipped_and_told() {
    let settings = CsvSettings { record_bytes_max: 8, ..CsvSettings::default() };
    let tell = |line, length, cause| {
        format!("the record that begins on line {line} has {length} bytes, the limit is 8; {cause}")
    };
    let closed = "is a quote unclosed?";
    let open = "a quote is not closed up to the end of the file";
    for (text, expected) in [
        ("12345678\nb\n", vec!["1@0-9: 12345678".to_owned(), "2@9-11: b".to_owned()]),
        ("123456789\nb\n", vec![format!("1@0-10: {}", tell(1, 10, closed)), "2@10-12: b".to_owned()]),
        ("123456789\r\nb\n", vec![format!("1@0-11: {}", tell(1, 10, closed)), "2@11-13: b".to_owned()]),
        ("123456789", vec![format!("1@0-9: {}", tell(1, 9, closed))]),
        (
            "\"1\n345\n789\"\nb",
            vec![format!("1@0-12: {}", tell(1, 12, closed)), "4@12-13: b (open)".to_owned()],
        ),
        ("a\n\"1\n345\n789", vec!["1@0-2: a".to_owned(), format!("2@2-12: {}", tell(2, 10, open))]),
    ] {
        for step in [1, 5, 1 << 20] {
            assert_eq!(read(text.as_bytes(), step, &settings), expected, "{text:?} by {step}");
        }
    }
}

/// One field of 100 MB, with a quote or without: it is refused, what follows is read, and memory stays small.
#[test]
fn a_field_of_100_mb_costs_no_memory() {
    for (open, close) in [("1,\"", "\""), ("1,", "")] {
        let head = format!("a,b\n{open}");
        let tail = format!("{close}\n2,after\n");
        let filler = io::repeat(b'x').take(100_000_000);
        let reader = head.as_bytes().chain(filler).chain(tail.as_bytes());
        let mut rows =
            CsvRows::new(reader, CsvSettings { record_bytes_max: 1 << 20, ..CsvSettings::default() })
                .unwrap();
        let header = rows.read_header().unwrap().unwrap();
        let schema =
            Arc::new(Schema::new(vec![Column::new("a", Type::Int8), Column::new("b", Type::Text)]).unwrap());
        let encoder = CsvEncoder::new(&schema, &header, &CsvSettings::default()).unwrap();
        let mut builder = BlockBuilder::new(schema);
        let mut peak = 0;
        while let Some(entry) = rows.read().unwrap() {
            encoder.encode(&entry, &mut builder);
            peak = peak.max(rows.capacity_bytes() + builder.capacity_bytes());
        }
        assert!(peak < 4 << 20, "{peak} bytes");
        let block = builder.finish();
        assert_eq!((block.rows, block.rejected.len()), (1, 1));
        assert!(block.rejected[0].raw.len() <= BlockBuilder::RAW_BYTES_MAX);
        assert!(block.rejected[0].reason.contains("is a quote unclosed?"), "{}", block.rejected[0].reason);
        assert_eq!(block.origin.line_of(block.ordinal_of(0)), Some(3));
    }
}

/// L14: 10 MB of commas are 10 million fields; their places would be 80 MB.
#[test]
fn l14_a_record_of_nothing_but_fields_costs_no_memory() {
    for open in ["", "\"\","] {
        let text = format!("a\n{open}{}\nb\n", ",".repeat(10_000_000));
        let mut rows = CsvRows::new(text.as_bytes(), CsvSettings::default()).unwrap();
        let mut told = Vec::new();
        while let Some(entry) = rows.read().unwrap() {
            told.push(match entry {
                CsvEntry::Record(record) => format!("{}: {}", record.start().line, record.len()),
                CsvEntry::Refused(refused) => refused.reason,
            });
            assert!(rows.capacity_bytes() < 1 << 20, "{} bytes", rows.capacity_bytes());
        }
        assert_eq!(told, ["1: 1", "the record that begins on line 2 has more than 4096 fields", "3: 1"]);
    }
    for open in ["", "\"\""] {
        let text = format!("{open}{}\n", ",".repeat(4095));
        let mut rows = CsvRows::new(text.as_bytes(), CsvSettings::default()).unwrap();
        assert_eq!(rows.read_header().unwrap().unwrap().len(), 4096);
    }
}

#[test]
fn bad_records_stop_nothing_and_say_line_column_and_reason() {
    let text = "id,name,extra\n1,a,x\n2\n3,b,y,z\nx,c,\n\n4,\u{0},\n5,\"d\ne\",\n\u{1F600}6,f,\n7,,\n";
    let mut text = text.as_bytes().to_vec();
    text.extend_from_slice(b"8,\xff,\n9,g,\xff\n");
    let mut rows = CsvRows::new(&text[..], CsvSettings::default()).unwrap();
    let header = rows.read_header().unwrap().unwrap();
    let schema =
        Arc::new(Schema::new(vec![Column::new("name", Type::Text), Column::new("id", Type::Int8)]).unwrap());
    let encoder = CsvEncoder::new(&schema, &header, &CsvSettings::default()).unwrap();
    let mut builder = BlockBuilder::new(schema);
    while let Some(entry) = rows.read().unwrap() {
        encoder.encode(&entry, &mut builder);
    }
    let block = builder.finish();
    let told: Vec<_> = block
        .rejected
        .iter()
        .map(|row| {
            let line = block.origin.line_of(row.ordinal).unwrap();
            (line, row.column.as_deref().unwrap_or("-"), row.reason.as_str(), &row.raw[..])
        })
        .collect();
    assert_eq!(
        told,
        [
            (3, "-", "the record has 1 fields, the header 3", &b"2\n"[..]),
            (4, "-", "the record has 4 fields, the header 3", b"3,b,y,z\n"),
            (5, "id", "expected an integer, found \"x\"", b"x,c,\n"),
            (7, "name", "expected text without NUL (byte 0), found \"\\0\"", b"4,\0,\n"),
            (10, "id", "expected an integer, found \"\u{1F600}6\"", "\u{1F600}6,f,\n".as_bytes()),
            (12, "name", "expected UTF-8, found \"\u{fffd}\"", b"8,\xff,\n"),
        ]
    );
    let good: Vec<_> = (0..block.rows)
        .map(|row| (block.origin.line_of(block.ordinal_of(row)).unwrap(), render_json(&block, row).unwrap()))
        .collect();
    let good: Vec<_> = good.iter().map(|(line, row)| (*line, row.as_str())).collect();
    assert_eq!(
        good,
        [
            (2, r#"{"name":"a","id":1}"#),
            (8, r#"{"name":"d\ne","id":5}"#),
            (11, r#"{"name":null,"id":7}"#),
            // What no column takes may be anything.
            (13, r#"{"name":"g","id":9}"#),
        ]
    );
}

#[test]
fn null_has_the_text_it_is_given() {
    let settings = CsvSettings { null: b"NA".to_vec(), delimiter: b';', ..CsvSettings::default() };
    let mut rows = CsvRows::new(&b"a;b\nNA;1\n;NA\n\"NA\";2\n"[..], settings.clone()).unwrap();
    let header = rows.read_header().unwrap().unwrap();
    let schema =
        Arc::new(Schema::new(vec![Column::new("a", Type::Text), Column::new("b", Type::Int8)]).unwrap());
    let encoder = CsvEncoder::new(&schema, &header, &settings).unwrap();
    let mut builder = BlockBuilder::new(schema);
    while let Some(entry) = rows.read().unwrap() {
        assert!(encoder.encode(&entry, &mut builder));
    }
    let block = builder.finish();
    let rows: Vec<_> = (0..3).map(|row| render_json(&block, row).unwrap()).collect();
    assert_eq!(rows, [r#"{"a":null,"b":1}"#, r#"{"a":"","b":null}"#, r#"{"a":null,"b":2}"#]);
}

#[test]
fn reading_goes_on_where_it_stopped() {
    let text = b"\xef\xbb\xbfa,b\n1,\"x\ny\"\n\n2,z\r\n3,w";
    let whole = read(text, 1 << 20, &CsvSettings::default());
    let mut rows = CsvRows::new(&text[..], CsvSettings::default()).unwrap();
    let mut seen = 0;
    while rows.read().unwrap().is_some() {
        seen += 1;
        let position = rows.position();
        let rest = &text[position.offset as usize..];
        let mut resumed = CsvRows::resume(rest, CsvSettings::default(), position).unwrap();
        let mut places = Vec::new();
        while let Some(CsvEntry::Record(record)) = resumed.read().unwrap() {
            places.push(format!("{}@{}-{}", record.start().line, record.start().offset, record.end().offset));
        }
        let expected: Vec<_> = whole[seen..].iter().map(|entry| entry.split(':').next().unwrap()).collect();
        assert_eq!(places, expected);
    }
    assert_eq!(seen, 4);
    // A record that begins with the three bytes of a mark, anywhere but at the beginning, keeps them.
    let position = Position { offset: 10, line: 2 };
    let mut resumed = CsvRows::resume("\u{feff}x\n".as_bytes(), CsvSettings::default(), position).unwrap();
    let Some(CsvEntry::Record(record)) = resumed.read().unwrap() else { panic!("a record") };
    assert_eq!(record.field(0), Some("\u{feff}x".as_bytes()));
}

#[test]
fn headers_and_settings_that_cannot_be_are_refused() {
    let header = |text: &'static [u8]| CsvRows::new(text, CsvSettings::default()).unwrap().read_header();
    assert_eq!(header(b"").unwrap(), None);
    assert_eq!(header(b"a,b").unwrap().unwrap(), ["a", "b"]);
    for (text, told) in [
        (&b"\x00\xff\x01,b\n"[..], "no UTF-8"),
        (b"\"a", "a quote is not closed"),
        (b"\xff\xfea\0", "UTF-16"),
    ] {
        let error = header(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(told), "{error}");
    }
    for delimiter in [b'"', b'\n', b'\r', 0, 0xc3] {
        let settings = CsvSettings { delimiter, ..CsvSettings::default() };
        assert!(CsvRows::new(&b""[..], settings).is_err(), "{delimiter}");
    }
    let schema = Schema::new(vec![Column::new("a", Type::Int8)]).unwrap();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let error = CsvEncoder::new(&schema, &names(&["a", "b", "a"]), &CsvSettings::default()).unwrap_err();
    assert!(error.to_string().contains("twice, as column 1 and 3"), "{error}");
    let error = CsvEncoder::new(&schema, &names(&["b"]), &CsvSettings::default()).unwrap_err();
    assert!(error.to_string().contains("no column \"a\""), "{error}");
}

#[test]
fn a_reader_that_fails_is_told_with_the_place() {
    struct Broken(io::ErrorKind);
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(self.0, "deflate stream is cut"))
        }
    }
    for (kind, expected) in [
        (io::ErrorKind::UnexpectedEof, ErrorKind::Corrupt),
        (io::ErrorKind::PermissionDenied, ErrorKind::Invalid),
    ] {
        let mut rows = CsvRows::new((&b"a\nb"[..]).chain(Broken(kind)), CsvSettings::default()).unwrap();
        assert!(rows.read().unwrap().is_some());
        let error = rows.read().unwrap_err();
        assert_eq!(error.kind(), expected);
        assert!(error.to_string().contains("after line 2 (byte 2): deflate stream is cut"), "{error}");
    }
}

#[test]
fn a_reader_set_down_anywhere_finds_the_next_line() {
    let position = Position { offset: 5, line: 1 };
    let mut rows = CsvRows::resume(&b"lf a line\nb,c\n"[..], CsvSettings::default(), position).unwrap();
    rows.skip_line().unwrap();
    let Some(CsvEntry::Record(record)) = rows.read().unwrap() else { panic!("a record") };
    assert_eq!((record.field(0), record.start().offset), (Some(&b"b"[..]), 15));
}

proptest! {
    /// What is written by the rules is read back, with the fields and the places it has.
    #[test]
    fn written_records_are_read_back(
        records in prop::collection::vec(prop::collection::vec("[ab,\"\n\r é;]{0,6}", 2..5), 0..12),
        crlf in any::<bool>(),
        step in 1_usize..40,
    ) {
        let mut text = String::new();
        let mut expected = Vec::new();
        for record in &records {
            expected.push((text.len() as u64, record.iter().map(|field| field.clone().into_bytes()).collect::<Vec<_>>()));
            for (index, field) in record.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                if field.contains([',', '"', '\n', '\r']) {
                    text.push('"');
                    text.push_str(&field.replace('"', "\"\""));
                    text.push('"');
                } else {
                    text.push_str(field);
                }
            }
            text.push_str(if crlf { "\r\n" } else { "\n" });
        }
        let mut rows = CsvRows::new(Drip { bytes: text.as_bytes(), step }, CsvSettings::default()).unwrap();
        let mut found = Vec::new();
        while let Some(entry) = rows.read().unwrap() {
            let CsvEntry::Record(record) = entry else { panic!("{entry:?}") };
            found.push((record.start().offset, record.fields().map(<[u8]>::to_vec).collect::<Vec<_>>()));
        }
        prop_assert_eq!(found, expected);
    }

    /// Any bytes at all: every byte belongs to one entry or a skipped line, nothing panics, and how the bytes arrive
    /// changes nothing.
    #[test]
    fn any_bytes_are_read_the_same_however_they_arrive(
        bytes in prop::collection::vec(prop::sample::select(b"ab,\"\n\r\xff\x00\xef\xbb\xbf".to_vec()), 0..80),
        limit in 4_usize..40,
        step in 1_usize..9,
    ) {
        let settings = CsvSettings { record_bytes_max: limit, ..CsvSettings::default() };
        prop_assume!(!bytes.starts_with(b"\xff\xfe") && !bytes.starts_with(b"\xfe\xff"));
        prop_assert_eq!(read(&bytes, step, &settings), read(&bytes, 1 << 20, &settings));
    }

    /// A record without quotes is found by a scan of our own: it is what `csv-core` makes of it.
    #[test]
    fn the_short_cut_agrees_with_csv_core(text in "[ab,\"\r\n]{0,60}") {
        let mut core = csv_core::Reader::new();
        let (mut output, mut ends) = ([0; 256], [0; 256]);
        let mut input = text.as_bytes().to_vec();
        let mut expected: Vec<Vec<Vec<u8>>> = Vec::new();
        let mut open = false;
        // csv-core takes the end of the input for the end of a quote; a line end of ours shows whether one is open.
        input.push(b'\n');
        let mut rest = &input[..];
        while !rest.is_empty() {
            let (result, read, _, fields) = core.read_record(rest, &mut output, &mut ends);
            rest = &rest[read..];
            open = matches!(result, csv_core::ReadRecordResult::InputEmpty) && fields + read > 0 && rest.is_empty();
            if matches!(result, csv_core::ReadRecordResult::Record) {
                let starts = std::iter::once(0).chain(ends.iter().copied());
                expected.push(starts.zip(&ends[..fields]).map(|(start, end)| output[start..*end].to_vec()).collect());
            }
        }
        let mut rows = CsvRows::new(text.as_bytes(), CsvSettings::default()).unwrap();
        let mut found = Vec::new();
        let mut unclosed = false;
        while let Some(entry) = rows.read().unwrap() {
            match entry {
                CsvEntry::Record(record) => found.push(record.fields().map(<[u8]>::to_vec).collect::<Vec<_>>()),
                CsvEntry::Refused(_) => unclosed = true,
            }
        }
        prop_assert_eq!(&found, &expected);
        prop_assert!(!unclosed || open);
    }
}

#[test]
fn a_file_of_many_blocks_keeps_every_row() {
    let text: String = (0..20_000).map(|row| format!("{row},\"name {row}\",{}.0\n", row * 2)).collect();
    let names = ["a", "b", "c"].map(str::to_owned);
    let kinds = [Type::Int4, Type::Text, Type::Int8];
    let columns = names.iter().zip(kinds).map(|(name, kind)| Column::new(name, kind)).collect();
    let schema = Arc::new(Schema::new(columns).unwrap());
    let encoder = CsvEncoder::new(&schema, &names, &CsvSettings::default()).unwrap();
    let mut builder = BlockBuilder::with_capacity(schema, 10_000);
    let mut rows = CsvRows::new(Drip { bytes: text.as_bytes(), step: 777 }, CsvSettings::default()).unwrap();
    let mut blocks = Vec::new();
    while let Some(entry) = rows.read().unwrap() {
        assert!(encoder.encode(&entry, &mut builder));
        if builder.size_bytes() > 9_000 {
            blocks.push(builder.finish());
        }
    }
    blocks.push(builder.finish());
    assert!(blocks.len() > 50);
    let mut next = 0;
    for block in &blocks {
        Tuples::new(block).verify().unwrap();
        assert_eq!(block.origin.first_line, next + 1);
        next += u64::from(block.rows);
    }
    assert_eq!(next, 20_000);
}
