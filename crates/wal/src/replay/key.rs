/// What a record changes, as far as the order of applying matters: records with the same key are applied one after
/// the other in the order of the log. Two different keys may come to the same value, which costs nothing but order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    /// Which of `lanes` the key belongs to.
    pub(crate) fn lane(self, lanes: usize) -> usize {
        // Keys are often small numbers or multiples of something: all bits must count.
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * lanes as u128) >> 64) as usize
    }
}

impl From<u64> for Key {
    fn from(number: u64) -> Self {
        Key(number)
    }
}

/// A hash of all bytes and their number. Not one that an attacker could not collide: what that gains is a slow replay.
impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        let mut hash = bytes.len() as u64 ^ 0x9e37_79b9_7f4a_7c15;
        let mut take = |word: u64| {
            let wide = u128::from(hash ^ word) * 0xa076_1d64_78bd_642f;
            hash = (wide as u64) ^ ((wide >> 64) as u64);
        };
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            take(u64::from_le_bytes(word));
        }
        let mut word = [0; 8];
        word[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
        take(u64::from_le_bytes(word));
        Key(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn keys_spread_over_lanes_and_stay_there() {
        for lanes in [2, 3, 8] {
            let mut of_numbers = vec![0_usize; lanes];
            let mut of_bytes = vec![0_usize; lanes];
            for number in 0..8000_u64 {
                of_numbers[Key::from(number * 1024).lane(lanes)] += 1;
                let text = format!("account/{number}");
                of_bytes[Key::from(text.as_bytes()).lane(lanes)] += 1;
                assert_eq!(Key::from(text.as_bytes()).lane(lanes), Key::from(text.as_bytes()).lane(lanes));
            }
            let fair = 8000 / lanes;
            for count in of_numbers.iter().chain(&of_bytes) {
                assert!(count.abs_diff(fair) < fair / 5, "{of_numbers:?} {of_bytes:?}");
            }
        }
        assert_ne!(Key::from(&b"a"[..]), Key::from(&b"a\0"[..]));
    }
}
