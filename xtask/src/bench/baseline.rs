//! Keeps figures under a name.

use clap::Args;

/// The arguments of `bench baseline`.
#[derive(Args)]
pub(crate) struct BaselineArgs {}

pub(crate) fn run(_args: &BaselineArgs) -> crate::Outcome {
    Err("not there yet".to_owned())
}
