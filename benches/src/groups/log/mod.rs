//! The log alone, in a directory of the filesystem that is measured: what each durability costs, at each size of
//! record, for one writer and for many; batches; reading it all again.

mod append;
mod batch;
mod open;
mod payload;
mod replay;

use std::{path::Path, time::Duration};

use standpipe_harness::{Context, Outcome, Workload};
use standpipe_wal::{Durability, Settings, Wal};

use crate::setup::settings;

/// The workloads of this group.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    [append::workloads(), batch::workloads(), replay::workloads(), open::workloads()].concat()
}

/// A durability and the name it has in workloads.
const DURABILITIES: [(&str, Durability); 4] = [
    ("group", Durability::Group),
    ("sync", Durability::Sync),
    ("periodic", Durability::Periodic(Duration::from_millis(10))),
    ("os", Durability::Os),
];

/// The log of this workload, with the workload's durability unless another was set.
fn open_log(context: &Context, dir: &Path, durability: Durability) -> Outcome<Wal> {
    Ok(Wal::open(dir, log_settings(context, durability)?)?)
}

fn log_settings(context: &Context, durability: Durability) -> Outcome<Settings> {
    // The log's own limit is no part of what is measured: nothing is truncated while it runs.
    let over = Settings { durability, size_bytes_max: 8 << 30, ..Settings::default() };
    settings::wal_over(&context.settings, over)
}
