/// Places past the last that [`Lanes4::last_of_runs`] may write.
pub(super) const SPARE: usize = 4;

/// Keys between two looks at whether one was smaller than the one before it.
const BLOCK: usize = 64;

/// Whether four keys may be compared at a time.
#[derive(Clone, Copy)]
pub(super) struct Lanes4 {
    #[cfg(target_arch = "x86_64")]
    avx2: Option<super::simd::Avx2>,
}

impl Lanes4 {
    pub(super) fn detected() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            avx2: super::simd::Avx2::detected(),
        }
    }

    pub(super) fn none() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            avx2: None,
        }
    }

    /// Where no key is smaller than the one before it: writes the place of the last of each run of equal keys, and
    /// returns how many. Else `None`, mostly after a look at a few keys.
    pub(super) fn last_of_runs(self, keys: &[u64], kept: &mut [u32]) -> Option<usize> {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = self.avx2 {
            return avx2.last_of_runs(keys, kept);
        }
        rest_of_runs(keys, kept, 0, 0)
    }
}

/// The same from the key at `from` on, with `count` places written.
pub(super) fn rest_of_runs(keys: &[u64], kept: &mut [u32], from: usize, mut count: usize) -> Option<usize> {
    let Some(last) = keys.len().checked_sub(1) else { return Some(0) };
    let mut begin = from;
    while begin < last {
        let end = last.min(begin + BLOCK);
        let mut falls = false;
        // No branches: written anyway, and written over unless the next key is another one.
        for (place, pair) in (begin as u32..).zip(keys[begin..=end].windows(2)) {
            falls |= pair[0] > pair[1];
            kept[count] = place;
            count += usize::from(pair[0] != pair[1]);
        }
        if falls {
            return None;
        }
        begin = end;
    }
    kept[count] = last as u32;
    Some(count + 1)
}
