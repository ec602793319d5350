//! Packed files that are damaged or cut: nothing of them is loaded, and a sound copy is loaded whole.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{fs, io::Write};

use common::{Place, sample};

fn packed(ending: &str) -> Vec<u8> {
    let mut text = fs::read(sample("flights.csv")).unwrap();
    let body = text.split_off(text.iter().position(|byte| *byte == b'\n').unwrap() + 1);
    (0..4).for_each(|_| text.extend_from_slice(&body));
    match ending {
        "gz" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&text).unwrap();
            encoder.finish().unwrap()
        }
        "zst" => {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            // As the zstd command does; without a checksum nobody can tell.
            encoder.include_checksum(true).unwrap();
            encoder.write_all(&text).unwrap();
            encoder.finish().unwrap()
        }
        _ => {
            let info = lz4_flex::frame::FrameInfo::new()
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .block_checksums(true)
                .content_checksum(true);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(&text).unwrap();
            encoder.finish().unwrap()
        }
    }
}

/// Checksums come behind the data that they are of: what was unpacked before one fails may be anything.
#[test]
fn nothing_of_a_file_that_was_cut_or_damaged_is_loaded() {
    for ending in ["gz", "zst", "lz4"] {
        let sound = packed(ending);
        let middle = sound.len() / 2;
        let mut flipped = sound.clone();
        flipped[middle] ^= 0x10;
        let mut filled = sound.clone();
        filled[middle..middle + 64].fill(0xA5);
        let cut = sound[..sound.len() * 2 / 3].to_vec();
        for (what, bytes) in [("cut", cut), ("with a flipped bit", flipped), ("damaged", filled)] {
            let place = Place::new();
            let name = format!("f.csv.{ending}");
            place.write(&name, bytes);
            place
                .load(&format!("{name} --create"))
                .report(&format!("a .{ending} {what}"))
                .exits(5)
                .says(&format!("{name}: "))
                .says("nothing of it was loaded");
            assert_eq!(place.count("f"), 0, "{ending} {what}");
            place.write(&name, &sound);
            place.load(&name).exits(0).says("16,000 rows applied");
            place.load(&name).exits(0).says("already complete");
        }
    }
}

#[test]
fn a_file_with_nothing_that_can_be_unpacked() {
    let place = Place::new();
    place.write("g.csv.gz", b"\x1f\x8bthis is no gzip file");
    place
        .load("g.csv.gz --create")
        .report("not even the head of a .gz")
        .exits(5)
        .says("g.csv.gz: it cannot be read");
    place.sql("select 1");
    assert_eq!(place.value::<i64>("select count(*) from sqlite_schema"), 0);
}

#[test]
fn packed_standard_input_that_was_cut() {
    let place = Place::new();
    let sound = packed("gz");
    let ran = place.load_piped("- --table f --create", &sound[..sound.len() / 2]);
    ran.report("standard input: a .gz that was cut")
        .exits(5)
        .says("standard input: cannot read on after line ");
    let before = place.count("f");
    assert!(before > 1_000);
    // The producer starts over.
    let ran = place.load_piped("- --table f --skip-acknowledged", &sound);
    ran.exits(0).says(&format!("acknowledged: {before} records"));
    assert_eq!(place.count("f"), 16_000);
}
