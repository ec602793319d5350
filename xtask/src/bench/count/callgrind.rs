//! Runs a program under callgrind and reads what it counted.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use super::Count;
use crate::bench::{interrupt, judge::median};

/// Instructions of the first run, about; the second does twice the operations, and the difference holds no start and
/// no end of the program. So many that what a second thread does now and then weighs little.
const INSTRUCTIONS: f64 = 2e7;
/// Operations by which the cost of one is estimated.
const PROBE: u64 = 128;
const OPERATIONS_MAX: f64 = 65_536.0;

/// A program of hot paths: `list`, and `NAME ITERATIONS`.
pub(super) struct Callgrind<'a> {
    pub(super) program: &'a Path,
    /// Where callgrind's file goes.
    pub(super) scratch: &'a Path,
}

impl Callgrind<'_> {
    /// The paths that the program has; an older one may have none.
    pub(super) fn names(&self) -> Result<Vec<String>, String> {
        let mut command = Command::new(self.program);
        let output = interrupt::output(command.arg("list").stdout(Stdio::piped()))?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    /// The operations that a run of this path is to have.
    pub(super) fn operations(&self, name: &str) -> Result<u64, String> {
        let (once, twice) = (self.instructions(name, PROBE)?, self.instructions(name, 2 * PROBE)?);
        let each = (twice as f64 - once as f64) / PROBE as f64;
        Ok((INSTRUCTIONS / each.max(1.0)).clamp(PROBE as f64, OPERATIONS_MAX) as u64)
    }

    /// Counts one path.
    pub(super) fn count(&self, name: &str, operations: u64, repeat: u8) -> Result<Count, String> {
        let mut each = Vec::new();
        for _ in 0..repeat {
            let once = self.instructions(name, operations)?;
            let twice = self.instructions(name, 2 * operations)?;
            each.push((twice as f64 - once as f64) / operations as f64);
        }
        let middle = median(&each);
        if middle <= 0.0 {
            return Err(format!("{name}: twice the operations are not more instructions"));
        }
        let least = each.iter().copied().fold(f64::INFINITY, f64::min);
        let most = each.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let spread = (most - least) / middle;
        Ok(Count { name: name.to_owned(), instructions_per_operation: middle, spread })
    }

    fn instructions(&self, name: &str, operations: u64) -> Result<u64, String> {
        let file = self.scratch.join("callgrind.out");
        let mut command = Command::new("valgrind");
        command.args(["--quiet", "--tool=callgrind"]);
        command.arg(format!("--callgrind-out-file={}", file.display()));
        command.arg(self.program).args([name, &operations.to_string()]);
        // Files of the path itself go where ours do.
        command.env("TMPDIR", self.scratch).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = interrupt::output(&mut command)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{name} under valgrind: {}: {}", output.status, said.trim()));
        }
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let _ = fs::remove_file(&file);
        total(&text).ok_or_else(|| format!("{name}: callgrind's file has no total of instructions"))
    }
}

/// The instructions (`Ir`) of a whole run, as callgrind's file sums them up: in `summary:` or, where parts were
/// dumped, in `totals:`.
fn total(text: &str) -> Option<u64> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let column = field("events:")?.split_whitespace().position(|event| event == "Ir")?;
    let sums = field("summary:").or_else(|| field("totals:"))?;
    sums.split_whitespace().nth(column)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# callgrind format\nversion: 1\ncreator: callgrind-3.19.0\npid: 5\ncmd: x y 5\npart: 1\n\n\
        desc: Trigger: Program termination\npositions: line\nevents: Ir\nsummary: 247130\n\nfl=(1) summary: 1\n\
        fn=(1) main\n16 400\n\ntotals: 247131\n";

    #[test]
    fn the_sum_of_instructions() {
        assert_eq!(total(FILE), Some(247_130));
        assert_eq!(total(&FILE.replace("summary: 247130\n", "")), Some(247_131));
    }

    #[test]
    fn other_events_beside_them() {
        let file = "events: Dr Ir Dw\nsummary: 5 70 6\n";
        assert_eq!(total(file), Some(70));
    }

    #[test]
    fn what_is_no_such_file_has_none() {
        for text in
            ["", "events: Ir\n", "summary: 5\n", "events: Dr\nsummary: 5\n", "events: Ir\nsummary: many\n"]
        {
            assert_eq!(total(text), None, "{text:?}");
        }
    }
}
