use std::{collections::VecDeque, mem, sync::Arc, task::Waker};

use crate::{
    planted::{self, Plant},
    sync::{Mutex, lock},
};

/// Those who wait, in the order in which they came. It calls nobody: wakers and items are handed out.
///
/// A seat that leaves from the middle is passed over when its turn comes, and swept out when such are more than the rest.
pub(crate) struct Queue<T> {
    order: VecDeque<Arc<Seat<T>>>,
    spares: Vec<Arc<Seat<T>>>,
    waiting: usize,
}

/// One who waits. What he is given lies in his seat, so that fetching it is between him and the giver alone.
pub(crate) struct Seat<T> {
    state: Mutex<State<T>>,
}

enum State<T> {
    /// The waker is absent after a call: who was called looks again, and leaves it anew.
    Waiting {
        waker: Option<Waker>,
        since: u64,
    },
    Settled(T),
    Gone,
}

/// What came of looking.
pub(crate) enum Looked<T> {
    Settled(T),
    Waiting,
}

/// What came of settling the oldest.
pub(crate) enum Settled<T> {
    /// He is to be woken, unless that was done.
    Given(Option<Waker>),
    NobodyWaits(T),
}

/// Seats kept for the next.
const SPARES_MAX: usize = 1024;

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Queue { order: VecDeque::new(), spares: Vec::new(), waiting: 0 }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Joins at the end; who had his turn and was given what turned out to be bad, in front of all who asked when he did or
    /// later. So the order is also that of times.
    pub(crate) fn join(&mut self, waker: Option<Waker>, since: u64, at_front: bool) -> Arc<Seat<T>> {
        let state = State::Waiting { waker, since };
        let seat = match self.spares.pop() {
            Some(seat) => {
                *lock(&seat.state) = state;
                seat
            }
            None => Arc::new(Seat { state: Mutex::new(state) }),
        };
        if at_front {
            let is_earlier = |seat: &Arc<Seat<T>>| !matches!(*lock(&seat.state), State::Waiting { since: other, .. } if other >= since);
            let place = self.order.iter().take_while(|seat| is_earlier(seat)).count();
            self.order.insert(place, Arc::clone(&seat));
        } else {
            self.order.push_back(Arc::clone(&seat));
        }
        self.waiting += 1;
        seat
    }

    /// Gives it to the oldest.
    pub(crate) fn settle(&mut self, item: T) -> Settled<T> {
        while self.waiting > 0 {
            let next = if planted::is(Plant::YoungestFirst) {
                self.order.pop_back()
            } else {
                self.order.pop_front()
            };
            let Some(seat) = next else { break };
            let mut state = lock(&seat.state);
            if let State::Waiting { waker, .. } = &mut *state {
                let waker = waker.take();
                *state = State::Settled(item);
                self.waiting -= 1;
                return Settled::Given(waker);
            }
        }
        Settled::NobodyWaits(item)
    }

    /// Leaves; what was given and not fetched is handed out, or the waker.
    pub(crate) fn leave(&mut self, seat: &Seat<T>) -> (Option<Waker>, Option<T>) {
        // Not in the match itself: the seat's lock would be held through it, and the sweep takes it again.
        let state = mem::replace(&mut *lock(&seat.state), State::Gone);
        match state {
            State::Waiting { waker, .. } => {
                self.waiting -= 1;
                if self.order.len() > 2 * self.waiting + 64 {
                    self.order.retain(|seat| matches!(*lock(&seat.state), State::Waiting { .. }));
                }
                (waker, None)
            }
            State::Settled(item) => (None, Some(item)),
            State::Gone => (None, None),
        }
    }

    /// Takes back a seat that nobody sits in.
    pub(crate) fn spare(&mut self, seat: Arc<Seat<T>>) -> Option<Arc<Seat<T>>> {
        if self.spares.len() < SPARES_MAX {
            self.spares.push(seat);
            None
        } else {
            Some(seat)
        }
    }

    /// When the oldest came.
    pub(crate) fn first_since(&mut self) -> Option<u64> {
        match &*lock(&self.first()?.state) {
            State::Waiting { since, .. } => Some(*since),
            _ => None,
        }
    }

    /// The oldest.
    pub(crate) fn first(&mut self) -> Option<&Arc<Seat<T>>> {
        while self.order.front().is_some_and(|seat| !matches!(*lock(&seat.state), State::Waiting { .. })) {
            self.order.pop_front();
        }
        self.order.front()
    }
}

impl<T> Seat<T> {
    /// Whether there is something in it; if not, the waker is kept for when there is.
    pub(crate) fn look(&self, waker: &Waker) -> Looked<T> {
        let mut fresh: Option<Waker> = None;
        loop {
            let mut state = lock(&self.state);
            match &mut *state {
                State::Waiting { waker: Some(kept), .. } if kept.will_wake(waker) => return Looked::Waiting,
                State::Waiting { waker: kept, .. } => {
                    if let Some(fresh) = fresh.take() {
                        let replaced = kept.replace(fresh);
                        drop(state);
                        drop(replaced);
                        return Looked::Waiting;
                    }
                }
                settled => {
                    if let State::Settled(item) = mem::replace(settled, State::Gone) {
                        return Looked::Settled(item);
                    }
                    return Looked::Waiting;
                }
            }
            drop(state);
            fresh = Some(waker.clone());
        }
    }

    /// Calls him to look, if he was not called already.
    pub(crate) fn call(&self) {
        let waker = match &mut *lock(&self.state) {
            State::Waiting { waker, .. } => waker.take(),
            _ => None,
        };
        waker.into_iter().for_each(Waker::wake);
    }
}
