/// Keys whose range is at most this many times their number have a byte each instead of a place in the table.
const SPREAD_MAX: u64 = 16;
/// Keys between two looks at how far they are apart.
const BLOCK: usize = 64;

/// A byte for each key between the smallest and the largest.
#[derive(Default)]
pub(super) struct Dense {
    /// The batch, by its mark, in which the key was last seen. So nothing is cleared between two batches.
    seen: Vec<u8>,
    mark: u8,
}

impl Dense {
    /// Writes the places to keep to the end of the first `keys.len()`, and returns where they begin; `None` where the
    /// keys are too far apart.
    pub(super) fn last(&mut self, keys: &[u64], kept: &mut [u32]) -> Option<usize> {
        let (least, most) = range(keys, keys.len() as u64 * SPREAD_MAX)?;
        let range = (most - least) as usize + 1;
        if self.seen.len() < range {
            self.seen.resize(range, 0);
        }
        self.mark = self.mark.wrapping_add(1);
        if self.mark == 0 {
            self.seen.fill(0);
            self.mark = 1;
        }
        let (seen, kept) = (&mut self.seen[..range], &mut kept[..keys.len()]);
        let mut from = keys.len();
        // No branches: written anyway, and written over unless it is the last of its key. So many keys as are left have
        // room before `from`.
        for (place, key) in keys.iter().enumerate().rev() {
            let seen = &mut seen[(key - least) as usize];
            kept[from - 1] = place as u32;
            from -= usize::from(*seen != self.mark);
            *seen = self.mark;
        }
        Some(from)
    }

    #[cfg(test)]
    pub(super) fn is_unused(&self) -> bool {
        self.seen.is_empty()
    }
}

/// The smallest and the largest key, when less than `apart` lies between them.
fn range(keys: &[u64], apart: u64) -> Option<(u64, u64)> {
    let (mut least, mut most) = (u64::MAX, 0);
    for block in keys.chunks(BLOCK) {
        for key in block {
            least = least.min(*key);
            most = most.max(*key);
        }
        if most - least >= apart {
            return None;
        }
    }
    Some((least, most))
}
