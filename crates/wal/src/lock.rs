use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, whatever a panicking holder left: everything behind these locks is changed in steps that each leave it whole.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
