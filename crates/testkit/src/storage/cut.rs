use std::collections::BTreeMap;

use super::disk::{Change, Contents, Disk, Names};
use crate::Random;

/// The unit that a disk writes whole or not at all, in bytes.
pub const SECTOR_BYTES: u64 = 512;

/// What the disk holds after the power went: one of the many states that the duties of `Storage` and `File` allow.
///
/// What was synced is there in each of them. Writes that were unsynced when a sync *failed* are lost, except that
/// [`Cut::Subset`] may keep parts of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// Only what was synced, names included.
    LoseUnsynced,
    /// Everything that was written and every change of names.
    KeepAll,
    /// As `KeepAll`, but of the last write only what lies in its first `sectors` sectors. With a sector of one byte
    /// the write is torn at a byte.
    Torn {
        /// The size of a sector in bytes; boundaries are multiples of it in the file. 0 counts as 1.
        sector_bytes: u64,
        /// How many of the sectors that the write touches are kept.
        sectors: u64,
    },
    /// Any part of the unsynced writes, sector by sector, later ones without earlier ones, and any part of the
    /// changes of names. The seed decides which.
    Subset {
        /// Same seed, same state: same result.
        seed: u64,
    },
    /// No change of names that was not synced, but every write: contents ran ahead of the directory.
    LoseNames,
    /// Every change of names, but no write that was not synced: the directory ran ahead of contents.
    LoseWrites,
}

impl Disk {
    /// The files that a machine finds when it comes up again.
    pub(crate) fn cut(&self, cut: Cut) -> BTreeMap<String, Vec<u8>> {
        let mut random = match cut {
            Cut::Subset { seed } => Random::new(seed),
            _ => Random::new(0),
        };
        let names = self.names_after(cut, &mut random);
        let tear = match cut {
            Cut::Torn { sector_bytes, sectors } => {
                self.last_write().map(|write| (write.order, torn_end(write, sector_bytes.max(1), sectors)))
            }
            _ => None,
        };
        // Every file draws from a seed of its own, so that one file's history does not change another's fate.
        let base = random.next_u64();
        names
            .into_iter()
            .map(|(name, id)| {
                let mut random = Random::new(base ^ id.wrapping_mul(0xd6e8_feb8_6659_fd93));
                let image =
                    self.files.get(&id).map_or_else(Vec::new, |file| file.after(cut, tear, &mut random));
                (name, image)
            })
            .collect()
    }

    fn names_after(&self, cut: Cut, random: &mut Random) -> Names {
        let mut names = self.durable.clone();
        let eighths = random.below(9);
        for (_, change) in &self.unsynced_names {
            let kept = match cut {
                Cut::LoseUnsynced | Cut::LoseNames => false,
                Cut::KeepAll | Cut::Torn { .. } | Cut::LoseWrites => true,
                Cut::Subset { .. } => random.chance(eighths),
            };
            if kept {
                change.apply(&mut names);
            }
        }
        names
    }

    /// The unsynced write that was made last, in whichever file.
    pub(crate) fn last_write(&self) -> Option<&Change> {
        self.files
            .values()
            .flat_map(|contents| &contents.unsynced)
            .filter(|change| !change.bytes.is_empty())
            .max_by_key(|change| change.order)
    }
}

impl Contents {
    fn after(&self, cut: Cut, tear: Option<(u64, u64)>, random: &mut Random) -> Vec<u8> {
        let mut image = self.durable.clone();
        match cut {
            Cut::LoseUnsynced | Cut::LoseWrites => {}
            Cut::KeepAll | Cut::LoseNames => {
                self.unsynced.iter().for_each(|change| change.apply(&mut image));
            }
            Cut::Torn { .. } => {
                for change in &self.unsynced {
                    match tear {
                        Some((order, end)) if order == change.order => {
                            if let Some(part) = change.part(change.offset, end) {
                                part.apply(&mut image);
                            }
                        }
                        _ => change.apply(&mut image),
                    }
                }
            }
            Cut::Subset { .. } => {
                // Half of the seeds lose whole writes, half single sectors; few, many or most of them.
                let whole = random.chance(4);
                let eighths = 1 + random.below(7);
                for change in self.limbo.iter().chain(&self.unsynced) {
                    if whole || change.bytes.is_empty() {
                        if random.chance(eighths) {
                            change.apply(&mut image);
                        }
                    } else {
                        keep_sectors(change, eighths, random, &mut image);
                    }
                }
            }
        }
        image
    }
}

fn keep_sectors(change: &Change, eighths: u64, random: &mut Random, image: &mut Vec<u8>) {
    let mut from = change.offset;
    while from < change.end() {
        let to = (from / SECTOR_BYTES + 1) * SECTOR_BYTES;
        if random.chance(eighths)
            && let Some(part) = change.part(from, to)
        {
            part.apply(image);
        }
        from = to;
    }
}

fn torn_end(write: &Change, sector_bytes: u64, sectors: u64) -> u64 {
    (write.offset / sector_bytes).saturating_add(sectors).saturating_mul(sector_bytes).max(write.offset)
}
