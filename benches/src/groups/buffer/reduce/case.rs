use std::{collections::HashSet, fmt};

/// Keys of one case, all batches together.
const KEYS: usize = 1 << 16;

/// Where the keys lie.
#[derive(Clone, Copy)]
pub(super) enum Keys {
    /// Next to each other, in no order.
    Dense,
    /// Anywhere, in no order.
    Sparse,
    /// Anywhere, ascending; those that come again come at once.
    Sorted,
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Keys::Dense => "dense",
            Keys::Sparse => "sparse",
            Keys::Sorted => "sorted",
        })
    }
}

/// Batches of one kind.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) items: usize,
    pub(super) keys: Keys,
    /// How many in a hundred come again.
    pub(super) again: usize,
}

impl Case {
    pub(super) fn name(self) -> String {
        format!("buffer.reduce.n{}.{}.d{}", self.items, self.keys, self.again)
    }

    /// Several, so that a processor does not learn one by heart; the same in each run.
    pub(super) fn batches(self) -> Vec<Vec<u64>> {
        let mut random = Random(self.items as u64 * 100 + self.again as u64);
        (0..(KEYS / self.items).clamp(3, 1024)).map(|_| self.batch(&mut random)).collect()
    }

    fn batch(self, random: &mut Random) -> Vec<u64> {
        let kinds = (self.items * (100 - self.again) / 100).max(1);
        let first = random.next() >> 1;
        let mut keys: Vec<u64> = (0..kinds as u64)
            .map(|number| if matches!(self.keys, Keys::Dense) { first + number } else { random.next() })
            .collect();
        for _ in kinds..self.items {
            keys.push(keys[random.below(kinds)]);
        }
        if matches!(self.keys, Keys::Sorted) {
            keys.sort_unstable();
        } else {
            for place in 1..keys.len() {
                keys.swap(place, random.below(place + 1));
            }
        }
        keys
    }
}

/// What is to be kept, the plain way.
pub(super) fn expected(keys: &[u64]) -> Vec<u32> {
    let mut seen = HashSet::new();
    let mut kept: Vec<u32> =
        (0..keys.len()).rev().filter(|place| seen.insert(keys[*place])).map(|place| place as u32).collect();
    kept.reverse();
    kept
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
