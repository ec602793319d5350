use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    task::Waker,
};

use crate::{Status, pooled::Pooled};

/// A place in the pool: with the connection that is in it, or empty, to connect in.
pub(crate) type Place<T> = Option<Pooled<T>>;

/// The counts, the idle connections and the queue. It calls nobody: wakers and connections are handed out
/// to be woken and dropped outside the lock.
///
/// Invariants: `idle.len() + in_use <= places`; a waiter is in `queue` only while no place is free and
/// nothing is idle; what is in `served` is counted by `in_use`; when `closed`, `idle`, `queue` and `served`
/// are empty.
pub(crate) struct State<T> {
    places: usize,
    waiters_max: usize,
    /// The warmest last.
    idle: VecDeque<Pooled<T>>,
    in_use: usize,
    /// Numbers only grow, so the first is the oldest.
    queue: BTreeMap<u64, Waker>,
    served: BTreeMap<u64, Place<T>>,
    closed: bool,
    closers: BTreeMap<u64, Waker>,
    next: u64,
}

/// What came of asking for a place.
pub(crate) enum Asked<T> {
    Served(Place<T>),
    /// In the queue; the waker that was replaced is handed back to be dropped.
    Queued(u64, Option<Waker>),
    Full,
    Closed,
}

/// Whom to wake.
#[must_use]
pub(crate) enum Wakes {
    Nobody,
    Waiter(Waker),
    Closers(BTreeMap<u64, Waker>),
}

/// What a close took out.
pub(crate) struct Emptied<T> {
    pub(crate) queue: BTreeMap<u64, Waker>,
    /// Counted by `in_use` until each is given back.
    pub(crate) places: Vec<Place<T>>,
}

impl<T> State<T> {
    pub(crate) fn new(places: usize, waiters_max: usize) -> Self {
        State {
            places,
            waiters_max,
            idle: VecDeque::new(),
            in_use: 0,
            queue: BTreeMap::new(),
            served: BTreeMap::new(),
            closed: false,
            closers: BTreeMap::new(),
            next: 0,
        }
    }

    /// Asks for a place, for the first time or, with its number, again.
    pub(crate) fn ask(&mut self, number: Option<u64>, waker: Waker) -> Asked<T> {
        if let Some(number) = number {
            if let Some(place) = self.served.remove(&number) {
                return Asked::Served(place);
            }
            return match self.queue.get_mut(&number) {
                Some(held) => Asked::Queued(number, Some(mem::replace(held, waker))),
                None => Asked::Closed,
            };
        }
        if self.closed {
            return Asked::Closed;
        }
        if self.queue.is_empty() {
            if let Some(pooled) = self.idle.pop_back() {
                self.in_use += 1;
                return Asked::Served(Some(pooled));
            }
            if self.in_use < self.places {
                self.in_use += 1;
                return Asked::Served(None);
            }
        }
        if self.queue.len() >= self.waiters_max {
            return Asked::Full;
        }
        let number = self.number();
        self.queue.insert(number, waker);
        Asked::Queued(number, None)
    }

    /// Leaves the queue; a place that was served but not fetched is still the caller's to give back.
    pub(crate) fn leave(&mut self, number: u64) -> (Option<Waker>, Option<Place<T>>) {
        (self.queue.remove(&number), self.served.remove(&number))
    }

    /// Gives a place back: to the oldest waiter, or to all.
    pub(crate) fn give(&mut self, place: Place<T>) -> Wakes {
        if let Some((number, waker)) = self.queue.pop_first() {
            self.served.insert(number, place);
            return Wakes::Waiter(waker);
        }
        self.in_use -= 1;
        self.idle.extend(place);
        if self.closed && self.in_use == 0 {
            Wakes::Closers(mem::take(&mut self.closers))
        } else {
            Wakes::Nobody
        }
    }

    /// The warmest idle connection, for a holder of an empty place. The place that becomes free by it goes to
    /// nobody: where something is idle, nobody waits.
    pub(crate) fn swap_for_idle(&mut self) -> Option<Pooled<T>> {
        self.idle.pop_back()
    }

    /// The coldest idle connection, if it is expired. Its place counts as in use until it is given back.
    pub(crate) fn take_coldest(&mut self, is_expired: impl Fn(&Pooled<T>) -> bool) -> Option<Pooled<T>> {
        if !is_expired(self.idle.front()?) {
            return None;
        }
        self.in_use += 1;
        self.idle.pop_front()
    }

    /// All expired idle connections. Their places count as in use until they are given back.
    pub(crate) fn take_expired(&mut self, is_expired: impl Fn(&Pooled<T>) -> bool) -> Vec<Pooled<T>> {
        let (expired, kept): (Vec<_>, Vec<_>) = mem::take(&mut self.idle).into_iter().partition(is_expired);
        self.idle = kept.into();
        self.in_use += expired.len();
        expired
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn close(&mut self) -> Emptied<T> {
        self.closed = true;
        self.in_use += self.idle.len();
        let mut places: Vec<_> = mem::take(&mut self.idle).into_iter().map(Some).collect();
        places.extend(mem::take(&mut self.served).into_values());
        Emptied { queue: mem::take(&mut self.queue), places }
    }

    /// Waits for the last place to come back; `None` when nothing is out. The waker that was replaced is handed
    /// back to be dropped.
    pub(crate) fn await_drained(
        &mut self,
        number: Option<u64>,
        waker: Waker,
    ) -> Option<(u64, Option<Waker>)> {
        if self.in_use == 0 {
            return None;
        }
        let number = number.unwrap_or_else(|| self.number());
        Some((number, self.closers.insert(number, waker)))
    }

    pub(crate) fn leave_drain(&mut self, number: u64) -> Option<Waker> {
        self.closers.remove(&number)
    }

    pub(crate) fn status(&self) -> Status {
        Status {
            size: self.idle.len() + self.in_use,
            idle: self.idle.len(),
            in_use: self.in_use,
            waiting: self.queue.len(),
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Wakes {
    /// Wakes them. Not under the lock: a waker may run the woken task at once.
    pub(crate) fn wake(self) {
        match self {
            Wakes::Nobody => {}
            Wakes::Waiter(waker) => waker.wake(),
            Wakes::Closers(closers) => closers.into_values().for_each(Waker::wake),
        }
    }
}
