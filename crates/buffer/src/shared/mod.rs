mod settle;
#[cfg(all(test, not(loom)))]
mod tests;

use std::hash::Hash;
use std::sync::{Arc as Handle, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use dashmap::DashMap;

use crate::budget::Panicked;
use crate::inbox::Inbox;
use crate::lane::{Lane, Pushed};
use crate::planted::{self, Plant};
use crate::queue::{Chain, Entry, Spares};
use crate::schedule::{CheckedOut, KEPT, ROOMY, Schedule};
use crate::sync::{Arc, AtomicBool, Ordering};
use crate::{Budget, JoinLimit, Policy, Taken, Weight, time};

/// How many parts of the buffer's turn a key gets; see [`Lanes::with_shares`](crate::Lanes::with_shares).
pub(crate) type Shares<K> = Box<dyn Fn(&K) -> u32 + Send + Sync>;

/// Lanes that are let go of under one hold of the lock.
const SWEPT_AT_ONCE: usize = 1024;

/// When an item came.
pub(crate) enum Time<C> {
    At(Instant),
    /// To be asked only now and then: see [`TIMED_EVERY`](crate::queue).
    By(C),
}

/// What a taker's look came to.
pub(crate) enum Polled<K: Clone + Eq + Hash, T> {
    /// A batch, or that no more will come.
    Ready(Option<Taken<K, T>>),
    /// He stands in the line, and is to look by himself then.
    LookAgain(Option<Instant>),
}

/// What the handles share.
///
/// The ways of the threads: a push looks its lane up, appends to it, and, if the lane was empty or became full, posts it
/// to the inbox; it takes the schedule's lock only when a taker sleeps. Takers take the lock twice for a batch. A lane's
/// place in the map is never waited for under the schedule's lock by one who holds that place, so the order is: schedule,
/// then map.
pub(crate) struct Shared<K, T> {
    lanes: DashMap<K, Arc<Lane<K, T>>>,
    inbox: Inbox<K, T>,
    pub(crate) spares: Arc<Spares<T>>,
    schedule: std::sync::Mutex<Schedule<K, T>>,
    pub(crate) policy: Policy,
    is_closed: AtomicBool,
    pub(crate) budget: Option<Budget>,
    shares: Shares<K>,
    began: Instant,
    /// How often the schedule was locked.
    #[cfg(test)]
    locks: std::sync::atomic::AtomicUsize,
}

impl<K: Clone + Eq + Hash, T> Shared<K, T> {
    pub(crate) fn new(policy: Policy, budget: Option<Budget>, shares: Shares<K>) -> Self {
        let began = Instant::now();
        Self {
            lanes: DashMap::new(),
            inbox: Inbox::new(),
            spares: Arc::new(Spares::new()),
            schedule: std::sync::Mutex::new(Schedule::new(policy, began)),
            policy,
            is_closed: AtomicBool::new(false),
            budget,
            shares,
            began,
            #[cfg(test)]
            locks: std::sync::atomic::AtomicUsize::default(),
        }
    }

    /// A time as [`Entry::at`].
    pub(crate) fn time_word(&self, at: Instant) -> u64 {
        time::word(self.began, at)
    }

    /// Appends an item to the lane of `key`.
    pub(crate) fn push(
        &self,
        key: K,
        item: T,
        weight: Weight,
        time: Time<impl Fn() -> Instant>,
    ) -> Result<(), T> {
        let pushed = match self.lanes.get(&key) {
            Some(lane) => self.push_to(&lane, item, weight, time),
            None => match self.lane(key) {
                Some(lane) => self.push_to(&lane, item, weight, time),
                None => Err(item),
            },
        };
        // The lane's place in the map is free here.
        pushed.map(|wakes| self.wake_if(wakes))
    }

    /// Appends to a lane. Returns whether a taker sleeps that has to be woken.
    #[inline]
    pub(crate) fn push_to(
        &self,
        lane: &Arc<Lane<K, T>>,
        item: T,
        weight: Weight,
        time: Time<impl Fn() -> Instant>,
    ) -> Result<bool, T> {
        let pushed = match time {
            Time::At(now) => {
                let at = self.time_word(now);
                lane.push(Entry { weight: counted(weight), at, item }, &self.policy, || at)?
            }
            Time::By(clock) => {
                let entry = Entry { weight: counted(weight), at: 0, item };
                lane.push(entry, &self.policy, || self.time_word(clock()))?
            }
        };
        Ok(pushed == Pushed::Tell && self.inbox.post(lane))
    }

    /// As [`push_to`](Self::push_to), many at once.
    pub(crate) fn push_chain_to(
        &self,
        lane: &Arc<Lane<K, T>>,
        chain: Chain<T>,
        weight: Weight,
        at: u64,
    ) -> Result<bool, Chain<T>> {
        let pushed = lane.push_chain(chain, weight, at, &self.policy)?;
        Ok(pushed == Pushed::Tell && self.inbox.post(lane))
    }

    #[inline]
    pub(crate) fn wake_if(&self, is_asleep: bool) {
        if is_asleep {
            self.change(|_| ());
        }
    }

    /// The lane of `key`, made if there is none; `None` when the lanes are closed.
    pub(crate) fn lane(&self, key: K) -> Option<Arc<Lane<K, T>>> {
        let place = self.lanes.entry(key);
        // Asked while the place is held: closing marks first, and then goes over all places.
        if self.is_closed() {
            return None;
        }
        let key = place.key().clone();
        let lane = place.or_insert_with(|| Lane::new(key, &self.spares, self.budget.clone()));
        Some(Arc::clone(&lane))
    }

    fn known(&self, key: &K) -> Option<Arc<Lane<K, T>>> {
        self.lanes.get(key).map(|lane| Arc::clone(&lane))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Changes the schedule and wakes, outside of the lock, whoever the change concerns.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Schedule<K, T>) -> R) -> R {
        let mut panicked = Panicked::default();
        let result = self.change_first(&mut panicked, change);
        panicked.go_on();
        result
    }

    /// As [`change`](Self::change), for a caller that has something in hand when a waker panics.
    fn change_first<R>(&self, panicked: &mut Panicked, change: impl FnOnce(&mut Schedule<K, T>) -> R) -> R {
        let mut woken = Vec::new();
        let result = {
            let mut schedule = self.lock();
            self.drain(&mut schedule);
            let result = change(&mut schedule);
            loop {
                let is_pressed = self.is_pressed(&mut schedule);
                schedule.wake(is_pressed, &mut woken);
                // Those who still sleep are to be woken for what is posted from here on.
                if schedule.takers.is_idle() || self.inbox.sleep() {
                    break result;
                }
                self.drain(&mut schedule);
            }
        };
        woken.into_iter().for_each(|waker| panicked.catch(|| waker.wake()));
        result
    }

    pub(crate) fn read<R>(&self, read: impl FnOnce(&Schedule<K, T>) -> R) -> R {
        self.change(|schedule| read(schedule))
    }

    /// Looks at every lane that was posted.
    fn drain(&self, schedule: &mut Schedule<K, T>) {
        let mut posted = std::mem::take(&mut schedule.posted);
        self.inbox.drain(&mut posted);
        for lane in posted.drain(..) {
            schedule.look_at(&lane, &self.shares);
            if planted::is(Plant::UnmarksLate) {
                lane.is_posted.store(false, Ordering::Release);
            }
        }
        schedule.posted = posted;
    }

    fn is_pressed(&self, schedule: &mut Schedule<K, T>) -> bool {
        if planted::is(Plant::RelievesNobody) {
            return false;
        }
        schedule.held_bytes = self.budget.as_ref().map_or(u64::MAX, Budget::in_use);
        schedule.pressure > 0 || self.budget.as_ref().is_some_and(Budget::is_pressed)
    }

    fn lock(&self) -> MutexGuard<'_, Schedule<K, T>> {
        // Only `K`'s Hash, Eq and Clone could panic under the lock; refusing to go on would lose the items.
        let schedule = self.schedule.lock().unwrap_or_else(PoisonError::into_inner);
        #[cfg(test)]
        self.locks.fetch_add(1, Ordering::Relaxed);
        schedule
    }

    /// The next due lane's batch.
    pub(crate) fn take(self: &Handle<Self>, now: Instant) -> Option<Taken<K, T>> {
        let mut panicked = Panicked::default();
        let given = self.change_first(&mut panicked, |schedule| self.take_from(schedule, now));
        let taken = given.map(|given| self.cut(given, &self.policy, &mut panicked));
        panicked.go_on();
        taken
    }

    pub(crate) fn poll_take(
        self: &Handle<Self>,
        place: &mut Option<u64>,
        now: Instant,
        waker: Waker,
    ) -> Polled<K, T> {
        // What is dropped here, after the lock: a waker that was replaced.
        let mut panicked = Panicked::default();
        let (answer, _replaced) = self.change_first(&mut panicked, |schedule| {
            let given = self.take_from(schedule, now);
            if given.is_some() || schedule.poll_end().is_ready() {
                let left = place.take().and_then(|ticket| schedule.takers.leave(ticket));
                return (Ok(given), left);
            }
            let (ticket, replaced) = schedule.takers.wait(*place, waker, schedule.deadline());
            *place = Some(ticket);
            (Err(schedule.look_again()), replaced)
        });
        let polled = match answer {
            Ok(given) => Polled::Ready(given.map(|given| self.cut(given, &self.policy, &mut panicked))),
            Err(at) => Polled::LookAgain(at),
        };
        panicked.go_on();
        polled
    }

    fn take_from(&self, schedule: &mut Schedule<K, T>, now: Instant) -> Option<CheckedOut<K, T>> {
        schedule.advance(now);
        self.sweep(schedule, now);
        let is_pressed = self.is_pressed(schedule);
        schedule.take(is_pressed)
    }

    /// Lets go of lanes that were empty for long, and of memory that nobody needed.
    fn sweep(&self, schedule: &mut Schedule<K, T>, now: Instant) {
        if now.saturating_duration_since(schedule.swept) < KEPT {
            return;
        }
        let mut left = SWEPT_AT_ONCE;
        while !planted::is(Plant::KeepsLanes)
            && let Some(id) = schedule.next_vacant()
        {
            let Some(lane) = schedule.lane_of(id) else { continue };
            // Known to the map, the schedule and the reader only, so nobody can push to it while its place is held.
            let is_gone = self.lanes.remove_if(&lane.key, |_, lane| {
                Arc::strong_count(lane) == 3
                    && lane.waiting().rows == 0
                    && !lane.is_posted.load(Ordering::Acquire)
            });
            schedule.vacate(id, is_gone.is_some());
            left -= 1;
            if left == 0 {
                // Not done, and so due at once again: whoever waits for the lock comes in between.
                return;
            }
        }
        schedule.swept = now;
        // After the lanes, which leave their segments to it.
        if schedule.has_spares && !planted::is(Plant::KeepsSpares) {
            schedule.has_spares = self.spares.trim();
        }
        schedule.shrink();
        if self.lanes.capacity() > ROOMY + 4 * self.lanes.len() {
            self.lanes.shrink_to_fit();
        }
    }

    /// Batches of further lanes for a commit that is made anyway.
    pub(crate) fn take_more(self: &Handle<Self>, now: Instant, limit: JoinLimit) -> Vec<Taken<K, T>> {
        let (mut batches, mut room) = (Vec::new(), Weight { rows: limit.rows, bytes: limit.bytes });
        while batches.len() < limit.lanes {
            let mut panicked = Panicked::default();
            let given = self.change_first(&mut panicked, |schedule| {
                schedule.advance(now);
                schedule.take_joining(room)
            });
            let Some(given) = given else {
                panicked.go_on();
                break;
            };
            let limit = Policy {
                rows_max: self.policy.rows_max.min(room.rows),
                bytes_max: self.policy.bytes_max.min(room.bytes),
                ..self.policy
            };
            let batch = self.cut(given, &limit, &mut panicked);
            panicked.go_on();
            room = room.sub(batch.weight());
            batches.push(batch);
        }
        batches
    }

    /// Cuts a batch from a lane, without a lock while it looks through the items.
    fn cut(
        self: &Handle<Self>,
        given: CheckedOut<K, T>,
        limit: &Policy,
        panicked: &mut Panicked,
    ) -> Taken<K, T> {
        let CheckedOut { id, mut reader, reason } = given;
        let span = reader.span(limit);
        let oldest = reader.keep_oldest();
        if planted::is(Plant::ReleasesWhenTaken) {
            reader.lane().release(span.weight.bytes);
        }
        self.change_first(panicked, |schedule| schedule.cut(id, reader.lane(), span.weight));
        panicked.catch(|| self.budget.iter().for_each(Budget::record));
        let oldest = (oldest > 0).then(|| time::instant(self.began, oldest));
        Taken::new(Handle::clone(self), id, reader, span, reason, oldest)
    }

    pub(crate) fn flush(&self, key: &K) {
        if let Some(lane) = self.known(key) {
            self.change(|schedule| schedule.flush(&lane));
        }
    }

    pub(crate) fn flush_all(&self) {
        let mut lanes: Vec<_> = self.lanes.iter().map(|lane| Arc::clone(&lane)).collect();
        // In the order in which they appeared, so that a run can be repeated; those not known yet go last.
        self.change(|_| lanes.sort_by_key(|lane| lane.id.load(Ordering::Relaxed).wrapping_sub(1)));
        self.change(|schedule| lanes.iter().for_each(|lane| schedule.flush(lane)));
    }

    pub(crate) fn close(&self) {
        self.change(|schedule| {
            self.is_closed.store(true, Ordering::Release);
            for lane in &self.lanes {
                lane.queue().close();
                // Somebody may be pushing to it at this moment; the end waits for him.
                schedule.look_at(&lane, &self.shares);
            }
            schedule.close();
        });
    }

    /// What waits, over all lanes.
    pub(crate) fn waiting(&self) -> Weight {
        self.lanes.iter().fold(Weight::ZERO, |sum, lane| sum.add(lane.waiting()))
    }
}

/// An item counts as a row at least: where something waits, something is counted. And as 2^40 rows at most, so that no
/// sum overflows.
#[inline]
pub(crate) fn counted(weight: Weight) -> Weight {
    Weight { rows: weight.rows.clamp(1, 1 << 40), ..weight }
}

/// For an item that came at `now`.
pub(crate) fn at(now: Instant) -> Time<fn() -> Instant> {
    Time::At(now)
}
