use std::{
    collections::{BTreeMap, HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use super::{
    cut::{Cut, SECTOR_BYTES},
    disk::Disk,
    mem::MemStorage,
};

/// How many subsets come before the last write is torn at every sector.
const SEEDS_FIRST: u64 = 16;

/// For sweeps: every way in which the power can go at one moment.
impl MemStorage {
    /// Ways in which the power can go now that leave different disks, at most `most`: nothing kept, everything kept, names
    /// without writes and the reverse, the last write torn at a few bytes and sectors, some seeded subsets, the last write
    /// torn at every sector, then more subsets. Deterministic.
    ///
    /// The first is always [`Cut::LoseUnsynced`]; it is the only one when nothing is unsynced.
    #[must_use]
    pub fn cuts(&self, most: usize) -> Vec<Cut> {
        let state = self.shared.state();
        let mut seen = HashSet::new();
        let mut cuts = Vec::new();
        let mut repeats = 0;
        for cut in candidates(&state.disk) {
            // Many seeds in a row without a new disk: there is hardly another one.
            if cuts.len() >= most || repeats >= 32 {
                break;
            }
            if seen.insert(fingerprint(&state.disk.cut(cut))) {
                cuts.push(cut);
                repeats = 0;
            } else if matches!(cut, Cut::Subset { .. }) {
                repeats += 1;
            }
        }
        cuts
    }

    /// The disks of [`cuts`](MemStorage::cuts), each with the cut that made it.
    #[must_use]
    pub fn images(&self, most: usize) -> Vec<(Cut, MemStorage)> {
        self.cuts(most).into_iter().map(|cut| (cut, self.power_cut(cut))).collect()
    }

    /// A number that differs when a name or a byte that a reader sees differs. Not a call.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let state = self.shared.state();
        let image = state.disk.visible.iter().map(|(name, id)| {
            (name.clone(), state.disk.files.get(id).map(|c| c.visible.clone()).unwrap_or_default())
        });
        fingerprint(&image.collect())
    }
}

fn candidates(disk: &Disk) -> impl Iterator<Item = Cut> + use<> {
    let fixed = [Cut::LoseUnsynced, Cut::KeepAll, Cut::LoseNames, Cut::LoseWrites];
    let (mut torn, mut each) = (Vec::new(), Vec::new());
    if let Some(write) = disk.last_write() {
        let bytes = write.bytes.len() as u64;
        let first = SECTOR_BYTES - write.offset % SECTOR_BYTES;
        for kept in [1, bytes / 2, bytes - 1] {
            torn.push(Cut::Torn { sector_bytes: 1, sectors: kept });
        }
        let sectors = if bytes <= first { 1 } else { 1 + (bytes - first).div_ceil(SECTOR_BYTES) };
        let at = |kept| Cut::Torn { sector_bytes: SECTOR_BYTES, sectors: kept };
        torn.extend([0, 1, sectors / 2, sectors - 1].map(at));
        each.extend((0..sectors).map(at));
    }
    let some = (0..SEEDS_FIRST).map(|seed| Cut::Subset { seed });
    let more = (SEEDS_FIRST..).map(|seed| Cut::Subset { seed });
    fixed.into_iter().chain(torn).chain(some).chain(each).chain(more)
}

fn fingerprint(files: &BTreeMap<String, Vec<u8>>) -> u64 {
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    hasher.finish()
}
