//! Known failures that lie inside the log's own code, to be switched on by the tests that must then fail. Without the feature
//! `planted` the switch is the constant `false`, and nothing of it is left in the program.
#![cfg_attr(not(feature = "planted"), allow(unreachable_pub))]

/// One failure that others had (see `docs/known-failures.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Plant {
    /// L1: of all groups that wait when the log fails, one is told.
    ForgetsWaiters = 1,
    /// L4: damage below the proven point is cut like a torn tail.
    CutsDamage = 2,
    /// L7: a torn tail is refused like damage.
    RefusesTornTails = 3,
    /// L14: a length is believed before it is checked.
    BelievesLengths = 4,
    /// L16: without `idle_proof`, nothing says how far the log is durable.
    ProofFollowsSetting = 5,
    /// No failure of a log: checksums count as right, so that mutated bytes reach what lies behind them.
    SkipsChecksums = 6,
    /// L13: a mapping is looked at without asking whether the file still has that place.
    #[cfg_attr(not(feature = "mmap"), allow(dead_code, reason = "without mappings nothing asks"))]
    TrustsMappings = 7,
}

#[cfg(feature = "planted")]
mod switch {
    use std::sync::atomic::{AtomicU8, Ordering};

    static PLANTED: AtomicU8 = AtomicU8::new(0);

    /// Plants a failure in every log of this process, or none.
    pub fn plant(what: Option<super::Plant>) {
        PLANTED.store(what.map_or(0, |plant| plant as u8), Ordering::SeqCst);
    }

    pub(crate) fn is(plant: super::Plant) -> bool {
        PLANTED.load(Ordering::Relaxed) == plant as u8
    }
}

#[cfg(not(feature = "planted"))]
mod switch {
    /// A fuzzer would never guess a checksum.
    pub(crate) const fn is(plant: super::Plant) -> bool {
        cfg!(fuzzing) && matches!(plant, super::Plant::SkipsChecksums)
    }
}

pub(crate) use switch::is;
#[cfg(feature = "planted")]
pub use switch::plant;
