use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
    task::Waker,
};

use standpipe_core::{Connect, Error};

use crate::{
    Alarm,
    entry::Entry,
    errands::{Errands, Kind, Steps},
    queue::{Queue, Seat},
    random::Random,
};

/// What a waiter is given.
pub(crate) type Given<C> = Result<Box<Entry<C>>, Box<Error>>;

/// All that is not on the way of who finds an idle connection: the queue, the places, the jobs. Under one lock.
///
/// Invariants: while somebody waits nothing is idle, but between a put and the visit to the desk that it ends with;
/// `size` places are taken, each by what stands in the rack, an entry somewhere else, or a job.
pub(crate) struct Desk<C: Connect> {
    pub(crate) queue: Queue<Given<C>>,
    pub(crate) limit: usize,
    pub(crate) size: usize,
    /// Of these, so many take leave of the other side, and so many are reset.
    pub(crate) closing: usize,
    pub(crate) resetting: usize,
    /// Places below `reached` that are free.
    free: BTreeSet<usize>,
    reached: usize,
    pub(crate) is_closed: bool,
    /// The way past the desk is closed, as the rack was told.
    pub(crate) is_way_closed: bool,
    pub(crate) errands: Errands,
    pub(crate) dial: Dial,
    /// The one who runs the pool in the background, if there is one.
    pub(crate) run: Option<Arc<Waker>>,
    closers: BTreeMap<u64, Arc<Waker>>,
    closers_next: u64,
    /// The alarm of those who wait, and when the one came for whom it was set.
    pub(crate) alarm: Option<(u64, Alarm)>,
    /// So many more than `idle_min` are to be idle, while some are replaced before they go.
    pub(crate) replacing: usize,
    pub(crate) random: Random,
    pub(crate) counts: Counts,
}

/// Whether a connect is under way, and how the last ones ended.
#[derive(Default)]
pub(crate) struct Dial {
    pub(crate) under_way: usize,
    pub(crate) failures: u32,
    pub(crate) not_before: u64,
    pub(crate) last_error: Option<Arc<Error>>,
}

/// What happened since the pool was made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) dials: u64,
    pub(crate) dials_failed: u64,
    pub(crate) waits: u64,
    pub(crate) timeouts: u64,
    pub(crate) resets: u64,
}

/// What is to be done once the lock is released: wakers and jobs may run code of their owners.
#[derive(Default)]
pub(crate) struct After {
    pub(crate) wake: Option<Waker>,
    pub(crate) more: Vec<Waker>,
    pub(crate) closers: Vec<Arc<Waker>>,
}

/// Who polls the jobs.
pub(crate) enum Driver<C: Connect> {
    Waker(Arc<Waker>),
    Waiter(Arc<Seat<Given<C>>>),
}

impl<C: Connect> Desk<C> {
    pub(crate) fn new(limit: usize, random: Random) -> Self {
        Desk {
            queue: Queue::new(),
            limit,
            size: 0,
            closing: 0,
            resetting: 0,
            free: BTreeSet::new(),
            reached: 0,
            is_closed: false,
            is_way_closed: false,
            errands: Errands::default(),
            dial: Dial::default(),
            run: None,
            closers: BTreeMap::new(),
            closers_next: 0,
            alarm: None,
            replacing: 0,
            random,
            counts: Counts::default(),
        }
    }

    pub(crate) fn occupy(&mut self) -> usize {
        self.size += 1;
        self.free.pop_first().unwrap_or_else(|| {
            self.reached += 1;
            self.reached - 1
        })
    }

    pub(crate) fn vacate(&mut self, place: usize, counted: Option<Kind>, after: &mut After) {
        self.size -= 1;
        self.closing -= usize::from(counted == Some(Kind::Close));
        self.resetting -= usize::from(counted == Some(Kind::Reset));
        self.free.insert(place);
        if self.is_closed && self.size == 0 {
            after.closers.extend(mem::take(&mut self.closers).into_values());
            after.closers.extend(self.run.clone());
        }
    }

    /// Who polls the jobs: whoever runs the pool and all who close it, since one of them may not be polled himself; else the
    /// oldest waiter.
    pub(crate) fn drivers(&mut self) -> Vec<Driver<C>> {
        let named: Vec<_> =
            self.run.iter().chain(self.closers.values()).cloned().map(Driver::Waker).collect();
        if named.is_empty() {
            self.queue.first().cloned().map(Driver::Waiter).into_iter().collect()
        } else {
            named
        }
    }

    pub(crate) fn has_driver(&self) -> bool {
        self.takes_leave() || self.queue.waiting() > 0
    }

    /// Whether who comes by has to poll jobs.
    pub(crate) fn is_to_be_driven(&self) -> bool {
        self.run.is_none() && self.errands.is_ready()
    }

    /// Whether taking leave of the other side will be polled to its end.
    pub(crate) fn takes_leave(&self) -> bool {
        self.run.is_some() || !self.closers.is_empty()
    }

    /// Whether no alarm is set in time for one who came then.
    pub(crate) fn needs_alarm(&self, since: u64) -> bool {
        self.alarm.as_ref().is_none_or(|(earlier, _)| *earlier > since)
    }

    /// Whether one more is to go, beside those that go already.
    pub(crate) fn is_too_large(&self) -> bool {
        self.size - self.closing > self.limit
    }

    /// Whether acquirers and returns have to come by.
    pub(crate) fn is_needed(&self) -> bool {
        self.is_closed
            || self.queue.waiting() > 0
            || self.is_too_large()
            || (self.run.is_none() && !self.errands.is_empty())
    }

    /// Waits for the last place; a waker that was replaced is handed out.
    pub(crate) fn await_empty(
        &mut self,
        number: Option<u64>,
        waker: Arc<Waker>,
    ) -> (u64, Option<Arc<Waker>>) {
        let number = number.unwrap_or_else(|| {
            self.closers_next += 1;
            self.closers_next
        });
        (number, self.closers.insert(number, waker))
    }

    pub(crate) fn leave_closing(&mut self, number: u64) -> Option<Arc<Waker>> {
        self.closers.remove(&number)
    }
}

impl After {
    /// Wakes them all, whichever panics.
    pub(crate) fn act(self, steps: &mut Steps) {
        self.wake.into_iter().chain(self.more).for_each(|waker| steps.take(|| waker.wake()));
        self.closers.into_iter().for_each(|waker| steps.take(|| waker.wake_by_ref()));
    }
}

impl<C: Connect> Driver<C> {
    pub(crate) fn call(self) {
        match self {
            Driver::Waker(waker) => waker.wake_by_ref(),
            Driver::Waiter(seat) => seat.call(),
        }
    }
}
