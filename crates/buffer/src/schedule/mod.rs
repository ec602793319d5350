mod discard;
mod relief;
mod vacancy;

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::budget::Panicked;
use crate::index::{Index, LaneId};
use crate::lane::Lane;
use crate::queue::{Front, Reader};
use crate::sync::{Arc, Ordering};
use crate::takers::Takers;
use crate::{Policy, Reason, Weight, time};

/// How long an empty lane, and memory that nobody needed, is kept before it is let go.
pub(crate) const KEPT: Duration = Duration::from_secs(1);

/// As many places of each table are kept, whatever is in use.
pub(crate) const ROOMY: usize = 64;

/// Which lane is taken next, and who waits for it. Behind the one mutex of [`Lanes`](crate::Lanes), which a push takes only
/// to wake a taker that sleeps; everything here is done once for a batch, not for an item.
pub(crate) struct Schedule<K, T> {
    pub(crate) policy: Policy,
    pub(crate) takers: Takers,
    pub(crate) closed: bool,
    /// How many [`Pressure`](crate::Pressure)s live.
    pub(crate) pressure: usize,
    pub(crate) out: Weight,
    /// The bytes that the budget has given, as last looked at: what is out and what waits weigh no more.
    pub(crate) held_bytes: u64,
    /// How often all lanes were looked at.
    #[cfg(test)]
    pub(crate) looks: usize,
    /// Scratch for what the inbox gives.
    pub(crate) posted: Vec<Arc<Lane<K, T>>>,
    /// When the lanes began; items tell their time from here.
    began: Instant,
    batches_out: usize,
    entries: HashMap<LaneId, Entry<K, T>>,
    index: Index,
    /// Lanes whose next item is being written by a producer.
    stuck: usize,
    /// What this round of relief takes, the largest last.
    relief: Vec<LaneId>,
    /// Lanes that were empty at some time, since when; each once.
    idle: VecDeque<(Instant, LaneId)>,
    /// Whether spare memory may be left to let go.
    pub(crate) has_spares: bool,
    pub(crate) swept: Instant,
    next_id: LaneId,
    /// The latest time that a caller told.
    now: Instant,
}

struct Entry<K, T> {
    lane: Arc<Lane<K, T>>,
    /// `None` while its batch is out.
    reader: Option<Reader<K, T>>,
    out: Weight,
    /// Rows of this lane that are done with, since it is known.
    done_rows: u64,
    /// What lies before this count of rows is due whatever the time.
    flush_before: u64,
    /// What lies before this count of rows is to be dropped.
    discard_before: u64,
    rest_until: Option<Instant>,
    /// What it may still take in its turn, in 1/1024 of a whole batch; a debt below nought.
    credit: i64,
    share: i64,
    is_idle: bool,
    idle_since: Instant,
    /// Whether it is in the list of empty lanes.
    is_listed: bool,
    is_stuck: bool,
}

/// A batch's worth of credit.
const WHOLE: i64 = 1024;

/// No batch costs more than so many whole ones.
const BATCH_MAX: i64 = 64;

/// A lane that was given to a taker, who is to look how much of it makes a batch.
pub(crate) struct CheckedOut<K, T> {
    pub(crate) id: LaneId,
    pub(crate) reader: Reader<K, T>,
    pub(crate) reason: Reason,
}

/// How a batch ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ended {
    Done,
    Back { rest_until: Option<Instant> },
}

impl<K: Clone + Eq + Hash, T> Schedule<K, T> {
    pub(crate) fn new(policy: Policy, began: Instant) -> Self {
        Self {
            policy,
            takers: Takers::default(),
            closed: false,
            pressure: 0,
            out: Weight::ZERO,
            held_bytes: u64::MAX,
            #[cfg(test)]
            looks: 0,
            posted: Vec::new(),
            began,
            batches_out: 0,
            entries: HashMap::new(),
            index: Index::default(),
            stuck: 0,
            relief: Vec::new(),
            idle: VecDeque::new(),
            has_spares: false,
            swept: began,
            next_id: 0,
            now: began,
        }
    }

