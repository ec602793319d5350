//! The same work through what else could be picked.

use clap::Args;

/// The arguments of `bench peers`.
#[derive(Args)]
pub(crate) struct PeersArgs {}

pub(crate) fn run(_args: &PeersArgs) -> crate::Outcome {
    Err("not there yet".to_owned())
}
