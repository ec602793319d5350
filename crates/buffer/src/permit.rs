use std::fmt;

use crate::Budget;

/// The right to keep [`bytes`](Self::bytes) in memory; dropping it gives them back.
///
/// Keep it inside the thing whose bytes it stands for, so that the two cannot part: an item that waits in a lane
/// carries its permit, and memory returns to the budget when the item is dropped after its commit, not before.
///
/// Leaking a permit (`std::mem::forget`) takes its bytes from the budget for good.
#[must_use = "dropping a permit at once gives its bytes back"]
pub struct Permit {
    budget: Budget,
    bytes: u64,
}

impl Permit {
    pub(crate) fn new(budget: Budget, bytes: u64) -> Self {
        Self { budget, bytes }
    }

    /// Its bytes alone: they stay taken until somebody [releases](Budget::release) them, and may get a
    /// [permit](Budget::permit) again.
    pub(crate) fn dissolve(mut self) -> u64 {
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn is_of(&self, budget: &Budget) -> bool {
        self.budget.is_same(budget)
    }

    /// Bytes this permit stands for.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Splits `bytes` off into a permit of their own, or returns `None` and changes nothing when there are fewer.
    /// To give back a part early, split it off and drop it.
    #[must_use = "dropping the part gives its bytes back"]
    pub fn split(&mut self, bytes: u64) -> Option<Self> {
        self.bytes = self.bytes.checked_sub(bytes)?;
        Some(Self::new(self.budget.clone(), bytes))
    }

    /// Takes over the bytes of `other`.
    ///
    /// # Errors
    /// Hands `other` back when it belongs to another budget.
    pub fn merge(&mut self, mut other: Self) -> Result<(), Self> {
        if !self.budget.is_same(&other.budget) {
            return Err(other);
        }
        // Both parts come from one limit, so the sum cannot overflow.
        self.bytes += std::mem::take(&mut other.bytes);
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
