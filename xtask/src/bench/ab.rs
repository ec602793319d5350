//! Holds this tree against another revision.

use clap::Args;

/// The arguments of `bench ab`.
#[derive(Args)]
pub(crate) struct AbArgs {}

pub(crate) fn run(_args: &AbArgs) -> Result<super::Ending, String> {
    Err("not there yet".to_owned())
}
