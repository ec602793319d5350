use std::{collections::VecDeque, mem, task::Waker};

/// Those who wait, in the order in which they came. It calls nobody: wakers and items are handed out.
///
/// A ticket that was settled is kept until it is fetched. One that leaves from the middle is passed over when its turn
/// comes, and swept out when such are more than the rest. In a steady state nothing is allocated.
pub(crate) struct Queue<T> {
    order: VecDeque<usize>,
    tickets: Vec<Ticket<T>>,
    free: Vec<usize>,
    waiting: usize,
}

enum Ticket<T> {
    Free,
    Waiting { waker: Waker, since: u64 },
    Gone,
    Settled(T),
}

/// What came of looking.
pub(crate) enum Looked<T> {
    Settled(T),
    /// The waker that was replaced, to be dropped outside of any lock.
    Waiting(Option<Waker>),
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Queue { order: VecDeque::new(), tickets: Vec::new(), free: Vec::new(), waiting: 0 }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Joins at the end; at the front, who had his turn and was given what turned out to be bad.
    pub(crate) fn join(&mut self, waker: Waker, since: u64, at_front: bool) -> usize {
        let entered = Ticket::Waiting { waker, since };
        let ticket = match self.free.pop() {
            Some(ticket) => {
                self.tickets[ticket] = entered;
                ticket
            }
            None => {
                self.tickets.push(entered);
                self.tickets.len() - 1
            }
        };
        if at_front {
            self.order.push_front(ticket);
        } else {
            self.order.push_back(ticket);
        }
        self.waiting += 1;
        ticket
    }

    /// Settles the oldest, who is to be woken; nobody waits: the item comes back.
    pub(crate) fn settle(&mut self, item: T) -> Result<Waker, T> {
        if self.waiting == 0 {
            return Err(item);
        }
        loop {
            let next = if crate::planted::is(crate::planted::Plant::YoungestFirst) {
                self.order.pop_back()
            } else {
                self.order.pop_front()
            };
            let Some(ticket) = next else { return Err(item) };
            match mem::replace(&mut self.tickets[ticket], Ticket::Free) {
                Ticket::Waiting { waker, .. } => {
                    self.tickets[ticket] = Ticket::Settled(item);
                    self.waiting -= 1;
                    return Ok(waker);
                }
                _ => self.free.push(ticket),
            }
        }
    }

    /// What became of a ticket, which ends when it is settled.
    pub(crate) fn look(&mut self, ticket: usize, waker: &Waker) -> Looked<T> {
        if let Ticket::Waiting { waker: held, .. } = &mut self.tickets[ticket] {
            let replaced = (!held.will_wake(waker)).then(|| mem::replace(held, waker.clone()));
            return Looked::Waiting(replaced);
        }
        match mem::replace(&mut self.tickets[ticket], Ticket::Free) {
            Ticket::Settled(item) => {
                self.free.push(ticket);
                Looked::Settled(item)
            }
            _ => unreachable!("invariant: a ticket that is held waits or is settled"),
        }
    }

    /// Leaves; what was settled and not fetched is handed out.
    pub(crate) fn leave(&mut self, ticket: usize) -> (Option<Waker>, Option<T>) {
        match mem::replace(&mut self.tickets[ticket], Ticket::Gone) {
            Ticket::Waiting { waker, .. } => {
                self.waiting -= 1;
                self.sweep();
                (Some(waker), None)
            }
            Ticket::Settled(item) => {
                self.tickets[ticket] = Ticket::Free;
                self.free.push(ticket);
                (None, Some(item))
            }
            Ticket::Free | Ticket::Gone => unreachable!("invariant: a ticket that is held waits or is settled"),
        }
    }

    /// When the oldest came.
    pub(crate) fn first_since(&mut self) -> Option<u64> {
        let first = self.first()?;
        match &self.tickets[first] {
            Ticket::Waiting { since, .. } => Some(*since),
            _ => None,
        }
    }

    /// The oldest one's waker.
    pub(crate) fn first_waker(&mut self) -> Option<&Waker> {
        let first = self.first()?;
        match &self.tickets[first] {
            Ticket::Waiting { waker, .. } => Some(waker),
            _ => None,
        }
    }

    /// What was settled and is not fetched yet: replaced, and what was there handed out.
    pub(crate) fn replace_settled(&mut self, mut with: impl FnMut(&T) -> Option<T>) -> Vec<T> {
        let mut replaced = Vec::new();
        for ticket in &mut self.tickets {
            if let Ticket::Settled(item) = ticket
                && let Some(other) = with(item)
            {
                replaced.push(mem::replace(item, other));
            }
        }
        replaced
    }

    fn first(&mut self) -> Option<usize> {
        while let Some(&ticket) = self.order.front() {
            if matches!(self.tickets[ticket], Ticket::Waiting { .. }) {
                return Some(ticket);
            }
            self.order.pop_front();
            self.tickets[ticket] = Ticket::Free;
            self.free.push(ticket);
        }
        None
    }

    fn sweep(&mut self) {
        if self.order.len() <= 2 * self.waiting + 64 {
            return;
        }
        let (tickets, free) = (&mut self.tickets, &mut self.free);
        self.order.retain(|&ticket| {
            let waits = matches!(tickets[ticket], Ticket::Waiting { .. });
            if !waits {
                tickets[ticket] = Ticket::Free;
                free.push(ticket);
            }
            waits
        });
    }
}
