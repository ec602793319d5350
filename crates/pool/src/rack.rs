//! Where idle connections stand: one bit for each place, sixty-three to a word, and what stands there.

#![allow(unsafe_code)] // Two calls of what `stand.rs` argues for.
#![expect(
    clippy::expect_used,
    reason = "a stated invariant: who set or cleared a place's bit has the place for himself"
)]

use std::sync::{OnceLock, atomic::AtomicUsize};

use crate::{
    stand::Stand,
    sync::{AtomicU64, Ordering},
};

/// Places in a word.
const PLACES: usize = 63;
/// Set in every word while the way past the desk is closed: somebody waits, or something is to be done there.
const DESK: u64 = 1 << 63;
/// The most places. A limit on the memory that a wrong setting can ask for.
pub(crate) const PLACES_MAX: usize = 16_384;

/// Takes and puts without a lock, lowest place first: what is not needed stays idle at the upper end and ages.
pub(crate) struct Rack<T> {
    words: Box<[OnceLock<Word<T>>]>,
    /// Words that are there, from the first on. Only grows.
    count: AtomicUsize,
}

/// On cache lines of its own: two threads meet at the bits, and should not meet elsewhere too.
#[repr(align(128))]
struct Word<T> {
    bits: AtomicU64,
    standing: Box<[Standing<T>]>,
}

#[repr(align(64))]
struct Standing<T> {
    stand: Stand<T>,
    born: AtomicU64,
    since: AtomicU64,
    dies: AtomicU64,
}

/// What came of asking.
pub(crate) enum Taken<T> {
    Item(T),
    Empty,
    Desk,
}

/// When what stands in a place was made, when it came there, and when it is to go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dates {
    pub(crate) born: u64,
    pub(crate) since: u64,
    pub(crate) dies: u64,
}

impl<T> Rack<T> {
    pub(crate) fn new() -> Self {
        let words = (0..PLACES_MAX.div_ceil(PLACES)).map(|_| OnceLock::new()).collect();
        let rack = Rack { words, count: AtomicUsize::new(0) };
        rack.reach(0, false);
        rack
    }

    /// Makes sure that the place is there. Its callers take turns.
    pub(crate) fn reach(&self, place: usize, by_desk: bool) {
        let count = self.count.load(Ordering::Relaxed);
        for word in self.words.iter().take(place / PLACES + 1).skip(count) {
            word.get_or_init(|| Word {
                bits: AtomicU64::new(if by_desk { DESK } else { 0 }),
                standing: (0..PLACES).map(|_| Standing::default()).collect(),
            });
        }
        self.count.store(count.max(place / PLACES + 1), Ordering::Release);
    }

    /// Takes the lowest unless the way is closed. Lock-free: whoever is in its way has taken or put one.
    #[inline]
    pub(crate) fn take(&self) -> Taken<T> {
        for word in self.words() {
            let mut bits = word.bits.load(Ordering::Acquire);
            loop {
                if bits & DESK != 0 && !crate::planted::is(crate::planted::Plant::Barging) {
                    return Taken::Desk;
                }
                if bits & !DESK == 0 {
                    break;
                }
                match word.claim(bits, bits.trailing_zeros()) {
                    Ok(item) => return Taken::Item(item),
                    Err(now) => bits = now,
                }
            }
        }
        Taken::Empty
    }

    /// Takes the lowest whether or not the way is closed. For who has the desk's lock.
    pub(crate) fn take_at_desk(&self) -> Option<T> {
        self.words().find_map(|word| {
            let mut bits = word.bits.load(Ordering::Acquire);
            loop {
                if bits & !DESK == 0 {
                    return None;
                }
                match word.claim(bits, bits.trailing_zeros()) {
                    Ok(item) => return Some(item),
                    Err(now) => bits = now,
                }
            }
        })
    }

    /// Takes what stands in a place, if something does.
    pub(crate) fn take_from(&self, place: usize) -> Option<T> {
        let word = self.words[place / PLACES].get()?;
        let place = (place % PLACES) as u32;
        let mut bits = word.bits.load(Ordering::Acquire);
        loop {
            if bits & 1 << place == 0 {
                return None;
            }
            match word.claim(bits, place) {
                Ok(item) => return Some(item),
                Err(now) => bits = now,
            }
        }
    }

    /// Whether the way is closed, as far as can be seen from this place.
    #[inline]
    pub(crate) fn is_closed_off(&self, place: usize) -> bool {
        self.word(place).bits.load(Ordering::Acquire) & DESK != 0
    }

    /// Puts an item in its place, which its caller took it from or was given at the desk. True if the way was closed at that
    /// instant: then the desk has to be told.
    #[inline]
    pub(crate) fn put(&self, place: usize, item: T, dates: Dates) -> bool {
        let word = self.word(place);
        let stand = &word.standing[place % PLACES];
        stand.born.store(dates.born, Ordering::Relaxed);
        stand.since.store(dates.since, Ordering::Relaxed);
        stand.dies.store(dates.dies, Ordering::Relaxed);
        // SAFETY: the item's place is owned by who has the item.
        unsafe { stand.stand.put(item) };
        word.bits.fetch_or(1 << (place % PLACES), Ordering::AcqRel) & DESK != 0
    }

    /// Closes the way, or opens it. Afterwards nobody takes but who has the desk's lock; who puts will see it.
    pub(crate) fn set_desk(&self, closed: bool) {
        for word in self.words() {
            if closed {
                word.bits.fetch_or(DESK, Ordering::AcqRel);
            } else {
                word.bits.fetch_and(!DESK, Ordering::AcqRel);
            }
        }
    }

    /// How many stand here. Exact at one instant for the first 63 places; beyond those it is a sum over instants.
    pub(crate) fn count(&self) -> usize {
        self.words().map(|word| (word.bits.load(Ordering::Acquire) & !DESK).count_ones() as usize).sum()
    }

    /// Each place where something stands now, and its dates. The dates may be of what came after it.
    pub(crate) fn standing(&self) -> impl Iterator<Item = (usize, Dates)> + '_ {
        self.words().enumerate().flat_map(|(index, word)| {
            let bits = word.bits.load(Ordering::Acquire) & !DESK;
            (0..PLACES).filter(move |place| bits & 1 << place != 0).map(move |place| {
                let stand = &word.standing[place];
                let [born, since, dies] =
                    [&stand.born, &stand.since, &stand.dies].map(|date| date.load(Ordering::Relaxed));
                (index * PLACES + place, Dates { born, since, dies })
            })
        })
    }

    #[inline]
    fn words(&self) -> impl Iterator<Item = &Word<T>> {
        self.words[..self.count.load(Ordering::Acquire)].iter().filter_map(OnceLock::get)
    }

    #[inline]
    fn word(&self, place: usize) -> &Word<T> {
        self.words[place / PLACES].get().expect("invariant: a place that was given out is there")
    }
}

impl<T> Word<T> {
    /// Clears the bit, and then has what stands there for himself.
    #[inline]
    fn claim(&self, bits: u64, place: u32) -> Result<T, u64> {
        let cleared = bits & !(1 << place);
        self.bits.compare_exchange(bits, cleared, Ordering::AcqRel, Ordering::Acquire)?;
        // SAFETY: this thread has just cleared the place's bit.
        let item = unsafe { self.standing[place as usize].stand.take() };
        Ok(item.expect("invariant: a set bit means that an item stands there"))
    }
}

impl<T> Default for Standing<T> {
    fn default() -> Self {
        let [born, since, dies] = [(); 3].map(|()| AtomicU64::new(0));
        Standing { stand: Stand::new(), born, since, dies }
    }
}
