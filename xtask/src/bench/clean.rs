//! Removes what is old.

use clap::Args;

/// The arguments of `bench clean`.
#[derive(Args)]
pub(crate) struct CleanArgs {}

pub(crate) fn run(_args: &CleanArgs) -> crate::Outcome {
    Err("not there yet".to_owned())
}
