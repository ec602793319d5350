//! The pool alone, over connections that cost nothing, so that what is left is its own cost.

mod contend;
mod leak;
mod lone;
mod nothing;

use std::{sync::Arc, time::Duration};

use nothing::{Counts, Nothing};
use standpipe_harness::{Context, Outcome, Workload, check};
use standpipe_pool::{Pool, Settings};

use crate::setup::settings;

/// The workloads of this group.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    [lone::workloads(), contend::workloads(), leak::workloads()].concat()
}

const CONNECTIONS: usize = 8;

/// A pool of 8 connections to nothing, unless settings say otherwise.
fn pool(context: &Context, check_after_idle: Option<Duration>) -> Outcome<(Pool<Nothing>, Arc<Counts>)> {
    let mut over = Settings { connections_max: CONNECTIONS, ..Settings::default() };
    over.check_after_idle = check_after_idle.unwrap_or(over.check_after_idle);
    let pool = settings::pool_over(&context.settings, over)?;
    let counts = Arc::new(Counts::default());
    Ok((Pool::new(Nothing(counts.clone()), pool), counts))
}

/// Nothing is lent and nobody waits, and what is idle is what is open.
fn check_at_rest(pool: &Pool<Nothing>, counts: &Counts) -> Outcome<()> {
    let status = pool.status();
    check("lent and waiting", (status.in_use, status.waiting), (0, 0))?;
    check("connections open", counts.open(), status.idle as u64)
}
