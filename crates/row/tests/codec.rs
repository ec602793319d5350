//! The bytes of blocks: the golden file, and what hostile bytes get.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use bytes::Bytes;
use standpipe_core::{Block, Column, ErrorKind, Schema, SchemaId, Type};
use standpipe_row::{
    BlockBuilder, NonFinite, RowError, Tuples, decode, encode_header, parse_timestamp, render_json,
};

const GOLDEN: &[u8] = include_bytes!("golden/block-v1.bin");
const GOLDEN_NUMERIC: &[u8] = include_bytes!("golden/block-v1-numeric.bin");
/// Those that there were when the golden file was written.
const TYPES: usize = 14;

fn schema() -> Arc<Schema> {
    let columns =
        Type::ALL.into_iter().take(TYPES).map(|kind| Column::new(format!("c_{kind}"), kind)).collect();
    Arc::new(Schema::new(columns).unwrap())
}

fn sample() -> Block {
    let mut builder = BlockBuilder::new(schema());
    builder.set_origin(Arc::from("readings.csv"));
    builder.line(2).begin_row();
    let instant = parse_timestamp(b"2013-01-01T10:00:00Z", true).unwrap();
    builder.bool(true).int(-2).int(4).int(8).float(0.5).float(-0.25).text("tränk").bytes(&[0, 255]);
    builder.date(4749).time(1).timestamp(instant).timestamp(instant).uuid([7; 16]).json("[1]");
    builder.end_row().unwrap();
    builder.line(4);
    let fault = RowError { column: Some("c_int8".to_owned()), reason: "expected an integer".to_owned() };
    builder.reject(fault, b"x,y");
    builder.line(5);
    builder.reject(RowError::of_row("ragged"), b"x");
    builder.line(9).begin_row();
    for _ in 0..TYPES {
        builder.null();
    }
    builder.end_row().unwrap();
    Block { truncate: true, ..builder.finish() }
}

fn encoded(block: &Block) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_header(block, &mut bytes);
    bytes.extend_from_slice(&block.tuples);
    bytes
}

fn decoded(bytes: &[u8]) -> Result<Block, standpipe_core::Error> {
    let schema = schema();
    decode(Bytes::copy_from_slice(bytes), |id| (id == schema.id()).then(|| Arc::clone(&schema)))
}

#[test]
fn version_1_is_read_for_ever() {
    let block = decoded(GOLDEN).unwrap();
    assert_eq!(block, sample());
    assert_eq!(encoded(&block), GOLDEN, "version 1 is written as it always was");
    assert_eq!(
        render_json(&block, 0).unwrap(),
        r#"{"c_bool":true,"c_int2":-2,"c_int4":4,"c_int8":8,"c_float4":0.5,"c_float8":-0.25,"c_text":"tränk","c_bytea":"\\x00ff","c_date":"2013-01-01","c_time":"00:00:00.000001","c_timestamp":"2013-01-01T10:00:00","c_timestamptz":"2013-01-01T10:00:00Z","c_uuid":"07070707-0707-0707-0707-070707070707","c_json":[1]}"#
    );
}

fn numerics() -> Block {
    let mut builder =
        BlockBuilder::new(Arc::new(Schema::new(vec![Column::new("n", Type::Numeric)]).unwrap()));
    builder.set_non_finite(NonFinite::Allow);
    for text in
        ["0", "-0.00", "12345.678", "-1e130", "0.0001", "10000", "99999999.9999", "NaN", "Infinity", "-inf"]
    {
        builder.begin_row().parse(text.as_bytes()).end_row().unwrap();
    }
    builder.finish()
}

