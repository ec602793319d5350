//! Seeded inputs for the entry points of `hostile`, and the kept corpus of the fuzz targets.

use std::{fs, path::PathBuf};

use standpipe_testkit::Random;

use super::{
    alloc,
    hostile::{self, Seen},
};

/// The largest single allocation while hostile input of less than 128 KiB is read, in bytes.
pub const ALLOCATION_MAX: usize = 2 << 20;

/// Numbers that break those who believe them.
const NUMBERS: [u32; 12] =
    [0, 1, 7, 8, 31, 4096, 0x7fff_ffff, 0x8000_0000, u32::MAX, u32::MAX - 7, 1 << 30, 1 << 24];

/// One input, for one entry point.
#[derive(Clone, Debug)]
pub enum Input {
    LastSegment(Vec<u8>),
    Directory(Vec<u8>),
    Mutated(Vec<u8>),
}

impl Input {
    pub fn run(&self) -> Seen {
        match self {
            Input::LastSegment(bytes) => hostile::last_segment(bytes),
            Input::Directory(bytes) => hostile::directory(bytes),
            Input::Mutated(bytes) => hostile::mutated(bytes),
        }
    }
}

#[derive(Debug, Default)]
pub struct Tally {
    pub inputs: usize,
    pub opened: usize,
    pub refused: usize,
    pub records: usize,
    /// The largest single allocation, in bytes.
    pub largest: usize,
}

/// How many seeded inputs are tried: `MUTATIONS`, or a few thousand.
pub fn count() -> usize {
    std::env::var("MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(3000)
}

pub fn corpus_place(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// What the fuzz targets keep.
pub fn corpus() -> Vec<Input> {
    type Make = fn(Vec<u8>) -> Input;
    let targets: [(&str, Make); 3] =
        [("last_segment", Input::LastSegment), ("directory", Input::Directory), ("mutated", Input::Mutated)];
    let mut out = Vec::new();
    for (target, make) in targets {
        let Ok(files) = fs::read_dir(corpus_place(target)) else { continue };
        let mut paths: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
        paths.sort();
        out.extend(paths.iter().filter_map(|path| fs::read(path).ok()).map(make));
    }
    out
}

/// The corpus and this many seeded inputs.
pub fn inputs(count: usize) -> Vec<Input> {
    let mut out = corpus();
    out.extend((0..count as u64).map(seeded));
    out
}

fn seeded(seed: u64) -> Input {
    let mut random = Random::new(seed);
    match random.below(4) {
        0 => {
            let disk = hostile::valid(random.chance(4));
            let last = hostile::segments(&disk).pop().unwrap();
            let mut bytes = disk.contents(&last).unwrap();
            edit(&mut bytes, &mut random);
            Input::LastSegment(bytes)
        }
        1 => {
            let mut bytes = hostile::describe(&hostile::valid(random.chance(4)));
            edit(&mut bytes, &mut random);
            Input::Directory(bytes)
        }
        _ => {
            let edits = 1 + random.below(6);
            let mut bytes = vec![random.next_u64() as u8];
            for _ in 0..edits {
                let mut each = random.next_u64().to_le_bytes();
                if random.chance(3) {
                    let number = NUMBERS[random.below(NUMBERS.len() as u64) as usize];
                    each[0] = 1;
                    each[4..].copy_from_slice(&number.to_le_bytes());
                }
                // Files are short, and what is in them lies at their start.
                if random.chance(4) {
                    each[3] %= 40;
                }
                bytes.extend(each);
            }
            Input::Mutated(bytes)
        }
    }
}

fn edit(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        let written = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |at| at + 1) as u64;
        let at = random.below(written) as usize;
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => {
                let number = NUMBERS[random.below(NUMBERS.len() as u64) as usize].to_le_bytes();
                let from = at / 4 * 4;
                for (byte, new) in bytes[from..].iter_mut().zip(number) {
                    *byte = new;
                }
            }
            2 => {
                let (from, len) = (random.below(written) as usize, random.below(200) as usize);
                let piece = bytes[from..bytes.len().min(from + len)].to_vec();
                for (byte, new) in bytes[at..].iter_mut().zip(piece) {
                    *byte = new;
                }
            }
            3 => {
                let end = bytes.len().min(at + random.below(600) as usize);
                bytes[at..end].fill(0);
            }
            4 => bytes.truncate(at.max(1)),
            _ => {
                bytes.remove(at);
            }
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
}

/// Tries every input. A panic names the one that made it.
pub fn run_all(inputs: &[Input]) -> Tally {
    hostile::valid(true);
    hostile::valid(false);
    let mut tally = Tally { inputs: inputs.len(), ..Tally::default() };
    alloc::forget();
    for (at, input) in inputs.iter().enumerate() {
        let seen = std::panic::catch_unwind(|| input.run()).unwrap_or_else(|panic| {
            println!("input {at} of {}", inputs.len());
            std::panic::resume_unwind(panic)
        });
        match seen {
            Seen::Refused => tally.refused += 1,
            Seen::Opened(records) => {
                tally.opened += 1;
                tally.records += records;
            }
        }
    }
    tally.largest = alloc::largest();
    tally
}

/// Every 4 bytes of the last segment become each of these numbers. `Err` when one costs more memory than `most` at once.
pub fn lengths(numbers: &[u32], most: usize) -> Result<usize, String> {
    let disk = hostile::valid(true);
    let last = hostile::segments(&disk).pop().unwrap();
    let contents = disk.contents(&last).unwrap();
    let mut tried = 0;
    alloc::forget();
    for at in (0..contents.len()).step_by(4) {
        let sector = &contents[at / 512 * 512..contents.len().min(at / 512 * 512 + 512)];
        if sector.iter().all(|byte| *byte == 0) {
            continue;
        }
        for number in numbers {
            let image = disk.process_killed();
            image.damage(&last, at as u64, &number.to_le_bytes());
            hostile::read_back(&image);
            tried += 1;
            let largest = alloc::largest();
            if largest > most {
                return Err(format!("{number} at byte {at} cost {largest} bytes"));
            }
        }
    }
    Ok(tried)
}
