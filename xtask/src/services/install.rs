use std::{
    env,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use rustix::process::geteuid;

use super::Unavailable;
use crate::{interrupt, stage::is_there};

/// Set to `no`, nothing is ever installed.
const SWITCH: &str = "STANDPIPE_SERVICES_INSTALL";

/// Installs a package with `apt-get`, where we are root or may become it without a password. Packages start servers of their
/// own and Debian's makes a cluster: both are kept from it, unless the machine has a policy for that already.
pub(super) fn package(name: &str) -> Result<(), Unavailable> {
    let missing = |why: &str| Unavailable::new(format!("{name} is not installed, and {why}"));
    if env::var_os(SWITCH).is_some_and(|value| value == "no") {
        return Err(missing(&format!("{SWITCH} forbids to install it")));
    }
    if !is_there("apt-get", "--version") {
        return Err(missing("there is no apt-get to install it with"));
    }
    let is_root = geteuid().is_root();
    if !is_root && !may_become_root() {
        return Err(missing(&format!("we may not install it here: sudo apt-get install {name}")));
    }
    eprintln!("services: installing {name} with apt-get");
    let mut command = if is_root { Command::new("sh") } else { Command::new("sudo") };
    if !is_root {
        command.args(["-n", "sh"]);
    }
    // A group of its own: Ctrl-C in the middle of an installation would leave the machine with half of it.
    let output = command.args(["-c", SCRIPT, "sh", name]).stdin(Stdio::null()).process_group(0).output();
    interrupt::check()?;
    let output = output.map_err(|error| missing(&format!("sh: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    eprintln!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(missing("apt-get could not install it (its words are above)"))
}

fn may_become_root() -> bool {
    let asked = Command::new("sudo").args(["-n", "true"]).stdin(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

const SCRIPT: &str = r#"
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' > $policy
    chmod 755 $policy
fi
if [ "$1" = postgresql ] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
fi
export DEBIAN_FRONTEND=noninteractive
install() {
    apt-get install --yes --quiet --no-install-recommends \
        -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold "$1"
}
install "$1" || { apt-get update --quiet && install "$1"; }
"#;
