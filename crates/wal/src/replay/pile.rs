use standpipe_log::{Entry, Lsn};

/// Copies of records, side by side, to be shown together.
#[derive(Debug, Default)]
pub(crate) struct Pile {
    bytes: Vec<u8>,
    /// Each record's number, and where it ends.
    places: Vec<(Lsn, usize)>,
}

/// The smallest buffer worth having, in bytes.
const BUFFER_BYTES_MIN: usize = 256;
const PLACE_BYTES: usize = size_of::<(Lsn, usize)>();

impl Pile {
    pub(crate) fn push(&mut self, entry: &Entry<'_>) {
        self.bytes.extend_from_slice(entry.payload);
        self.places.push((entry.lsn, self.bytes.len()));
    }

    /// As [`push`](Pile::push), but takes no more memory than this; `false` where it would.
    pub(crate) fn push_within(&mut self, entry: &Entry<'_>, memory_bytes_max: usize) -> bool {
        let needed = (self.bytes.len() + entry.payload.len(), self.places.len() + 1);
        let roomy = (
            grown(self.bytes.capacity(), needed.0, BUFFER_BYTES_MIN),
            grown(self.places.capacity(), needed.1, BUFFER_BYTES_MIN / PLACE_BYTES),
        );
        let exact = (self.bytes.capacity().max(needed.0), self.places.capacity().max(needed.1));
        let fits = |(bytes, places): &(usize, usize)| bytes + places * PLACE_BYTES <= memory_bytes_max;
        let Some((bytes, places)) = [roomy, exact].into_iter().find(fits) else { return false };
        self.bytes.reserve_exact(bytes - self.bytes.len());
        self.places.reserve_exact(places - self.places.len());
        self.push(entry);
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn first(&self) -> Option<Lsn> {
        self.places.first().map(|(lsn, _)| *lsn)
    }

    /// The bytes of all records.
    pub(crate) fn content_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The memory that it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.places.capacity() * PLACE_BYTES
    }

    /// What [`push_within`](Pile::push_within) of these bytes would take at least.
    pub(crate) fn memory_bytes_with(&self, more: usize) -> usize {
        let bytes = self.bytes.capacity().max(self.bytes.len() + more);
        bytes + self.places.capacity().max(self.places.len() + 1) * PLACE_BYTES
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
    }

    /// Shows all records to `view`.
    pub(crate) fn show<R>(&self, shelf: &mut Shelf, view: impl FnOnce(&[Entry<'_>]) -> R) -> R {
        let mut entries: Vec<Entry<'_>> = std::mem::take(&mut shelf.0);
        let mut from = 0;
        for (lsn, end) in &self.places {
            entries.push(Entry { lsn: *lsn, payload: &self.bytes[from..*end] });
            from = *end;
        }
        let out = view(&entries);
        entries.clear();
        // The entries are gone and their lifetime with them; collecting in place keeps the memory.
        shelf.0 = entries.into_iter().map(|_| Entry { lsn: Lsn::FIRST, payload: &[] }).collect();
        out
    }
}

/// The memory in which piles are shown, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Shelf(Vec<Entry<'static>>);

fn grown(capacity: usize, needed: usize, least: usize) -> usize {
    if needed <= capacity { capacity } else { needed.max(capacity * 2).max(least) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pile_keeps_to_its_memory_and_shows_what_it_got() {
        let (mut pile, mut shelf) = (Pile::default(), Shelf::default());
        let payload = [7; 100];
        let mut pushed = 0;
        while pile.push_within(&Entry { lsn: Lsn::new(pushed + 1), payload: &payload }, 2000) {
            pushed += 1;
            assert!(pile.memory_bytes() <= 2000);
        }
        // 100 bytes and a place of 16 each.
        assert_eq!(pushed, 17);
        assert!(pile.memory_bytes_with(100) > 2000);
        for _ in 0..2 {
            let lsns: Vec<Lsn> = pile.show(&mut shelf, |entries| {
                assert!(entries.iter().all(|entry| entry.payload == payload));
                entries.iter().map(|entry| entry.lsn).collect()
            });
            assert_eq!(lsns, (1..=17).map(Lsn::new).collect::<Vec<_>>());
            assert!(shelf.0.capacity() >= 17, "the memory is kept");
        }
    }
}
