//! Known failures that lie inside this crate's own code, to be switched on by the tests that must then fail. Without the
//! feature `planted` the switch is the constant `false`, and nothing of it is left in the program.
#![cfg_attr(not(feature = "planted"), allow(unreachable_pub))]

/// One failure that others had (see `docs/known-failures.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plant {
    /// M4: every waiter calls for relief.
    RelievesEachWaiter,
    /// M7: a request that is cancelled stays where it waited.
    ForgetsCancelled,
    /// M12: a request larger than the budget waits for bytes that cannot come.
    QueuesOversized,
    /// The flag of those who wait is raised a step after there was no room.
    FlagsLate,
    /// Pressure is ended without a look at who pressed meanwhile.
    CalmsBlindly,
    /// M1: a budget that is pressed has no lane taken that is not due.
    RelievesNobody,
    /// M3: relief passes over lanes that are still being filled.
    SkipsOpenLanes,
    /// M6: bytes go back when a batch is taken, while its items are still in memory.
    ReleasesWhenTaken,
    /// M8: a slot is marked full before it is written.
    PublishesFirst,
    /// M8: a segment is given back although the one who is to link its successor has not done so.
    LeavesEarly,
    /// M8: an item is counted before it is there to be read.
    CountsFirst,
    /// M8: a lane counts as posted until it was looked at.
    UnmarksLate,
    /// M8: a reader that waits for a slot leaves no word.
    ForgetsStuck,
    /// M9: segments that nobody needs are kept.
    KeepsSpares,
    /// M9: lanes that are empty are kept.
    KeepsLanes,
}

#[cfg(feature = "planted")]
mod switch {
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<super::Plant>> = const { Cell::new(None) };
    }

    /// Plants a failure in what the calling thread does from here on, or none.
    pub fn plant(what: Option<super::Plant>) {
        PLANTED.set(what);
    }

    pub(crate) fn is(plant: super::Plant) -> bool {
        PLANTED.get() == Some(plant)
    }
}

#[cfg(not(feature = "planted"))]
mod switch {
    pub(crate) const fn is(_plant: super::Plant) -> bool {
        false
    }
}

pub(crate) use switch::is;
#[cfg(feature = "planted")]
pub use switch::plant;
