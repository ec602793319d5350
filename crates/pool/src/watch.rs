//! With the feature `tracing`: which leases are held for too long, and who took them. Without it, nothing.

#[cfg(feature = "tracing")]
mod told {
    use std::{
        collections::BTreeMap,
        panic::Location,
        sync::{Mutex, PoisonError},
        time::Duration,
    };

    /// The line that asked for a connection.
    pub(crate) type Taker = &'static Location<'static>;

    #[track_caller]
    pub(crate) fn taker() -> Taker {
        Location::caller()
    }

    #[derive(Debug)]
    struct Held {
        taker: Taker,
        since: u64,
        is_told: bool,
    }

    #[derive(Debug, Default)]
    pub(crate) struct Watch {
        held: Mutex<BTreeMap<usize, Held>>,
    }

    impl Watch {
        pub(crate) fn taken(&self, place: usize, taker: Taker, now: impl FnOnce() -> u64) {
            let held = Held { taker, since: now(), is_told: false };
            self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(place, held);
        }

        pub(crate) fn ended(&self, place: usize) {
            self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&place);
        }

        /// Logs those that are held for too long, each once.
        pub(crate) fn look(&self, most: Duration, now: u64) {
            let mut long = Vec::new();
            for held in self.held.lock().unwrap_or_else(PoisonError::into_inner).values_mut() {
                let age = Duration::from_nanos(now.saturating_sub(held.since));
                if !held.is_told && age >= most {
                    held.is_told = true;
                    long.push((held.taker, age));
                }
            }
            for (taker, age) in long {
                tracing::warn!(%taker, held_ms = age.as_millis(), "a connection is held for long");
            }
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod told {
    use std::time::Duration;

    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Taker;

    #[inline]
    pub(crate) fn taker() -> Taker {
        Taker
    }

    #[derive(Debug, Default)]
    pub(crate) struct Watch {}

    impl Watch {
        #[inline]
        pub(crate) fn taken(&self, _: usize, _: Taker, _: impl FnOnce() -> u64) {}
        #[inline]
        pub(crate) fn ended(&self, _: usize) {}
        pub(crate) fn look(&self, _: Duration, _: u64) {}
    }
}

pub(crate) use told::{Taker, Watch, taker};
