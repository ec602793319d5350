use std::{
    sync::{PoisonError, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use standpipe_log::{LogError, Lsn, Storage};

use crate::{
    lock::lock,
    pen::Pen,
    queue::{Queue, Rest, Standing},
    shared::Shared,
};

/// How often the log's thread looks whether something was left behind, while there is anything going on.
const DOZE: Duration = Duration::from_millis(5);
/// How long after a round the log's thread stays awake for those whom it woke, when they came back within this time
/// before: falling asleep and being woken takes a third of what a sync takes.
const LINGER: Duration = Duration::from_micros(100);

/// The log's thread: sees to what nobody waits for with a thread of his own, syncs when it is time, and proves what is
/// durable when nothing comes any more.
pub(crate) struct Service {
    /// The first number in the queue at the last look.
    head: Option<Lsn>,
    /// How many calls had queued something at the last look, and since when that many.
    arrived: u64,
    quiet_since: Instant,
    /// How many had when the proof was written.
    proven: u64,
    has_worked: bool,
    /// When the last round ended.
    ended: Instant,
    /// Those whom it woke came back at once.
    lingers: bool,
}

enum Work {
    Round,
    Sync,
    Prove,
    Close,
    End,
}

impl Service {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Service {
            head: None,
            arrived: 0,
            quiet_since: now,
            proven: 0,
            has_worked: false,
            ended: now,
            lingers: false,
        }
    }

    /// Runs until the log is closed or fails.
    pub(crate) fn run<S: Storage>(mut self, shared: &Shared<S>) {
        loop {
            let work = self.next(shared);
            self.has_worked = matches!(work, Work::Round);
            let goes_on = match work {
                Work::Round => {
                    self.lingers = self.ended.elapsed() < LINGER;
                    let goes_on = Self::write(shared, |pen| pen.round(shared).map(drop));
                    self.ended = Instant::now();
                    if self.lingers {
                        self.linger(shared);
                    }
                    goes_on
                }
                Work::Sync => Self::write(shared, |pen| pen.sync(shared)),
                Work::Prove => {
                    Self::write(shared, |pen| if pen.may_prove() { pen.prove(shared, 0) } else { Ok(()) })
                }
                Work::Close => {
                    Self::write(shared, |pen| pen.finish(shared));
                    return;
                }
                Work::End => return,
            };
            if !goes_on {
                return;
            }
        }
    }

    fn write<S: Storage>(
        shared: &Shared<S>,
        act: impl FnOnce(&mut Pen<S::File>) -> Result<(), LogError>,
    ) -> bool {
        shared.with_pen(&mut lock(&shared.pen), act).is_some()
    }

    fn next<S: Storage>(&mut self, shared: &Shared<S>) -> Work {
        let mut queue = lock(&shared.queue);
        loop {
            queue.rest = Rest::Awake;
            if let Some(work) = self.ready(&mut queue) {
                return work;
            }
            let now = Instant::now();
            if queue.sync_due.is_some_and(|due| due <= now) {
                return Work::Sync;
            }
            let arrived = shared.arrived.load(Ordering::Relaxed);
            let is_quiet = arrived == self.arrived;
            if !is_quiet {
                (self.arrived, self.quiet_since) = (arrived, now);
            }
            // What is to be synced is proven after that.
            let is_due = self.proven != arrived && queue.sync_due.is_none();
            let proof_after = shared.settings.idle_proof.filter(|_| is_due);
            let prove_at = proof_after.and_then(|after| self.quiet_since.checked_add(after));
            if queue.pending.is_empty() && prove_at.is_some_and(|at| at <= now) {
                self.proven = arrived;
                return Work::Prove;
            }
            self.head = queue.pending.front().map(|pending| pending.base);
            let looks_at = if queue.pending.is_empty() && is_quiet { None } else { now.checked_add(DOZE) };
            let wake_at = [looks_at, queue.sync_due, prove_at].into_iter().flatten().min();
            queue.rest = if looks_at.is_some() { Rest::Dozing } else { Rest::Asleep };
            queue = match wake_at {
                None => shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let left = at.saturating_duration_since(now);
                    let waited =
                        shared.work.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner);
                    let (mut queue, timeout) = waited;
                    // Whatever the clock says: who was left behind for one look is not for two.
                    if timeout.timed_out() && self.is_left_behind(&queue) {
                        queue.is_demanded = true;
                    }
                    queue
                }
            };
        }
    }

    /// Waits for the first of those who were just woken.
    fn linger<S: Storage>(&self, shared: &Shared<S>) {
        let arrived = shared.arrived.load(Ordering::Relaxed);
        if !lock(&shared.queue).pending.is_empty() {
            return;
        }
        while shared.arrived.load(Ordering::Relaxed) == arrived && self.ended.elapsed() < LINGER {
            thread::yield_now();
        }
    }

    fn ready(&mut self, queue: &mut Queue) -> Option<Work> {
        let has_worked = std::mem::take(&mut self.has_worked);
        let is_demanded = std::mem::take(&mut queue.is_demanded);
        let is_empty = queue.pending.is_empty();
        match queue.standing {
            Standing::Poisoned(_) | Standing::Closed => Some(Work::End),
            Standing::Closing if is_empty => Some(Work::Close),
            Standing::Closing => Some(Work::Round),
            Standing::Open => (!is_empty && (is_demanded || has_worked)).then_some(Work::Round),
        }
    }

    /// Whether the first in the queue was the first at the last look already.
    fn is_left_behind(&self, queue: &Queue) -> bool {
        self.head.is_some() && self.head == queue.pending.front().map(|pending| pending.base)
    }
}
