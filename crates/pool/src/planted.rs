//! Known failures that lie inside the pool's own code, to be switched on by the tests that must then fail. Without the
//! feature `planted` the switch is the constant `false`, and nothing of it is left in the program.
#![cfg_attr(not(feature = "planted"), allow(unreachable_pub))]

/// One failure that others had (see `docs/known-failures.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Plant {
    /// P1: a failed connect is tried again at once, for as long as somebody waits.
    NoBackoff = 1,
    /// P2: nothing that a peer does not answer ends.
    NoTimeouts = 2,
    /// P3: who gives up stays in the queue, and is served.
    StaysInQueue = 3,
    /// P4: a connection that was handed to somebody who gave up is forgotten with its place.
    PlaceForgotten = 4,
    /// P5: what a connect failed of is told to nobody.
    ErrorHidden = 5,
    /// P6: the reaper does not look at the least that is to be idle.
    MinIdleIgnored = 6,
    /// P7: the age of what comes back is not looked at.
    LifeIgnored = 7,
    /// P8: all live equally long.
    NoJitter = 8,
    /// P9: who came last is served first.
    YoungestFirst = 9,
    /// P10: who comes takes what is idle, whoever waits.
    Barging = 10,
    /// P11: what is under check goes with who gives up.
    CheckedDestroyed = 11,
    /// No row of its own: what comes back is lent as it is.
    ResetSkipped = 12,
    /// P1: each who waits dials.
    DialForEach = 13,
}

#[cfg(feature = "planted")]
mod switch {
    use std::sync::atomic::{AtomicU8, Ordering};

    static PLANTED: AtomicU8 = AtomicU8::new(0);

    /// Plants a failure in every pool of this process, or none.
    pub fn plant(what: Option<super::Plant>) {
        PLANTED.store(what.map_or(0, |plant| plant as u8), Ordering::SeqCst);
    }

    #[inline]
    pub(crate) fn is(plant: super::Plant) -> bool {
        PLANTED.load(Ordering::Relaxed) == plant as u8
    }
}

#[cfg(not(feature = "planted"))]
mod switch {
    #[inline]
    pub(crate) const fn is(_: super::Plant) -> bool {
        false
    }
}

pub(crate) use switch::is;
#[cfg(feature = "planted")]
pub use switch::plant;
