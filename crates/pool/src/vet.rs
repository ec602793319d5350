use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
};

use standpipe_core::{Connect, Error};

use crate::{
    PoolLease,
    entry::Entry,
    planted::{self, Plant},
    shared::{Shared, is_closed},
    timer::within,
    told::closed,
    watch::Taker,
};

/// Looks at a connection before it is lent: `None` when it is not fit, and closed.
pub(crate) async fn vet<C: Connect>(
    shared: &Arc<Shared<C>>,
    entry: Box<Entry<C>>,
    taker: Taker,
    asked: &mut Option<u64>,
) -> Result<Option<PoolLease<C>>, Error> {
    let (connect, settings) = (&shared.connect, &shared.settings);
    let mut is_due = false;
    if shared.is_dated {
        let now = shared.now();
        is_due = entry.is_check_due(settings, now);
        if entry.is_expired(settings, now) {
            // What is kept idle beyond `idle_max` is kept to be lent.
            let is_kept =
                !entry.is_past_life(now) && shared.is_run() && shared.rack.count() < settings.idle_min;
            if !is_kept {
                shared.retire(entry);
                return Ok(None);
            }
            is_due = true;
        }
    }
    let mut vetted = Vetted { entry: Some(entry), is_polled: false, has_waited: false };
    if is_due {
        let checked = vetted.poll(shared, asked, |connection| {
            within(settings.timer, settings.check_timeout, connect.check(connection))
        });
        if !matches!(checked.await, Some(Ok(()))) {
            vetted.close();
            return Ok(None);
        }
    }
    let prepared = vetted.poll(shared, asked, |connection| {
        within(settings.timer, settings.check_timeout, connect.before_acquire(connection))
    });
    match prepared.await {
        Some(Ok(())) => {}
        Some(Err(error)) if vetted.is_fresh() => {
            vetted.close();
            return Err(error);
        }
        None if vetted.is_fresh() => {
            vetted.close();
            return Err(Error::retry(format!(
                "a new connection was not ready within {:?}: the other side is silent",
                settings.check_timeout
            )));
        }
        _ => {
            vetted.close();
            return Ok(None);
        }
    }
    if (is_due || vetted.has_waited || vetted.is_fresh()) && is_closed(shared) {
        return Err(closed());
    }
    Ok(vetted.entry.take().map(|entry| PoolLease::new(entry, taker)))
}

/// A connection that is looked at. When its acquirer goes away meanwhile it goes back, and the check stays due; when a
/// user's code panics over it, it is closed.
struct Vetted<C: Connect> {
    entry: Option<Box<Entry<C>>>,
    /// The user's code runs at this instant; it stays set only by a panic.
    is_polled: bool,
    has_waited: bool,
}

impl<C: Connect> Vetted<C> {
    fn is_fresh(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.is_fresh)
    }

    /// Drops the connection without leave: it is broken, or the other side is silent.
    fn close(&mut self) {
        drop(self.entry.take());
    }

    /// Runs the user's code over the connection; `None` when it took too long. What takes time is time that the acquirer
    /// waits: those who queue meanwhile came after him.
    async fn poll<'a, F>(
        &'a mut self,
        shared: &Shared<C>,
        asked: &mut Option<u64>,
        start: impl FnOnce(&'a mut C::Connection) -> F,
    ) -> Option<Result<(), Error>>
    where
        F: Future<Output = Option<Result<(), Error>>> + 'a,
    {
        let Vetted { entry: Some(entry), is_polled, has_waited } = self else { return None };
        *is_polled = true;
        let mut future = pin!(start(&mut entry.connection));
        *is_polled = false;
        poll_fn(|context| {
            *is_polled = true;
            let polled = future.as_mut().poll(context);
            *is_polled = false;
            if polled.is_pending() && !*has_waited {
                *has_waited = true;
                asked.get_or_insert_with(|| shared.asked());
            }
            polled
        })
        .await
    }
}

impl<C: Connect> Drop for Vetted<C> {
    fn drop(&mut self) {
        let Some(entry) = self.entry.take() else { return };
        let is_destroyed = self.has_waited && planted::is(Plant::CheckedDestroyed);
        if !self.is_polled && !is_destroyed {
            Shared::give_back(entry);
        }
    }
}
