use std::time::Instant;

use standpipe_harness::{Outcome, check};

use crate::closed_loop::{Measured, Tally};

/// What goes through a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) producer: u32,
    /// The bytes that it says it has; it has none, so that buffers are measured and not the allocator.
    pub(crate) bytes: u32,
    pub(crate) number: u64,
}

impl weighted_mpsc::Weigh for Item {
    fn weight(&self) -> usize {
        self.bytes as usize
    }
}

/// The items of one producer.
#[derive(Debug)]
pub(crate) struct Source {
    producer: u32,
    made: u64,
    bytes: u64,
}

/// What a producer made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Made {
    items: u64,
    bytes: u64,
}

impl Source {
    pub(crate) fn of(producer: u32) -> Self {
        Source { producer, made: 0, bytes: 0 }
    }

    pub(crate) fn next(&mut self) -> Item {
        let bytes = 64 + (self.made as u32).wrapping_mul(37) % 128;
        let item = Item { producer: self.producer, bytes, number: self.made };
        self.made += 1;
        self.bytes += u64::from(bytes);
        item
    }

    /// Whether it is time to look at the clock: at every 64th item.
    pub(crate) fn is_round(&self) -> bool {
        self.made.is_multiple_of(64)
    }

    pub(crate) fn made(&self) -> Made {
        Made { items: self.made, bytes: self.bytes }
    }
}

/// The taker's side: counts, and sees that all is there.
#[derive(Debug)]
pub(crate) struct Taker {
    tally: Tally,
    next: Vec<u64>,
    taken: Made,
    wrong: Option<Item>,
}

impl Taker {
    pub(crate) fn new(measured: Measured, producers: u32) -> Self {
        Taker {
            tally: Tally::new(measured),
            next: vec![0; producers as usize],
            taken: Made::default(),
            wrong: None,
        }
    }

    /// A batch was taken.
    pub(crate) fn took<'i>(&mut self, items: impl IntoIterator<Item = &'i Item>) {
        let before = self.taken.items;
        for item in items {
            let next = &mut self.next[item.producer as usize];
            if item.number != *next {
                self.wrong.get_or_insert(*item);
            }
            *next = item.number + 1;
            self.taken.items += 1;
            self.taken.bytes += u64::from(item.bytes);
        }
        self.tally.count(self.taken.items - before, Instant::now());
    }

    /// What was counted, if all that was made was taken.
    pub(crate) fn finish(self, made: impl IntoIterator<Item = Made>) -> Outcome<Tally> {
        let made = made.into_iter().fold(Made::default(), |sum, one| Made {
            items: sum.items + one.items,
            bytes: sum.bytes + one.bytes,
        });
        check("an item out of its producer's order", self.wrong.map(|item| item.number), None)?;
        check("what was taken", self.taken, made)?;
        Ok(self.tally)
    }
}
