//! Connecting: one at a time, with pauses after failures, for all who wait.

use std::{sync::Arc, time::Duration};

use standpipe_core::{Connect, Error, ErrorKind};

use crate::{
    desk::Desk,
    entry::{Entry, Home, Place},
    errands::{Kind, Steps, caught},
    meter,
    planted::{self, Plant},
    queue::Settled,
    shared::{Shared, nanos},
    timer::{Sleep, within},
    told::told,
};

impl<C: Connect> Shared<C> {
    /// Begins to connect if somebody waits, or too few are idle, unless that is under way.
    pub(crate) fn connect_if_wanted(self: &Arc<Self>, desk: &mut Desk<C>) {
        let most = if planted::is(Plant::DialForEach) { desk.queue.waiting() } else { 1 };
        while desk.dial.under_way < most && desk.size < desk.limit && self.is_wanted(desk) {
            let index = desk.occupy();
            self.rack.reach(index, desk.is_way_closed);
            desk.dial.under_way += 1;
            let place = Place { home: Arc::new(Home(Arc::clone(self))), index, counted: None };
            let expires =
                desk.dial.not_before.max(self.exact()).saturating_add(nanos(self.settings.connect_timeout));
            let not_before = desk.dial.not_before;
            desk.errands.begin(
                self,
                Kind::Connect,
                expires,
                Box::pin(dial(UnderWay(Some(place)), not_before)),
            );
        }
    }

    fn is_wanted(&self, desk: &Desk<C>) -> bool {
        if desk.is_closed {
            return false;
        }
        let idle_wanted = self.settings.idle_min + desk.replacing;
        desk.queue.waiting() > 0 || (desk.run.is_some() && self.rack.count() < idle_wanted)
    }

    /// A connect ended. What was made goes to the oldest waiter; what it failed of, to all, unless somebody has a
    /// connection that may still come back to them.
    fn dialled(self: &Arc<Self>, mut place: UnderWay<C>, made: Result<C::Connection, Error>) {
        meter::dialled(made.is_ok());
        let mut steps = Steps::default();
        match made {
            Ok(connection) => {
                let now = self.exact();
                // An error has parts of the user's: like what comes of it, it is dropped outside of the lock.
                let (told_before, entry) = self.with_first(&mut steps, |desk, _| {
                    desk.counts.dials += 1;
                    desk.dial.failures = 0;
                    desk.dial.not_before = 0;
                    let told_before = desk.dial.last_error.take();
                    let Some(place) = place.take(desk) else { return (told_before, Err(connection)) };
                    let dies = self.dies(desk, now);
                    let entry =
                        Entry { connection, born: now, dies, since: now, is_fresh: true, spare: None, place };
                    (told_before, Ok(Box::new(entry)))
                });
                steps.take(|| drop(told_before));
                if let Ok(entry) = entry {
                    steps.take(|| Self::give_back(entry));
                }
                self.with_first(&mut steps, |desk, _| self.connect_if_wanted(desk));
            }
            Err(error) => {
                let error = Arc::new(error);
                let now = self.exact();
                let mut told_before = None;
                let refused = self.with_first(&mut steps, |desk, after| {
                    desk.counts.dials += 1;
                    desk.counts.dials_failed += 1;
                    desk.dial.not_before = now.saturating_add(self.pause(desk));
                    told_before = desk.dial.last_error.replace(Arc::clone(&error));
                    let others = desk.size - desk.closing - desk.dial.under_way;
                    if (others > 0 && error.kind() == ErrorKind::Retry) || planted::is(Plant::ErrorHidden) {
                        return None;
                    }
                    let mut refused = None;
                    while refused.is_none() && desk.queue.waiting() > 0 {
                        match desk.queue.settle(Err(Box::new(told(&error)))) {
                            Settled::Given(waker) => after.more.extend(waker),
                            Settled::NobodyWaits(unsettled) => refused = Some(unsettled),
                        }
                    }
                    refused
                });
                steps.take(|| drop((told_before, refused)));
                // Frees the place, and connects again if somebody still waits.
                steps.take(|| drop(place));
            }
        }
        steps.pass_on();
    }

    fn dies(&self, desk: &mut Desk<C>, born: u64) -> u64 {
        let life = nanos(self.settings.life_max);
        if life == u64::MAX {
            return u64::MAX;
        }
        let percent = u64::from(self.settings.life_jitter_percent.min(100));
        let window = if planted::is(Plant::NoJitter) { 0 } else { life / 100 * percent };
        born.saturating_add(life - desk.random.spread(window))
    }

    /// How long to wait after one more failure.
    fn pause(&self, desk: &mut Desk<C>) -> u64 {
        if planted::is(Plant::NoBackoff) {
            return 0;
        }
        let doubled = 2_u32.saturating_pow(desk.dial.failures);
        desk.dial.failures = desk.dial.failures.saturating_add(1);
        let most = self.settings.backoff_min.checked_mul(doubled).unwrap_or(Duration::MAX);
        desk.random.upper_half(nanos(most.min(self.settings.backoff_max)))
    }
}

/// A place in which a connection is being made. Dropped, neither is any more.
struct UnderWay<C: Connect>(Option<Place<C>>);

impl<C: Connect> UnderWay<C> {
    /// `None` when the pool does not wait for it any more.
    fn take(&mut self, desk: &mut Desk<C>) -> Option<Place<C>> {
        let place = self.0.take()?;
        desk.dial.under_way -= 1;
        Some(place)
    }
}

impl<C: Connect> Drop for UnderWay<C> {
    fn drop(&mut self) {
        if let Some(place) = self.0.take() {
            place.home.with(|desk, _| desk.dial.under_way -= 1);
            drop(place);
        }
    }
}

async fn dial<C: Connect>(place: UnderWay<C>, not_before: u64) {
    let Some(shared) = place.0.as_ref().map(|place| Arc::clone(&place.home.0)) else { return };
    let timer = shared.settings.timer;
    if not_before > 0 {
        Sleep::until(timer, shared.instant(not_before)).await;
    }
    // What came back meanwhile may have been enough.
    if !shared.with(|desk, _| shared.is_wanted(desk)) {
        return;
    }
    let most = shared.settings.connect_timeout;
    let connect = &shared.connect;
    let made = caught(within(timer, most, async {
        let mut connection = connect.connect().await?;
        connect.after_connect(&mut connection).await?;
        Ok(connection)
    }));
    let made = match made.await {
        Ok(Some(made)) => made,
        Ok(None) => {
            Err(Error::retry(format!("no connection was made within {most:?}: the other side is silent")))
        }
        Err(panic) => Err(Error::retry(format!("connecting panicked: {panic}"))),
    };
    shared.dialled(place, made);
}
