//! Python's contenders have an environment of their own, so that nothing is installed into the system.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::bench::interrupt;

/// The virtual environment at `dir` with what `requirements` names; made when it is not there, filled again when the
/// requirements have changed. An error says why it can't be had.
pub(super) fn ready(dir: &Path, requirements: &Path) -> Result<PathBuf, String> {
    let wanted =
        fs::read_to_string(requirements).map_err(|error| format!("{}: {error}", requirements.display()))?;
    let (python, filled_with) = (dir.join("bin/python"), dir.join("filled-with.txt"));
    let runs = || run(Command::new(&python).arg("--version")).is_ok();
    if fs::read_to_string(&filled_with).is_ok_and(|text| text == wanted) && runs() {
        return Ok(dir.to_owned());
    }
    eprintln!("Making a virtual environment in {} ...", dir.display());
    if !runs() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(dir))?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run(Command::new(&python).args(pip).arg(requirements))?;
    fs::write(&filled_with, wanted).map_err(|error| format!("{}: {error}", filled_with.display()))?;
    Ok(dir.to_owned())
}

fn run(command: &mut Command) -> crate::Outcome {
    let output = interrupt::output(command.stdout(Stdio::null()).stderr(Stdio::piped()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // The last line of what Python and pip say is the error.
    let last = said.trim().lines().next_back().unwrap_or_default();
    Err(format!("{} ended with {}: {last}", command.get_program().to_string_lossy(), output.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_requirements_is_a_reason_that_names_the_file() {
        let missing = Path::new("no-such-directory/requirements.txt");
        let error = ready(Path::new("no-such-directory/venv"), missing).expect_err("it is not there");
        assert!(error.starts_with("no-such-directory/requirements.txt: "), "{error}");
    }
}
