use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use standpipe_core::{Connect, Error};

/// Connects to nothing, at no cost, and counts.
pub(super) struct Nothing(pub(super) Arc<Counts>);

/// What was made, checked and closed.
#[derive(Debug, Default)]
pub(super) struct Counts {
    made: AtomicU64,
    closed: AtomicU64,
    checked: AtomicU64,
}

/// Counts how often it was lent.
pub(super) struct Connection {
    pub(super) lent: u64,
    counts: Arc<Counts>,
}

impl Connect for Nothing {
    type Connection = Connection;

    async fn connect(&self) -> Result<Connection, Error> {
        self.0.made.fetch_add(1, Ordering::Relaxed);
        Ok(Connection { lent: 0, counts: self.0.clone() })
    }

    async fn check(&self, _: &mut Connection) -> Result<(), Error> {
        self.0.checked.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn is_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.counts.closed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counts {
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    pub(super) fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    pub(super) fn open(&self) -> u64 {
        self.made() - self.closed.load(Ordering::Relaxed)
    }
}
