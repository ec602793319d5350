use std::collections::{BTreeMap, HashSet};
use std::task::Waker;
use std::time::Instant;

/// The takers that wait, first come first woken, and those that were woken and have not looked since.
#[derive(Default)]
pub(crate) struct Takers {
    waiting: BTreeMap<u64, Waiting>,
    notified: HashSet<u64>,
    next_ticket: u64,
}

struct Waiting {
    waker: Waker,
    /// The deadline this taker's timer is set for.
    told: Option<Instant>,
}

impl Takers {
    /// Stands in the line, in the old place if there is one. Returns the place, and a replaced waker to be dropped
    /// outside of the lock (dropping it may free a task, and with it anything).
    pub(crate) fn wait(
        &mut self,
        place: Option<u64>,
        waker: Waker,
        told: Option<Instant>,
    ) -> (u64, Option<Waker>) {
        let ticket = place.unwrap_or_else(|| {
            self.next_ticket += 1;
            self.next_ticket
        });
        self.notified.remove(&ticket);
        let replaced = self.waiting.insert(ticket, Waiting { waker, told });
        (ticket, replaced.map(|waiting| waiting.waker))
    }

    pub(crate) fn leave(&mut self, ticket: u64) -> Option<Waker> {
        self.notified.remove(&ticket);
        self.waiting.remove(&ticket).map(|waiting| waiting.waker)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn wake_all(&mut self, woken: &mut Vec<Waker>) {
        self.wake_up_to(usize::MAX, woken);
    }

    /// Wakes the longest waiting until `count` are on their way.
    pub(crate) fn wake_up_to(&mut self, count: usize, woken: &mut Vec<Waker>) {
        while self.notified.len() < count
            && let Some((ticket, waiting)) = self.waiting.pop_first()
        {
            self.notified.insert(ticket);
            woken.push(waiting.waker);
        }
    }

    /// Wakes those whose timer would ring after `deadline`. All of them and not one: the one might be cancelled
    /// or find other work, and then nobody's timer would be set for it.
    pub(crate) fn wake_told_later(&mut self, deadline: Instant, woken: &mut Vec<Waker>) {
        let late = self.waiting.extract_if(.., |_, waiting| waiting.told.is_none_or(|told| told > deadline));
        for (ticket, waiting) in late {
            self.notified.insert(ticket);
            woken.push(waiting.waker);
        }
    }
}
