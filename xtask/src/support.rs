use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    data,
    services::{self, Servers},
    stage::{Stages, set_for_all},
};

/// What tests need around them: servers, and a file to say in that they had none. Dropping it stops the servers.
pub(crate) struct Support {
    servers: Option<Servers>,
    skips: PathBuf,
}

/// Names the file that a test which is skipped for want of a server appends a line to.
const SKIPS: &str = "STANDPIPE_TEST_SKIPS";

impl Support {
    /// Starts what can be started, as a stage of its own, and gives its variables to all programs that stages run.
    pub(crate) fn start(stages: &mut Stages) -> Result<Self, String> {
        let skips = data::target_dir().join(format!("test-skips-{}", std::process::id()));
        let skips = std::path::absolute(&skips).map_err(|error| format!("{}: {error}", skips.display()))?;
        let failed = |error| format!("{}: {error}", skips.display());
        fs::create_dir_all(data::target_dir()).and_then(|()| fs::write(&skips, "")).map_err(failed)?;
        set_for_all(SKIPS, &skips.display().to_string());
        let servers = stages.bring("services", 180, || Servers::start("test"));
        if let Some(servers) = &servers {
            println!("data in {}{}", servers.place().display(), services::remark(servers.place()));
            for (name, value) in servers.variables() {
                set_for_all(&name, &value);
            }
            for why in servers.missing() {
                stages.skip("services: not all", &why.to_string(), true);
            }
        }
        Ok(Support { servers, skips })
    }

    /// Stops the servers, and says how many tests were skipped for want of one. In CI that is a failure.
    pub(crate) fn finish(mut self, stages: &mut Stages) {
        if let Some(Err(why)) = self.servers.take().map(Servers::stop) {
            stages.fail("services", why.into());
        }
        let (count, reasons) = counted(&self.skips);
        if count > 0 {
            let words = format!("{count} tests were skipped for want of a server{reasons}");
            stages.skip("tests without a server", &words, true);
        }
    }
}

impl Drop for Support {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.skips);
    }
}

/// How many lines there are, and each that differs, with how often it is there.
fn counted(skips: &Path) -> (usize, String) {
    let text = fs::read_to_string(skips).unwrap_or_default();
    let mut lines = BTreeMap::<&str, usize>::new();
    for line in text.lines() {
        *lines.entry(line).or_default() += 1;
    }
    let each = lines.iter().map(|(line, count)| format!("\n   {count} x {line}"));
    (lines.values().sum(), each.collect())
}
