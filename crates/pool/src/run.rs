//! The work in the background, and retiring.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use standpipe_core::Connect;

use crate::{
    errands::{Kind, Steps},
    meter,
    planted::{self, Plant},
    shared::{Shared, nanos},
    timer::Sleep,
};

/// The longest time between two looks.
const TICK_MAX: Duration = Duration::from_secs(1);
const TICK_MIN: Duration = Duration::from_millis(10);
/// Ages are known to such a part of the shortest limit.
const TICKS_PER_AGE: u32 = 8;

/// See [`Pool::run`](crate::Pool::run).
pub(crate) struct Run<C: Connect> {
    shared: Arc<Shared<C>>,
    has_begun: bool,
    sleep: Option<Sleep>,
}

impl<C: Connect> Run<C> {
    pub(crate) fn new(shared: Arc<Shared<C>>) -> Self {
        Run { shared, has_begun: false, sleep: None }
    }
}

impl<C: Connect> Future for Run<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut steps = Steps::default();
        let polled = self.go_on(&mut steps, context);
        steps.pass_on();
        polled
    }
}

impl<C: Connect> Run<C> {
    fn go_on(&mut self, steps: &mut Steps, context: &mut Context<'_>) -> Poll<()> {
        let shared = &self.shared;
        let waker = Arc::new(context.waker().clone());
        let has_begun = self.has_begun;
        let replaced = shared.with_first(steps, |desk, _| {
            if has_begun || desk.run.is_none() { Ok(desk.run.replace(waker)) } else { Err(waker) }
        });
        match replaced {
            Ok(replaced) => steps.take(|| drop(replaced)),
            // Somebody else does it.
            Err(_) => return Poll::Ready(()),
        }
        self.has_begun = true;
        loop {
            steps.take(|| shared.drive());
            if shared.with_first(steps, |desk, _| desk.is_closed && desk.size == 0) {
                return Poll::Ready(());
            }
            if let Some(sleep) = &mut self.sleep
                && Pin::new(sleep).poll(context).is_pending()
            {
                return Poll::Pending;
            }
            steps.take(|| shared.tick());
            let timer = shared.settings.timer;
            self.sleep = Some(Sleep::until(timer, timer.now().checked_add(shared.tick_length())));
        }
    }
}

impl<C: Connect> Drop for Run<C> {
    fn drop(&mut self) {
        if self.has_begun {
            self.shared.set_clock(0);
            let mut steps = Steps::default();
            let waker = self.shared.with_first(&mut steps, |desk, _| desk.run.take());
            steps.take(|| drop(waker));
            steps.take(|| self.shared.take_no_leave());
            steps.pass_on();
        }
    }
}

impl<C: Connect> Shared<C> {
    pub(crate) fn tick_length(&self) -> Duration {
        let settings = &self.settings;
        let ages =
            [settings.idle_max, settings.life_max, settings.check_after_idle, settings.lease_warn_after];
        let shortest = ages.into_iter().filter(|age| !age.is_zero()).min().unwrap_or(TICK_MAX);
        (shortest / TICKS_PER_AGE).clamp(TICK_MIN, TICK_MAX)
    }

    fn tick(self: &Arc<Self>) {
        let now = self.exact();
        self.set_clock(now);
        self.reap(now);
        self.with(|desk, _| self.connect_if_wanted(desk));
        self.watch.look(self.settings.lease_warn_after, now);
        if cfg!(feature = "metrics") {
            meter::looked(&self.status());
        }
    }

    /// Retires what is idle and past its time, the coldest end first, and says how many. What would leave fewer idle
    /// than are to be is replaced before, where somebody runs the pool; where there is no place for that, one goes at a time.
    pub(crate) fn reap(self: &Arc<Self>, now: u64) -> usize {
        let settings = &self.settings;
        let idle_max = nanos(settings.idle_max);
        let mut past: Vec<_> = self
            .rack
            .standing()
            .filter(|(_, dates)| now >= dates.dies || now.saturating_sub(dates.since) >= idle_max)
            .collect();
        past.reverse();
        let keeps = self.is_run();
        let (mut retired, mut replacing) = (0, 0);
        for (place, dates) in past {
            let is_short =
                keeps && self.rack.count() <= settings.idle_min && !planted::is(Plant::MinIdleIgnored);
            if is_short && now < dates.dies {
                continue;
            }
            if is_short {
                let has_room =
                    self.with(|desk, _| desk.size < desk.limit || desk.errands.count(Kind::Connect) > 0);
                if has_room || retired > 0 {
                    replacing += 1;
                    continue;
                }
            }
            // The dates may be of another that came there meanwhile.
            let Some(entry) = self.rack.take_from(place) else { continue };
            if entry.is_expired(settings, now) {
                self.retire(entry);
                retired += 1;
            } else {
                Self::give_back(entry);
            }
        }
        self.with(|desk, _| desk.replacing = replacing);
        retired
    }
}
