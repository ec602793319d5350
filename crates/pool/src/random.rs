use std::hash::{BuildHasher, Hasher, RandomState};

/// Where lives and pauses get their spread from.
pub(crate) struct Random {
    state: u64,
    lives: u64,
}

impl Random {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        let state = seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        let mut random = Random { state, lives: 0 };
        random.lives = random.next();
        random
    }

    /// SplitMix64.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A part of `whole` between half of it and all.
    pub(crate) fn upper_half(&mut self, whole: u64) -> u64 {
        whole - part(self.next(), whole / 2)
    }

    /// A part of `whole`, spread more evenly than chance does: by the golden ratio, any run of draws falls into all parts
    /// alike.
    pub(crate) fn spread(&mut self, whole: u64) -> u64 {
        self.lives = self.lives.wrapping_add(0x9E37_79B9_7F4A_7C15);
        part(self.lives, whole)
    }
}

/// `whole` times `share / 2^64`.
fn part(share: u64, whole: u64) -> u64 {
    ((u128::from(share) * u128::from(whole)) >> 64) as u64
}
