//! The rows P1 to P11 of `docs/known-failures.md`, each as a check that says what it counted, or what is wrong. Time is tokio's,
//! paused: nothing here waits for real.
#![allow(dead_code, reason = "each test file uses some")]

pub(crate) mod backend_rows;
pub(crate) mod cancel_rows;
pub(crate) mod queue_rows;
pub(crate) mod retire_rows;
pub(crate) mod world;

pub(crate) type Checked = Result<String, String>;

/// Fails the check, saying why.
#[macro_export]
macro_rules! hold {
    ($what:expr, $($why:tt)+) => {
        if !$what {
            return Err(format!($($why)+));
        }
    };
}
