use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering as StdOrdering},
    },
    task::{Wake, Waker},
    time::{Duration, Instant},
};

use standpipe_core::{Connect, Error};

use crate::{
    Settings,
    desk::{After, Desk, Given},
    entry::Entry,
    errands::{Kind, Steps},
    meter,
    planted::{self, Plant},
    queue::{Seat, Settled},
    rack::{PLACES_MAX, Rack},
    random::Random,
    sync::{AtomicU64, Mutex, Ordering, lock},
    timer::within,
    told::{closed, timed_out},
    watch::Watch,
};

/// What the handles, the waits, the leases and the jobs of one pool share.
pub(crate) struct Shared<C: Connect> {
    pub(crate) connect: C,
    pub(crate) settings: Settings,
    pub(crate) rack: Rack<Box<Entry<C>>>,
    desk: Apart<Mutex<Desk<C>>>,
    epoch: Instant,
    /// Nanoseconds since `epoch`, and one, as of the last tick of who runs the pool; 0 when nobody does.
    clock: AtomicU64,
    /// Whether any age matters.
    pub(crate) is_dated: bool,
    pub(crate) watch: Watch,
    pub(crate) is_closed: AtomicBool,
}

/// On lines of memory of its own: who finds an idle connection only reads what is beside it.
#[repr(align(128))]
struct Apart<T>(T);

/// What came of joining the queue.
pub(crate) enum Joined<C: Connect> {
    Taken(Box<Entry<C>>),
    Queued { seat: Arc<Seat<Given<C>>>, needs_alarm: bool, is_ready: bool },
    Refused(Error),
}

impl<C: Connect> Shared<C> {
    pub(crate) fn new(connect: C, settings: Settings) -> Self {
        let limit = settings.connections_max.clamp(1, PLACES_MAX);
        let is_dated = [settings.idle_max, settings.life_max, settings.check_after_idle]
            .iter()
            .any(|age| *age != Duration::MAX);
        Shared {
            connect,
            settings,
            rack: Rack::new(),
            desk: Apart(Mutex::new(Desk::new(limit, Random::new(settings.seed)))),
            epoch: settings.timer.now(),
            clock: AtomicU64::new(0),
            is_dated,
            watch: Watch::default(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Changes what is at the desk, under its lock. Afterwards the way past it is closed or opened as is needed, and who has
    /// a job to poll is called. No code of a user runs under the lock.
    ///
    /// # Panics
    /// When a waker panics; the others are called before.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut Desk<C>, &mut After) -> R) -> R {
        let mut steps = Steps::default();
        let changed = self.with_first(&mut steps, change);
        steps.pass_on();
        changed
    }

    /// As [`with`](Self::with), for a caller who has something in hand, or more to do, when a waker panics.
    pub(crate) fn with_first<R>(
        &self,
        steps: &mut Steps,
        change: impl FnOnce(&mut Desk<C>, &mut After) -> R,
    ) -> R {
        let mut after = After::default();
        let (changed, called) = {
            let mut desk = lock(&self.desk.0);
            let changed = change(&mut desk, &mut after);
            let needed = desk.is_needed();
            if needed != desk.is_way_closed {
                desk.is_way_closed = needed;
                self.rack.set_desk(needed);
            }
            (changed, if desk.errands.is_ready() { desk.drivers() } else { Vec::new() })
        };
        after.act(steps);
        called.into_iter().for_each(|driver| steps.take(|| driver.call()));
        changed
    }

    /// What time it is, in nanoseconds, as exactly as ages need it.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match self.clock.load(Ordering::Relaxed) {
            0 => self.exact(),
            tick => tick,
        }
    }

    /// When an acquirer asks, if that matters. Not by the tick of who runs the pool: where his runtime was held up, that is long
    /// past, and so would be the acquirer's time.
    pub(crate) fn asked(&self) -> u64 {
        let is_timed = self.settings.acquire_timeout != Duration::MAX || cfg!(feature = "metrics");
        if is_timed { self.exact() } else { 0 }
    }

