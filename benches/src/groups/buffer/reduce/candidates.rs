//! What the reduction was chosen from. Each keeps its memory from batch to batch.

use std::{
    collections::HashSet,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
    ops::Range,
};

use standpipe_buffer::Reducer;
use standpipe_harness::Outcome;

use super::case::Case;

/// In batches larger than this not all pairs are compared: it takes hundreds of times as long.
const PAIRS_MAX: usize = 1000;

/// One way: the places to keep, from where to where they are in what is written.
pub(super) trait Way {
    fn last(&mut self, keys: &[u64], kept: &mut [u32]) -> Range<usize>;
}

impl<F: FnMut(&[u64], &mut [u32]) -> Range<usize>> Way for F {
    fn last(&mut self, keys: &[u64], kept: &mut [u32]) -> Range<usize> {
        self(keys, kept)
    }
}

/// A way with a name, and with room for what it writes.
pub(super) struct Candidate {
    pub(super) name: &'static str,
    how: How,
}

enum How {
    Ours(Box<Reducer>),
    Other(Box<dyn Way>, Vec<u32>),
}

impl Candidate {
    fn ours(name: &'static str, reducer: Reducer) -> Self {
        Candidate { name, how: How::Ours(Box::new(reducer)) }
    }

    pub(super) fn new(name: &'static str, way: impl Way + 'static) -> Self {
        Candidate { name, how: How::Other(Box::new(way), Vec::new()) }
    }

    pub(super) fn keep_last(&mut self, keys: &[u64]) -> Outcome<&[u32]> {
        match &mut self.how {
            How::Ours(reducer) => Ok(reducer.keep_last(keys)?),
            How::Other(way, kept) => {
                kept.resize(keys.len() + 8, 0);
                let range = way.last(keys, kept);
                Ok(&kept[range])
            }
        }
    }
}

/// All that can do this case on this processor, ours first.
pub(super) fn all(case: Case) -> Outcome<Vec<Candidate>> {
    let random = RandomState::new();
    let seed = [random.hash_one(0), random.hash_one(1) | 1, random.hash_one(2) | 1];
    let mut all = vec![
        Candidate::ours("ours", Reducer::new(&["key"])?),
        Candidate::ours("ours-no-simd", Reducer::new(&["key"])?.without_simd()),
        Candidate::new("std-hash-set", in_set(HashSet::<u64>::new())),
        Candidate::new("swiss-fast-hash", in_set(HashSet::<u64, BuildHasherDefault<Fast>>::default())),
        Candidate::new("table-of-keys", table_of_keys(seed)),
        Candidate::new("sort", sort()),
        Candidate::new("radix-sort", radix_sort()),
    ];
    if case.items <= PAIRS_MAX {
        all.push(Candidate::new("all-pairs", all_pairs));
    }
    #[cfg(target_arch = "x86_64")]
    all.extend(
        super::simd::all(seed)
            .into_iter()
            .filter(|one| case.items <= PAIRS_MAX || one.name != "all-pairs-avx2"),
    );
    Ok(all)
}

fn in_set<S: BuildHasher + 'static>(mut set: HashSet<u64, S>) -> impl Way {
    move |keys: &[u64], kept: &mut [u32]| {
        set.clear();
        let mut from = keys.len();
        for (place, key) in keys.iter().enumerate().rev() {
            if set.insert(*key) {
                from -= 1;
                kept[from] = place as u32;
            }
        }
        from..keys.len()
    }
}

/// As our own table mixes, with a constant seed.
#[derive(Default)]
struct Fast(u64);

impl Hasher for Fast {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product =
            u128::from(self.0 ^ word ^ 0x243F_6A88_85A3_08D3) * u128::from(0x1319_8A2E_0370_7345_u64);
        self.0 = (product as u64 ^ (product >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// Another word for another key: the table can hold the words themselves, and has to be cleared.
pub(super) fn mix(key: u64, seed: [u64; 3]) -> u64 {
    let word = (key ^ seed[0]).wrapping_mul(seed[1]);
    (word ^ (word >> 32)).wrapping_mul(seed[2])
}

fn table_of_keys(seed: [u64; 3]) -> impl Way {
    let mut slots = Vec::new();
    move |keys: &[u64], kept: &mut [u32]| {
        let size = (keys.len() * 2).next_power_of_two();
        slots.clear();
        slots.resize(size, 0_u64);
        let (shift, mask) = (u64::BITS - size.trailing_zeros(), size - 1);
        let (mut from, mut zero_seen) = (keys.len(), false);
        for (place, key) in keys.iter().enumerate().rev() {
            let word = mix(*key, seed);
            let mut slot = (word >> shift) as usize & mask;
            while slots[slot] != 0 && slots[slot] != word {
                slot = (slot + 1) & mask;
            }
            // Zero says that a slot is free, and is a word as well.
            let is_new = slots[slot] != word || (word == 0 && !zero_seen);
            zero_seen |= word == 0;
            if is_new {
                slots[slot] = word;
                from -= 1;
                kept[from] = place as u32;
            }
        }
        from..keys.len()
    }
}

fn sort() -> impl Way {
    let mut pairs = Vec::new();
    move |keys: &[u64], kept: &mut [u32]| sorted(&mut pairs, keys, kept)
}

pub(super) fn sorted(pairs: &mut Vec<(u64, u32)>, keys: &[u64], kept: &mut [u32]) -> Range<usize> {
    pairs.clear();
    pairs.extend(keys.iter().copied().zip(0_u32..));
    pairs.sort_unstable();
    let mut count = 0;
    for same in pairs.chunk_by(|one, other| one.0 == other.0) {
        kept[count] = same[same.len() - 1].1;
        count += 1;
    }
    kept[..count].sort_unstable();
    0..count
}

/// Byte by byte from the lowest, without those that all keys have in common.
fn radix_sort() -> impl Way {
    let (mut pairs, mut other, mut is_last) = (Vec::new(), Vec::new(), Vec::new());
    move |keys: &[u64], kept: &mut [u32]| {
        pairs.clear();
        pairs.extend(keys.iter().copied().zip(0_u32..));
        other.resize(keys.len(), (0, 0));
        let mut counts = [[0_u32; 256]; 8];
        for key in keys {
            for (counts, byte) in counts.iter_mut().zip(key.to_le_bytes()) {
                counts[usize::from(byte)] += 1;
            }
        }
        for (digit, counts) in counts.iter().enumerate() {
            if counts.iter().any(|count| *count as usize == keys.len()) {
                continue;
            }
            let mut ends = [0; 256];
            for byte in 1..256 {
                ends[byte] = ends[byte - 1] + counts[byte - 1];
            }
            for pair in &pairs {
                let end = &mut ends[usize::from(pair.0.to_le_bytes()[digit])];
                other[*end as usize] = *pair;
                *end += 1;
            }
            std::mem::swap(&mut pairs, &mut other);
        }
        is_last.clear();
        is_last.resize(keys.len(), false);
        for same in pairs.chunk_by(|one, other| one.0 == other.0) {
            is_last[same[same.len() - 1].1 as usize] = true;
        }
        let mut count = 0;
        for (place, is_last) in is_last.iter().enumerate() {
            kept[count] = place as u32;
            count += usize::from(*is_last);
        }
        0..count
    }
}

fn all_pairs(keys: &[u64], kept: &mut [u32]) -> Range<usize> {
    let mut count = 0;
    for (place, key) in keys.iter().enumerate() {
        kept[count] = place as u32;
        count += usize::from(!keys[place + 1..].contains(key));
    }
    0..count
}
