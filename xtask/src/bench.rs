use clap::Args;

use crate::Outcome;

/// The arguments of `bench`.
#[derive(Args)]
pub(crate) struct BenchArgs {}

pub(crate) fn run(_: &BenchArgs) -> Outcome {
    Err("no benchmark yet".into())
}