    /// Whether somebody runs the pool, and so keeps some idle.
    pub(crate) fn is_run(&self) -> bool {
        self.clock.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn exact(&self) -> u64 {
        1 + nanos(self.settings.timer.now().saturating_duration_since(self.epoch))
    }

    pub(crate) fn set_clock(&self, now: u64) {
        self.clock.store(now, Ordering::Relaxed);
    }

    pub(crate) fn instant(&self, at: u64) -> Option<Instant> {
        if at == u64::MAX { None } else { self.epoch.checked_add(Duration::from_nanos(at.saturating_sub(1))) }
    }

    /// Puts an entry back, or hands it to the oldest waiter.
    #[inline]
    pub(crate) fn give_back(mut entry: Box<Entry<C>>) {
        let home = Arc::clone(&entry.place.home);
        let (index, dates) = (entry.place.index, entry.dates());
        let barges = planted::is(Plant::Barging) && !entry.is_fresh;
        if home.rack.is_closed_off(index) && !barges {
            return home.hand_over(entry);
        }
        entry.is_fresh = false;
        if home.rack.put(index, entry, dates) && !barges {
            home.match_up();
        }
    }

    fn hand_over(self: &Arc<Self>, mut entry: Box<Entry<C>>) {
        let mut steps = Steps::default();
        let refused = self.with_first(&mut steps, |desk, after| {
            if desk.is_closed || desk.is_too_large() {
                return Some(entry);
            }
            if let Some(seat) = entry.spare.take() {
                // As many as are too many are dropped here, and are nobody's code.
                drop(desk.queue.spare(seat));
            }
            match desk.queue.settle(Ok(entry)) {
                Settled::Given(waker) => {
                    after.wake = waker;
                    None
                }
                Settled::NobodyWaits(Ok(mut entry)) => {
                    entry.is_fresh = false;
                    let (index, dates) = (entry.place.index, entry.dates());
                    self.rack.put(index, entry, dates);
                    None
                }
                Settled::NobodyWaits(Err(_)) => None,
            }
        });
        if let Some(entry) = refused {
            steps.take(|| self.retire(entry));
        }
        steps.pass_on();
    }

    /// What is idle goes to those who wait; what is too many, or left when the pool is closed, goes.
    pub(crate) fn match_up(self: &Arc<Self>) {
        let mut steps = Steps::default();
        while let Some(entry) = self.with_first(&mut steps, |desk, after| {
            while desk.queue.waiting() > 0 && !desk.is_closed {
                let Some(entry) = self.rack.take_at_desk() else { break };
                if let Settled::Given(waker) = desk.queue.settle(Ok(entry)) {
                    after.more.extend(waker);
                }
            }
            if desk.is_closed || desk.is_too_large() { self.rack.take_at_desk() } else { None }
        }) {
            steps.take(|| self.retire(entry));
        }
        steps.pass_on();
    }

    /// Takes an idle one after all, or joins the queue.
    pub(crate) fn join(
        self: &Arc<Self>,
        steps: &mut Steps,
        waker: Waker,
        since: u64,
        at_front: bool,
    ) -> Joined<C> {
        // Left where it was unless it is used: it is dropped outside of the lock.
        let mut waker = Some(waker);
        self.with_first(steps, |desk, _| {
            if desk.is_closed {
                return Joined::Refused(closed());
            }
            if desk.queue.waiting() == 0 || at_front {
                if let Some(entry) = self.rack.take_at_desk() {
                    return Joined::Taken(entry);
                }
                if !desk.is_way_closed {
                    desk.is_way_closed = true;
                    self.rack.set_desk(true);
                }
                // Who put one before the way was closed did not see that somebody waits.
                if let Some(entry) = self.rack.take_at_desk() {
                    return Joined::Taken(entry);
                }
            }
            // He waits for his own connect, where there is room for one.
            let is_first = desk.queue.waiting() == 0 && (desk.size < desk.limit || desk.dial.under_way > 0);
            if desk.queue.waiting() >= self.settings.waiters_max && !at_front && !is_first {
                return Joined::Refused(Error::retry(format!(
                    "{} acquirers wait for a connection already, the most that waiters_max allows",
                    self.settings.waiters_max
                )));
            }
            desk.counts.waits += 1;
            let seat = desk.queue.join(waker.take(), since, at_front);
            self.connect_if_wanted(desk);
            let needs_alarm = desk.needs_alarm(since) && self.settings.acquire_timeout != Duration::MAX;
            Joined::Queued { seat, needs_alarm, is_ready: desk.is_to_be_driven() }
        })
    }

    /// Leaves the queue. What was handed over already goes on to the next.
    pub(crate) fn leave(self: &Arc<Self>, seat: &Arc<Seat<Given<C>>>) {
        if planted::is(Plant::StaysInQueue) {
            std::mem::forget(Arc::clone(seat));
            return;
        }
        let mut steps = Steps::default();
        let (waker, given) = self.with_first(&mut steps, |desk, _| desk.queue.leave(seat));
        steps.take(|| drop(waker));
        if let Some(Ok(entry)) = given {
            if planted::is(Plant::PlaceForgotten) {
                std::mem::forget(entry);
                return;
            }
            steps.take(|| Self::give_back(entry));
        }
        steps.pass_on();
    }

    /// Closes a connection: with leave taken where somebody is there to wait for that, else at once.
    pub(crate) fn retire(self: &Arc<Self>, entry: Box<Entry<C>>) {
        meter::retired();
        let timer = self.settings.timer;
        let mut steps = Steps::default();
        let refused = self.with_first(&mut steps, |desk, _| {
            if !desk.takes_leave() {
                return Some(entry);
            }
            let mut entry = entry;
            entry.place.counted = Some(Kind::Close);
            desk.closing += 1;
            let expires = self.expires(self.settings.close_timeout);
            let job = Box::pin(async move {
                let Entry { connection, place, .. } = *entry;
                let shared = Arc::clone(&place.home.0);
                within(timer, shared.settings.close_timeout, shared.connect.close(connection)).await;
                drop(place);
            });
            desk.errands.begin(self, Kind::Close, expires, job);
            None
        });
        steps.take(|| drop(refused));
        steps.pass_on();
    }

    /// A place is free again.
    pub(crate) fn vacate(self: &Arc<Self>, index: usize, counted: Option<Kind>) {
        self.with(|desk, after| {
            desk.vacate(index, counted, after);
            self.connect_if_wanted(desk);
        });
    }

    pub(crate) fn expires(&self, wait: Duration) -> u64 {
        self.exact().saturating_add(nanos(wait))
    }

    /// Sees to it that who waits for too long is told so. One alarm serves all: they wait equally long, so the oldest is
    /// the first whose time is up.
    pub(crate) fn set_alarm(self: &Arc<Self>) {
        let first = self.with(|desk, _| {
            let first = desk.queue.first_since();
            first.filter(|since| desk.needs_alarm(*since))
        });
        let Some(since) = first else { return };
        let at = self.instant(since.saturating_add(nanos(self.settings.acquire_timeout)));
        let Some(at) = at else { return };
        let waker = Waker::from(Arc::new(Overdue(Arc::downgrade(self))));
        let alarm = self.settings.timer.wake_at(at, waker);
        let replaced = self.with(|desk, _| {
            if desk.needs_alarm(since) { desk.alarm.replace((since, alarm)) } else { Some((since, alarm)) }
        });
        drop(replaced);
    }

    fn refuse_overdue(self: &Arc<Self>) {
        let now = self.exact();
        let most = nanos(self.settings.acquire_timeout);
        let mut steps = Steps::default();
        let (rung, refused) = self.with_first(&mut steps, |desk, after| {
            let mut refused: Vec<Given<C>> = Vec::new();
            while desk.queue.first_since().is_some_and(|since| now.saturating_sub(since) >= most) {
                let error = timed_out(
                    self.settings.acquire_timeout,
                    desk.dial.last_error.as_ref(),
                    desk.dial.under_way > 0,
                );
                match desk.queue.settle(Err(Box::new(error))) {
                    Settled::Given(waker) => after.more.extend(waker),
                    Settled::NobodyWaits(unsettled) => refused.push(unsettled),
                }
                desk.counts.timeouts += 1;
                meter::timed_out();
            }
            (desk.alarm.take(), refused)
        });
        drop((rung, refused));
        // For those who are left, whoever panicked.
        self.set_alarm();
        steps.pass_on();
    }
}

struct Overdue<C: Connect>(Weak<Shared<C>>);

impl<C: Connect> Wake for Overdue<C> {
    fn wake(self: Arc<Self>) {
        if let Some(shared) = self.0.upgrade() {
            shared.refuse_overdue();
        }
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn is_closed<C: Connect>(shared: &Shared<C>) -> bool {
    shared.is_closed.load(StdOrdering::Acquire)
}
