use std::task::Waker;

/// Who waits, in order. Places are reused, so waiting allocates nothing once there were as many waiters before.
///
/// A place belongs to its waiter until the waiter gives it up, also after it was answered.
pub(super) struct Queue {
    places: Vec<Place>,
    /// Places nobody has, each naming the next.
    vacant: usize,
    taken: usize,
    first: usize,
    last: usize,
    waiting: usize,
}

/// A place in a [`Queue`].
pub(crate) type Ticket = usize;

const NONE: usize = usize::MAX;
/// Above so many, the places are given back to the allocator when nobody has one.
const PLACES_KEPT: usize = 256;

struct Place {
    bytes: u64,
    stands: Stands,
    waker: Option<Waker>,
    before: usize,
    after: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    Vacant,
    Waiting,
    Answered(Answer),
}

/// What a waiter was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Granted,
    Refused,
}

/// What a waiter finds that looks again.
pub(super) enum Look {
    Answered(Answer),
    Waiting,
    /// It waits, and its waker is not the one it came with: it must come again with a copy.
    NeedsWaker,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), vacant: NONE, taken: 0, first: NONE, last: NONE, waiting: 0 }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.places.capacity()
    }

    pub(super) fn push(&mut self, bytes: u64, waker: Waker) -> Ticket {
        let place =
            Place { bytes, stands: Stands::Waiting, waker: Some(waker), before: self.last, after: NONE };
        let ticket = if self.vacant == NONE {
            self.places.push(place);
            self.places.len() - 1
        } else {
            let ticket = self.vacant;
            self.vacant = self.places[ticket].after;
            self.places[ticket] = place;
            ticket
        };
        match self.last {
            NONE => self.first = ticket,
            last => self.places[last].after = ticket,
        }
        self.last = ticket;
        self.taken += 1;
        self.waiting += 1;
        ticket
    }

    /// What the one who waits longest asks for.
    pub(super) fn first_bytes(&self) -> Option<u64> {
        (self.first != NONE).then(|| self.places[self.first].bytes)
    }

    /// The one who waits longest waits no longer.
    pub(super) fn answer_first(&mut self, answer: Answer) -> Option<Waker> {
        if self.first == NONE {
            return None;
        }
        let ticket = self.first;
        self.unlink(ticket);
        self.places[ticket].stands = Stands::Answered(answer);
        self.places[ticket].waker.take()
    }

    /// How it stands with `ticket`. One that still waits gets the waker in `fresh` if it needs one, and leaves its old one there.
    pub(super) fn look(&mut self, ticket: Ticket, waker: &Waker, fresh: &mut Option<Waker>) -> Look {
        let place = &mut self.places[ticket];
        match place.stands {
            Stands::Answered(answer) => Look::Answered(answer),
            Stands::Waiting if place.waker.as_ref().is_some_and(|kept| kept.will_wake(waker)) => {
                Look::Waiting
            }
            Stands::Waiting if fresh.is_some() => {
                std::mem::swap(&mut place.waker, fresh);
                Look::Waiting
            }
            Stands::Waiting => Look::NeedsWaker,
            Stands::Vacant => unreachable!("invariant: a ticket is used until it is given up"),
        }
    }

    /// Gives the place up; the answer, if there was one, and the waker, to be dropped outside of the lock.
    pub(super) fn give_up(&mut self, ticket: Ticket) -> (Option<Answer>, Option<Waker>) {
        let answer = match self.places[ticket].stands {
            Stands::Answered(answer) => Some(answer),
            Stands::Waiting | Stands::Vacant => {
                self.unlink(ticket);
                None
            }
        };
        let place = &mut self.places[ticket];
        place.stands = Stands::Vacant;
        place.after = self.vacant;
        let waker = place.waker.take();
        self.vacant = ticket;
        self.taken -= 1;
        if self.taken == 0 && self.places.len() > PLACES_KEPT {
            self.places = Vec::new();
            self.vacant = NONE;
        }
        (answer, waker)
    }

    fn unlink(&mut self, ticket: Ticket) {
        let (before, after) = (self.places[ticket].before, self.places[ticket].after);
        match before {
            NONE => self.first = after,
            before => self.places[before].after = after,
        }
        match after {
            NONE => self.last = before,
            after => self.places[after].before = before,
        }
        self.waiting -= 1;
    }
}
