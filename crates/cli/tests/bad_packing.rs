//! Packed files that are damaged or cut: what can be read is loaded, and a sound copy goes on from there.
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
        "zst" => zstd::encode_all(&text[..], 1).unwrap(),
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

#[test]
fn a_file_that_was_cut_is_loaded_up_to_the_cut_and_finished_with_a_sound_copy() {
    for ending in ["gz", "zst", "lz4"] {
        let place = Place::new();
        let sound = packed(ending);
        let name = format!("f.csv.{ending}");
        place.write(&name, &sound[..sound.len() * 2 / 3]);
        let ran = place.load(&format!("{name} --create"));
        ran.report(&format!("a .{ending} that was cut"))
            .exits(5)
            .says(&format!("{name}: cannot read on after line "));
        ran.says("a sound copy");
        let before = place.count("f");
        assert!((1_000..16_000).contains(&before), "{before} rows of {ending}");
        place.write(&name, &sound);
        place.load(&name).exits(0).says("continued after");
        assert_eq!(place.count("f"), 16_000, "{ending}");
        place.load(&name).exits(0).says("already complete");
    }
}

#[test]
fn a_file_that_was_damaged_says_where() {
    for ending in ["gz", "lz4"] {
        let place = Place::new();
        let mut damaged = packed(ending);
        let middle = damaged.len() / 2;
        damaged[middle..middle + 64].fill(0xA5);
        let name = format!("f.csv.{ending}");
        place.write(&name, damaged);
        let ran = place.load(&format!("{name} --create"));
        ran.report(&format!("a damaged .{ending}"));
        assert!(matches!(ran.code, Some(3 | 5)), "{}", ran.told());
        ran.exits(5).says(&format!("{name}: cannot read on after line "));
        assert_eq!(place.value::<i64>("select complete from standpipe_ledger"), 0);
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
