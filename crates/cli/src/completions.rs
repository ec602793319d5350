use clap::CommandFactory;

use crate::{
    args::{Args, CompletionsArgs},
    exit::{Exit, Failure},
    output,
};

/// `standpipe completions SHELL`
pub(crate) fn run(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "standpipe", &mut script);
    output::say(String::from_utf8_lossy(&script).trim_end());
    Ok(Exit::Applied)
}
