//! Runs workloads.

use clap::Args;

/// The arguments of `bench run`.
#[derive(Args)]
pub(crate) struct RunArgs {}

pub(crate) fn run(_args: &RunArgs) -> crate::Outcome {
    Err("not there yet".to_owned())
}
