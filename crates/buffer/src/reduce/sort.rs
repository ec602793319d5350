/// Keys in order, with their places: as slow for all keys, and so for hostile ones too.
#[derive(Default)]
pub(super) struct Sorter {
    pairs: Vec<(u64, u32)>,
}

impl Sorter {
    /// Writes the places to keep, and returns how many.
    pub(super) fn last(&mut self, keys: &[u64], kept: &mut [u32]) -> usize {
        self.pairs.clear();
        self.pairs.extend(keys.iter().copied().zip(0..));
        self.pairs.sort_unstable();
        let mut count = 0;
        for same in self.pairs.chunk_by(|one, other| one.0 == other.0) {
            kept[count] = same[same.len() - 1].1;
            count += 1;
        }
        kept[..count].sort_unstable();
        count
    }

    #[cfg(test)]
    pub(super) fn is_unused(&self) -> bool {
        self.pairs.is_empty()
    }
}