#[test]
fn numerics_of_version_1_are_read_for_ever() {
    let sample = numerics();
    let block = decode(Bytes::from_static(GOLDEN_NUMERIC), |_| Some(Arc::clone(&sample.schema))).unwrap();
    assert_eq!(block, sample);
    assert_eq!(encoded(&block), GOLDEN_NUMERIC, "version 1 is written as it always was");
    let read: Vec<String> = (0..block.rows).map(|row| render_json(&block, row).unwrap()).collect();
    assert_eq!(read[1..3], [r#"{"n":0.00}"#, r#"{"n":12345.678}"#]);
    assert_eq!(read[7..], [r#"{"n":"NaN"}"#, r#"{"n":"Infinity"}"#, r#"{"n":"-Infinity"}"#]);
}

#[test]
fn tuples_are_not_copied() {
    let block = sample();
    let bytes = Bytes::from(encoded(&block));
    let schema = schema();
    let again = decode(bytes.clone(), |_| Some(Arc::clone(&schema))).unwrap();
    assert!(bytes.as_ptr_range().contains(&again.tuples.as_ptr()));
    assert!(bytes.as_ptr_range().contains(&again.rejected[0].raw.as_ptr()));
}

/// L14: a length is checked before it is believed. Cuts and flips of a header are refused, or change nothing.
#[test]
fn l14_every_cut_and_every_flip_is_refused() {
    let block = sample();
    let bytes = encoded(&block);
    for cut in 0..bytes.len() {
        assert!(decoded(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..bytes.len() - block.tuples.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(decoded(&flipped).is_err(), "byte {at}, bit {bit}");
        }
    }
}

/// L14, where the checksum fits: a header that somebody made with intent.
#[test]
fn l14_lengths_are_checked_behind_a_right_checksum_too() {
    let block = sample();
    let bytes = encoded(&block);
    let header = bytes.len() - block.tuples.len();
    let mut refused = 0;
    for at in (0..header - 4).filter(|at| !(4..8).contains(at)) {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut forged = bytes.clone();
            forged[at] = value;
            let checksum = crc32c::crc32c(&forged[..header - 4]);
            forged[header - 4..header].copy_from_slice(&checksum.to_be_bytes());
            match decoded(&forged) {
                Ok(read) => {
                    // What it holds is within the bytes, whatever they say; the tuples are checked as they are read.
                    assert!(read.size_bytes() < 4 * bytes.len() as u64 + 1024);
                    let _ = Tuples::new(&read).verify();
                }
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid), "{error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn damaged_tuples_are_told_and_never_followed() {
    let block = sample();
    let mut refused = 0;
    for at in 0..block.tuples.len() {
        for bit in 0..8 {
            let mut tuples = block.tuples.to_vec();
            tuples[at] ^= 1 << bit;
            let damaged = Block { tuples: Bytes::from(tuples), ..block.clone() };
            for tuple in Tuples::new(&damaged) {
                let Ok(tuple) = tuple else {
                    refused += 1;
                    break;
                };
                assert_eq!(tuple.fields().count(), TYPES);
                let readable = tuple.fields().filter(|field| field.value().is_ok()).count();
                assert!(readable <= TYPES);
            }
        }
    }
    assert!(refused > 500, "{refused}");
    for cut in 0..block.tuples.len() {
        let damaged = Block { tuples: block.tuples.slice(..cut), ..block.clone() };
        let error = Tuples::new(&damaged).verify().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
    let longer = Block { rows: 1, ..block.clone() };
    assert!(Tuples::new(&longer).verify().is_err(), "bytes behind the last tuple");
    assert_eq!(Tuples::new(&longer).filter(Result::is_err).count(), 1, "it ends with the first error");
}

#[test]
fn unknown_versions_and_schemas_are_refused_by_name() {
    let mut bytes = encoded(&sample());
    let error = decode(Bytes::copy_from_slice(&bytes), |_| None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(&format!("{:016x}", schema().id().0)), "{error}");
    let other = Arc::new(Schema::new(vec![Column::new("a", Type::Int8)]).unwrap());
    assert!(decode(Bytes::copy_from_slice(&bytes), |_: SchemaId| Some(Arc::clone(&other))).is_err());
    bytes[0] = 2;
    let error = decoded(&bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("version 2"), "{error}");
}

#[test]
fn a_block_of_nothing_is_read_back() {
    let block = BlockBuilder::new(schema()).finish();
    assert_eq!(decoded(&encoded(&block)).unwrap(), block);
}

/// Writes the golden files of the present version; run by hand when a new version is made.
#[test]
#[ignore = "writes tests/golden"]
fn write_golden() {
    for (name, block) in [("block-v1.bin", sample()), ("block-v1-numeric.bin", numerics())] {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/").to_owned() + name;
        std::fs::write(path, encoded(&block)).unwrap();
    }
}
