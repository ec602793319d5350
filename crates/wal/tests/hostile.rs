//! What the fuzz targets try, without a fuzzer: the kept corpus and some thousand seeded mutations, in bounded memory.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{
    alloc::Watched,
    hostile::{self, Seen},
    mutations::{ALLOCATION_MAX, Input, corpus, corpus_place, count, inputs, lengths, run_all},
};

#[global_allocator]
static ALLOCATOR: Watched = Watched;

// One test, because what the allocator sees is of the whole process.
#[test]
fn l14_hostile_bytes_are_refused_in_bounded_memory() {
    assert!(matches!(hostile::read_back(&hostile::valid(true)), Seen::Opened(records) if records > 10));
    assert!(hostile::describe(&hostile::valid(false)).len() > 16 << 10);
    assert!(matches!(hostile::directory(&hostile::describe(&hostile::valid(true))), Seen::Opened(_)));
    assert!(corpus().len() >= 12, "the kept corpus is gone");
    let tally = run_all(&inputs(count()));
    println!("{tally:?}");
    assert!(tally.opened * 20 > tally.inputs && tally.refused * 20 > tally.inputs, "{tally:?}");
    assert!(tally.largest <= ALLOCATION_MAX, "{} bytes at once", tally.largest);
    println!("hostile numbers {}", lengths(&[u32::MAX, 1 << 30, 20_000], ALLOCATION_MAX).unwrap());
}

#[test]
#[ignore = "writes the corpus anew, after a change of format"]
fn write_corpus() {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(corpus_place(target)).unwrap();
        fs::write(corpus_place(target).join(name), bytes).unwrap();
    };
    let trimmed = |mut bytes: Vec<u8>| {
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        bytes.truncate(end.next_multiple_of(8));
        bytes
    };
    for (name, closed) in [("closed", true), ("killed", false)] {
        let disk = hostile::valid(closed);
        let last = hostile::segments(&disk).pop().unwrap();
        let contents = trimmed(disk.contents(&last).unwrap());
        write("last_segment", name, &contents);
        write("last_segment", &format!("{name}-half"), &contents[..contents.len() - 40]);
        write("directory", name, &trimmed(hostile::describe(&disk)));
    }
    // A few seeded ones of each kind.
    let (mut last, mut directory, mut mutated) = (0, 0, 0);
    for input in inputs(64).into_iter().rev() {
        match input {
            Input::LastSegment(bytes) if last < 3 => {
                write("last_segment", &format!("seeded-{last}"), &trimmed(bytes));
                last += 1;
            }
            Input::Directory(bytes) if directory < 2 => {
                write("directory", &format!("seeded-{directory}"), &trimmed(bytes));
                directory += 1;
            }
            Input::Mutated(bytes) if mutated < 12 => {
                write("mutated", &format!("seeded-{mutated}"), &bytes);
                mutated += 1;
            }
            _ => {}
        }
    }
}
