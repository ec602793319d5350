//! Known failures that lie inside this crate's own code, to be switched on by the tests that must then fail. Without the
//! feature `planted` the switch is the constant `false`, and nothing of it is left in the program.
#![cfg_attr(not(feature = "planted"), allow(unreachable_pub))]

/// One failure that others had (see `docs/known-failures.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Plant {
    /// S1: one bad row fails the batch.
    WholeBatchFails = 1,
    /// S2: a bad row is left out, and nobody is told.
    RejectsForgotten = 2,
    /// S3: a key that comes twice in a batch is sent twice.
    NoReduction = 3,
    /// S4: only the key's own index is looked at.
    SecondUniqueIgnored = 4,
    /// S5: rows are merged in the order in which they came.
    KeysUnordered = 5,
    /// S6: the ledger is looked at, and not held until the commit.
    FenceOutside = 6,
    /// S8: a commit that was not answered counts as done.
    CommitErrorSwallowed = 8,
    /// No row of its own: a table is taken to be as it was.
    ShapeBelieved = 9,
}

#[cfg(feature = "planted")]
mod switch {
    use std::sync::atomic::{AtomicU8, Ordering};

    static PLANTED: AtomicU8 = AtomicU8::new(0);

    /// Plants a failure in every target of this process, or none.
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
