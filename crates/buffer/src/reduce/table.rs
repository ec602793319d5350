use std::{collections::hash_map::RandomState, hash::BuildHasher, hint::select_unpredictable};

/// Slots for each item, at least: chains are short, and the least that was measured to pay.
const SLOTS_PER_ITEM: usize = 4;
/// Items after which it is decided anew which loop is the faster.
const BLOCK: usize = 512;
/// Items that are enough to decide it by.
const DECIDED_BY: usize = 64;

/// A hash table of places, open addressing. What it holds of earlier batches counts as empty, so that it is cleared
/// once in four thousand million items.
pub(super) struct Table {
    /// A place, plus all the items of batches before, plus one.
    slots: Vec<u32>,
    /// Items of the batches since the table was clear.
    before: u32,
    seed: [u64; 3],
    /// Whether the block before, perhaps of an earlier batch, had both new keys and keys seen before in some number.
    is_mixed: bool,
}

impl Table {
    pub(super) fn seeded() -> Self {
        let random = RandomState::new();
        // Odd, so that the last multiplication loses nothing.
        let seed = [random.hash_one(0), random.hash_one(1), random.hash_one(2) | 1];
        Self { slots: Vec::new(), before: 0, seed, is_mixed: false }
    }

    pub(super) fn shrink(&mut self) {
        self.slots = Vec::new();
        self.before = 0;
    }

    /// Writes the places to keep to the end of the first `words.len()`, and returns where they begin. `words` are the
    /// keys or hashes of them, `same` says whether the keys at two places are equal. `None` after more than `steps_max`
    /// steps to a slot that was taken.
    pub(super) fn last(
        &mut self,
        words: &[u64],
        kept: &mut [u32],
        steps_max: u64,
        same: impl Fn(usize, usize) -> bool,
    ) -> Option<usize> {
        if words.is_empty() {
            return Some(0);
        }
        let size = (words.len() * SLOTS_PER_ITEM).next_power_of_two();
        if self.slots.len() < size {
            self.slots.resize(size, 0);
        }
        let count = words.len() as u32;
        if u32::MAX - self.before < count {
            self.slots.fill(0);
            self.before = 0;
        }
        let base = self.before + 1;
        self.before += count;
        let mut walk = Walk {
            slots: &mut self.slots[..size],
            shift: u64::BITS - size.trailing_zeros(),
            seed: self.seed,
            base,
            kept: &mut kept[..words.len()],
            from: words.len(),
            steps_left: steps_max,
        };
        let mut end = words.len();
        while end > 0 {
            let begin = end.saturating_sub(BLOCK);
            let before = walk.from;
            if self.is_mixed {
                walk.block::<true>(words, begin..end, &same)?;
            } else {
                walk.block::<false>(words, begin..end, &same)?;
            }
            let (items, new) = (end - begin, before - walk.from);
            // Where a guess of what comes next is wrong once in eight, guessing costs more than doing both.
            // A small block says little, and a small batch is over before it matters.
            if items >= DECIDED_BY {
                self.is_mixed = new.min(items - new) * 8 > items;
            }
            end = begin;
        }
        Some(walk.from)
    }

    #[cfg(test)]
    pub(super) fn is_unused(&self) -> bool {
        self.slots.is_empty()
    }
}

struct Walk<'a> {
    slots: &'a mut [u32],
    shift: u32,
    seed: [u64; 3],
    base: u32,
    kept: &'a mut [u32],
    from: usize,
    steps_left: u64,
}

impl Walk<'_> {
    /// From the last item to the first: the first time that a key is met is its last item.
    #[inline(always)]
    fn block<const MIXED: bool>(
        &mut self,
        words: &[u64],
        items: std::ops::Range<usize>,
        same: &impl Fn(usize, usize) -> bool,
    ) -> Option<()> {
        let slot_mask = self.slots.len() - 1;
        for place in items.rev() {
            let mut slot = (mix(words[place], self.seed) >> self.shift) as usize & slot_mask;
            loop {
                let held = self.slots[slot];
                let is_free = held < self.base;
                if MIXED {
                    // Neither whether the slot is free nor whether the key was seen is branched on: in a free slot the
                    // item meets itself.
                    let other = select_unpredictable(is_free, place, held.wrapping_sub(self.base) as usize);
                    if same(place, other) {
                        self.slots[slot] = self.base + place as u32;
                        // So many items as are left have room before `from`.
                        self.kept[self.from - 1] = place as u32;
                        self.from -= usize::from(is_free);
                        break;
                    }
                } else if is_free {
                    self.slots[slot] = self.base + place as u32;
                    self.from -= 1;
                    self.kept[self.from] = place as u32;
                    break;
                } else if same(place, (held - self.base) as usize) {
                    break;
                }
                self.steps_left = self.steps_left.checked_sub(1)?;
                slot = (slot + 1) & slot_mask;
            }
        }
        Some(())
    }
}

/// The highest bits say which slot. Both halves of the first product hold something of each bit of the key. The second
/// is for keys at even distances, which the first alone would let crowd together under one seed in twenty.
#[inline(always)]
fn mix(word: u64, seed: [u64; 3]) -> u64 {
    let product = u128::from(word ^ seed[0]) * u128::from(seed[1]);
    (product as u64 ^ (product >> 64) as u64).wrapping_mul(seed[2])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn last(table: &mut Table, words: &[u64]) -> Option<Vec<u32>> {
        let mut kept = vec![0; words.len()];
        let steps_max = words.len() as u64 + 64;
        let from = table.last(words, &mut kept, steps_max, |one, other| words[one] == words[other])?;
        Some(kept.split_off(from))
    }

    #[test]
    fn what_is_left_of_earlier_batches_is_forgotten_when_the_count_is_full() {
        let mut table = Table::seeded();
        assert_eq!(last(&mut table, &[5, 6, 5]), Some(vec![1, 2]));
        // Room for exactly these, then for none.
        table.before = u32::MAX - 3;
        assert_eq!(last(&mut table, &[6, 5, 6]), Some(vec![1, 2]));
        assert_eq!(table.before, u32::MAX);
        assert_eq!(last(&mut table, &[]), Some(vec![]));
        assert_eq!(last(&mut table, &[5, 6, 7]), Some(vec![0, 1, 2]));
        assert_eq!(table.before, 3);
    }

    /// Keys that all belong into one slot, made by somebody who knows the seed.
    pub(in super::super) fn colliding(table: &Table, count: usize) -> Vec<u64> {
        let shift = u64::BITS - (count * SLOTS_PER_ITEM).next_power_of_two().trailing_zeros();
        let numbers = (0_u64..).map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        numbers.filter(|key| mix(*key, table.seed) >> shift == 1).take(count).collect()
    }

    #[test]
    fn hostile_keys_are_given_up_after_as_many_steps_as_there_are_keys() {
        let mut table = Table::seeded();
        let keys = colliding(&table, 512);
        let compared = std::cell::Cell::new(0);
        let same = |one: usize, other: usize| {
            compared.set(compared.get() + 1);
            keys[one] == keys[other]
        };
        assert_eq!(table.last(&keys, &mut [0; 512], 576, same), None);
        assert_eq!(compared.get(), 577);
    }
}
