//! One page with plots.

use clap::Args;

/// The arguments of `bench report`.
#[derive(Args)]
pub(crate) struct ReportArgs {}

pub(crate) fn run(_args: &ReportArgs) -> crate::Outcome {
    Err("not there yet".to_owned())
}