    /// Looks at a lane that was posted.
    pub(crate) fn look_at(&mut self, lane: &Arc<Lane<K, T>>, share: impl FnOnce(&K) -> u32) {
        let mut id = lane.id.load(Ordering::Relaxed);
        if id == 0 {
            self.next_id += 1;
            id = self.next_id;
            lane.id.store(id, Ordering::Relaxed);
            let entry = Entry {
                lane: Arc::clone(lane),
                reader: Some(Reader::only_one_of(lane)),
                out: Weight::ZERO,
                done_rows: 0,
                flush_before: 0,
                discard_before: 0,
                rest_until: None,
                credit: 0,
                share: i64::from(share(&lane.key).max(1)),
                is_idle: false,
                idle_since: self.now,
                is_listed: false,
                is_stuck: false,
            };
            self.entries.insert(id, entry);
        }
        self.look(id);
    }

    /// Puts the lane where it now belongs.
    fn look(&mut self, id: LaneId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Some(reader) = &mut entry.reader else { return };
        let mut front = reader.front();
        if front == Front::Stuck {
            reader.lane().mark_stuck();
            front = reader.front();
        }
        let was_stuck = std::mem::replace(&mut entry.is_stuck, front == Front::Stuck);
        self.stuck = self.stuck + usize::from(entry.is_stuck) - usize::from(was_stuck);
        if front != Front::Item {
            self.index.leave(id);
            if front == Front::Empty {
                entry.credit = entry.credit.min(0);
                if !entry.is_idle {
                    (entry.is_idle, entry.idle_since) = (true, self.now);
                    if !std::mem::replace(&mut entry.is_listed, true) {
                        self.idle.push_back((self.now, id));
                    }
                }
            }
            return;
        }
        entry.is_idle = false;
        if let Some(until) = entry.rest_until {
            self.index.rest(id, until);
            return;
        }
        if !self.index.contains(id) {
            let oldest = match reader.oldest() {
                0 => self.now,
                nanos => time::instant(self.began, nanos),
            };
            self.index.enter(id, oldest.checked_add(self.policy.age_max));
        }
        let full = self.policy.full(reader.lane().waiting());
        let flush = (entry.done_rows < entry.flush_before).then_some(Reason::Flush);
        let close = self.closed.then_some(Reason::Close);
        if let Some(reason) = full.or(flush).or(close) {
            // A turn is for whole batches: a small one costs little of it, so that a thousand of them would be one turn.
            let goes_on = full.is_some() && entry.credit > 0;
            self.index.make_ready(id, reason, goes_on);
        }
    }

