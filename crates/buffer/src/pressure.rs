use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use crate::shared::Shared;

/// Somebody waits for memory: while one of these lives, lanes are due whatever their age and size.
///
/// It is a state and not a ping: a taker that is busy when it begins sees it at its next take.
/// Made by [`Lanes::pressure`](crate::Lanes::pressure); dropping it ends the pressure.
#[must_use = "pressure ends when this is dropped"]
pub struct Pressure<K: Clone + Eq + Hash, T> {
    shared: Arc<Shared<K, T>>,
}

impl<K: Clone + Eq + Hash, T> Pressure<K, T> {
    pub(crate) fn new(shared: Arc<Shared<K, T>>) -> Self {
        shared.change(|schedule| schedule.pressure += 1);
        Self { shared }
    }
}

impl<K: Clone + Eq + Hash, T> Drop for Pressure<K, T> {
    fn drop(&mut self) {
        self.shared.change(|schedule| schedule.pressure -= 1);
    }
}

impl<K: Clone + Eq + Hash, T> fmt::Debug for Pressure<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pressure").finish_non_exhaustive()
    }
}
