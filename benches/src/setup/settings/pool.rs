use standpipe_harness::{Outcome, Settings};

use super::value::endless;

/// The pool's settings.
///
/// # Errors
/// A value that can't be read.
pub fn pool(settings: &Settings) -> Outcome<standpipe_pool::Settings> {
    pool_over(settings, standpipe_pool::Settings::default())
}

/// The pool's settings over a workload's own.
///
/// # Errors
/// A value that can't be read.
pub fn pool_over(settings: &Settings, over: standpipe_pool::Settings) -> Outcome<standpipe_pool::Settings> {
    Ok(standpipe_pool::Settings {
        connections_max: settings.get("pool.connections_max", over.connections_max)?,
        waiters_max: settings.get("pool.waiters_max", over.waiters_max)?,
        idle_max: endless(settings, "pool.idle_max", over.idle_max)?,
        life_max: endless(settings, "pool.life_max", over.life_max)?,
        check_after_idle: endless(settings, "pool.check_after_idle", over.check_after_idle)?,
        idle_min: settings.get("pool.idle_min", over.idle_min)?,
        acquire_timeout: endless(settings, "pool.acquire_timeout", over.acquire_timeout)?,
        connect_timeout: endless(settings, "pool.connect_timeout", over.connect_timeout)?,
        check_timeout: endless(settings, "pool.check_timeout", over.check_timeout)?,
        reset_timeout: endless(settings, "pool.reset_timeout", over.reset_timeout)?,
        close_timeout: endless(settings, "pool.close_timeout", over.close_timeout)?,
        life_jitter_percent: settings.get("pool.life_jitter_percent", over.life_jitter_percent)?,
        backoff_min: endless(settings, "pool.backoff_min", over.backoff_min)?,
        backoff_max: endless(settings, "pool.backoff_max", over.backoff_max)?,
        lease_warn_after: endless(settings, "pool.lease_warn_after", over.lease_warn_after)?,
        seed: match settings.text("pool.seed") {
            Some(_) => Some(settings.get("pool.seed", 0)?),
            None => over.seed,
        },
        timer: over.timer,
    })
}