    /// Gives a turn to every lane whose time has come, the oldest first.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        while let Some(id) = self.index.rested_by(now) {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.rest_until = None;
            }
            self.index.leave(id);
            self.look(id);
        }
        while let Some(id) = self.index.aged_by(now) {
            self.index.make_ready(id, Reason::Age, false);
        }
    }

    /// The next due lane, by deficit round robin: in its turn a lane gets a whole batch's worth, times its share, and
    /// what it took beyond that it owes in the next round.
    pub(crate) fn take(&mut self, is_pressed: bool) -> Option<CheckedOut<K, T>> {
        while let Some(id) = self.index.next_ready() {
            let Some(entry) = self.entries.get_mut(&id) else { break };
            if entry.turn() {
                return self.check_out(id, Reason::Joined);
            }
            // An item larger than a batch: it is paid for in later turns.
            self.index.pass_over(id);
        }
        let id = self.next_relief(is_pressed)?;
        self.entries.get_mut(&id)?.turn();
        self.check_out(id, Reason::Pressure)
    }

    /// The next lane to join a commit: due ones in their turn, then the oldest. `None` when its first item does not fit.
    pub(crate) fn take_joining(&mut self, room: Weight) -> Option<CheckedOut<K, T>> {
        let next = self.index.next_ready().or_else(|| self.index.oldest()).or_else(|| self.largest());
        let id = next?;
        let entry = self.entries.get_mut(&id)?;
        let first = entry.reader.as_mut()?.first()?.weight;
        if first.rows > room.rows || first.bytes > room.bytes {
            return None;
        }
        // As in its turn: what it is given here it must not owe later.
        entry.turn();
        self.check_out(id, Reason::Joined)
    }

    fn check_out(&mut self, id: LaneId, otherwise: Reason) -> Option<CheckedOut<K, T>> {
        let entry = self.entries.get_mut(&id)?;
        let reader = entry.reader.take()?;
        let ready = self.index.leave(id);
        let reason = self.policy.full(reader.lane().waiting()).or(ready).unwrap_or(otherwise);
        self.batches_out += 1;
        Some(CheckedOut { id, reader, reason })
    }

    /// The batch that a taker cut from the lane he was given.
    pub(crate) fn cut(&mut self, id: LaneId, lane: &Lane<K, T>, weight: Weight) {
        lane.took(weight);
        self.out = self.out.add(weight);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.out = weight;
        }
    }

    /// A batch has ended and its lane may be taken again.
    pub(crate) fn settle(&mut self, id: LaneId, reader: Reader<K, T>, ended: Ended) {
        self.batches_out -= 1;
        self.has_spares = true;
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let weight = std::mem::replace(&mut entry.out, Weight::ZERO);
        self.out = self.out.sub(weight);
        // Of a debt no more is kept than one batch can make: turns that are not its own would heap it up.
        entry.credit = (entry.credit - cost(weight, &self.policy)).max(-WHOLE * BATCH_MAX);
        match ended {
            Ended::Done => entry.done_rows = entry.done_rows.saturating_add(weight.rows),
            Ended::Back { rest_until } => {
                reader.lane().restored(weight);
                entry.rest_until = rest_until;
                // One that fails again and again must not do so in a turn that never ends.
                entry.credit = entry.credit.min(0);
            }
        }
        entry.reader = Some(reader);
        self.look(id);
    }

    /// Makes due what the lane holds, a batch that is out and comes back included.
    pub(crate) fn flush(&mut self, lane: &Arc<Lane<K, T>>) {
        let id = lane.id.load(Ordering::Relaxed);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.flush_before = entry.rows_known(lane);
            self.look(id);
        }
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
        let mut ids: Vec<_> = self.entries.keys().copied().collect();
        // In the order in which they appeared, so that a run can be repeated.
        ids.sort_unstable();
        for id in ids {
            self.look(id);
        }
    }

    /// When a lane becomes due by itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.index.deadline()
    }

    /// When one who waits from now on should look again, be it to let memory go. That memory alone wakes nobody.
    pub(crate) fn look_again(&self) -> Option<Instant> {
        let is_sweep_due = self.has_spares || !self.idle.is_empty();
        let sweep = is_sweep_due.then(|| self.swept + KEPT);
        self.deadline().into_iter().chain(sweep).min()
    }

    /// Lanes that have items or a batch out.
    pub(crate) fn active(&self) -> usize {
        self.entries.values().filter(|entry| !entry.is_idle || entry.reader.is_none()).count()
    }

    pub(crate) fn poll_end(&self) -> Poll<()> {
        if self.is_finished() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Nothing waits, nothing is out that could come back, and nothing will be pushed.
    fn is_finished(&self) -> bool {
        self.closed && self.batches_out == 0 && self.stuck == 0 && self.index.is_empty()
    }

    /// Restores the rule that no taker sleeps past its work; adds the wakers to call once the lock is released.
    pub(crate) fn wake(&mut self, is_pressed: bool, woken: &mut Vec<Waker>) {
        if self.takers.is_idle() {
            return;
        }
        if self.is_finished() {
            self.takers.wake_all(woken);
        }
        if let Some(at) = self.deadline() {
            self.takers.wake_told_later(at, woken);
        }
        let mut due = self.index.ready_count();
        if is_pressed {
            self.plan_relief();
            due += usize::from(!self.relief.is_empty());
        }
        self.takers.wake_up_to(due, woken);
    }
}

impl<K, T> Drop for Schedule<K, T> {
    fn drop(&mut self) {
        // One by one: a map that is dropped leaves the rest where it is when one of them panics.
        let mut panicked = Panicked::default();
        self.entries.drain().for_each(|(_, entry)| panicked.catch(|| drop(entry)));
        panicked.go_on();
    }
}

impl<K, T> Entry<K, T> {
    /// Gives the lane its turn's credit if it has none left. Whether it may take a batch for it.
    fn turn(&mut self) -> bool {
        if self.credit <= 0 {
            self.credit += WHOLE * self.share;
        }
        self.credit > 0
    }

    /// The count of rows at the end of the lane now.
    fn rows_known(&self, lane: &Lane<K, T>) -> u64 {
        self.done_rows.saturating_add(self.out.rows).saturating_add(lane.waiting().rows)
    }
}

/// What a batch costs of its lane's credit: the part of a whole batch that it is, by rows or bytes.
fn cost(weight: Weight, policy: &Policy) -> i64 {
    let part =
        |value: u64, whole: u64| u128::from(value) * WHOLE.unsigned_abs() as u128 / u128::from(whole.max(1));
    let cost = part(weight.rows, policy.rows_max).max(part(weight.bytes, policy.bytes_max)).max(1);
    i64::try_from(cost).unwrap_or(i64::MAX).min(WHOLE * BATCH_MAX)
}
