//! Instructions of the hot paths, counted under callgrind: free of the machine's noise.

mod callgrind;

use std::{collections::BTreeMap, path::Path};

use clap::Args;

use self::callgrind::Callgrind;
use super::{
    Ending,
    ab::{Builds, tone},
    home, interrupt, judge,
    run::built,
    scratch::Scratch,
    table::{Cell, Table, Tone, painted},
    units,
};
use crate::stage;

/// The arguments of `bench count`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CountArgs {
    /// What this tree, with its changes that are not committed, is held against; without it the counts are only shown
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// The most that an operation's instructions may grow, in percent
    #[arg(long, default_value_t = LIMIT_PERCENT, value_name = "PERCENT", value_parser = judge::percent)]
    limit: f64,
    /// Fail where valgrind is not installed
    #[arg(long)]
    require: bool,
    /// Count so many times, take the median, and show how far apart the counts lie
    #[arg(long, default_value_t = REPEAT, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=20))]
    repeat: u8,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench count                            this tree's instructions for each operation
  cargo xtask bench count main                       held against another revision

Exit codes: 0 no path grew beyond the limit, 1 one did, 2 it could not be done, 130 interrupted";

/// The most growth that passes, unless another limit is given.
pub(crate) const LIMIT_PERCENT: f64 = 10.0;

/// How often each is counted: where two threads meet, the counts differ a little.
pub(crate) const REPEAT: u8 = 3;

/// One hot path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Count {
    pub(crate) name: String,
    /// The median of the repetitions.
    pub(crate) instructions_per_operation: f64,
    /// From the least to the most of them, as a share of the median.
    pub(crate) spread: f64,
}

/// Two builds held against each other.
pub(crate) struct Held {
    pub(crate) table: Table,
    pub(crate) ending: Ending,
    pub(crate) sentence: String,
}

pub(crate) fn run(args: &CountArgs) -> Result<Ending, String> {
    if !is_possible() {
        return if args.require { Err(MISSING.to_owned()) } else { Ok(skipped()) };
    }
    let Some(revision) = &args.revision else {
        let (build, _, _programs) = built()?;
        for side in counts(&[&build.hot], args.repeat)? {
            println!("{}", shown(&side.counts, args.repeat).shown());
            side.all()?;
        }
        return Ok(Ending::Fine);
    };
    let builds = Builds::of(revision)?;
    let held = hold(&builds, args.limit, args.repeat)?;
    println!("{}\n{}", held.table.shown(), painted(&held.sentence, tone(held.ending)));
    Ok(held.ending)
}

/// Whether callgrind is here.
pub(crate) fn is_possible() -> bool {
    stage::is_there("valgrind", "--version")
}

/// What is said where it is not.
pub(crate) const MISSING: &str = "the instructions were NOT counted: valgrind is not installed (apt install valgrind, dnf install valgrind)";

fn skipped() -> Ending {
    println!("{}", painted(&format!("SKIPPED: {MISSING}"), Tone::Warning));
    println!("0 paths counted, 1 check skipped; --require makes that a failure.");
    Ending::Fine
}

/// Counts both builds, and judges.
///
/// # Errors
/// A path fails in this tree. One that fails in the base only is told.
pub(crate) fn hold(builds: &Builds, limit_percent: f64, repeat: u8) -> Result<Held, String> {
    let mut sides = counts(&[&builds.this.build.hot, &builds.base.build.hot], repeat)?.into_iter();
    let this = sides.next().unwrap_or_default().all()?;
    Ok(Held::of(&sides.next().unwrap_or_default(), &this, limit_percent))
}

/// The paths of one program.
#[derive(Debug, Default)]
struct Side {
    counts: Vec<Count>,
    /// Paths that gave no count, each with its error.
    failed: Vec<(String, String)>,
}

impl Side {
    /// The counts, where there are some and none failed.
    fn all(self) -> Result<Vec<Count>, String> {
        if self.counts.is_empty() && self.failed.is_empty() {
            return Err("this tree has no hot paths".to_owned());
        }
        if self.failed.is_empty() {
            return Ok(self.counts);
        }
        let errors: Vec<_> = self.failed.into_iter().map(|(_, error)| error).collect();
        Err(format!("hot paths failed:\n  {}", errors.join("\n  ")))
    }
}

/// Each program's paths, every path with as many operations in all of them.
fn counts(programs: &[&Path], repeat: u8) -> Result<Vec<Side>, String> {
    let scratch = Scratch::in_place(&home().join("scratch"))?;
    let mut operations = BTreeMap::new();
    let mut sides = Vec::new();
    for program in programs {
        let callgrind = Callgrind { program, scratch: scratch.path() };
        let mut side = Side::default();
        for name in callgrind.names()? {
            let known = operations.get(&name).copied();
            let count = known.map_or_else(|| callgrind.operations(&name), Ok).and_then(|operations_of_it| {
                operations.insert(name.clone(), operations_of_it);
                callgrind.count(&name, operations_of_it, repeat)
            });
            interrupt::check()?;
            match count {
                Ok(count) => side.counts.push(count),
                Err(error) => side.failed.push((name, error)),
            }
        }
        sides.push(side);
    }
    Ok(sides)
}

fn shown(counts: &[Count], repeat: u8) -> Table {
    let mut table = Table::new(["path", "instructions", "spread"]).right(1).right(2);
    for count in counts {
        let spread = if repeat > 1 { percent(count.spread) } else { String::new() };
        table.row([count.name.clone(), format!("{:.1}", count.instructions_per_operation), spread]);
    }
    table
}

fn percent(share: f64) -> String {
    format!("{:.3}%", share * 100.0)
}

impl Held {
    fn of(base: &Side, this: &[Count], limit_percent: f64) -> Self {
        let head = ["path", "base", "this", "change", "spread", "verdict"];
        let mut table = Table::new(head).right(1).right(2).right(3).right(4);
        let (mut grown, mut compared) = (Vec::new(), 0);
        for count in this {
            let now = count.instructions_per_operation;
            let Some(before) = base.counts.iter().find(|one| one.name == count.name) else {
                let has_failed = base.failed.iter().any(|(name, _)| *name == count.name);
                table.row([
                    count.name.clone(),
                    "none".to_owned(),
                    format!("{now:.1}"),
                    String::new(),
                    String::new(),
                    if has_failed { "it fails in the base" } else { "only here" }.to_owned(),
                ]);
                continue;
            };
            compared += 1;
            let growth = now / before.instructions_per_operation - 1.0;
            let is_beyond = growth * 100.0 > limit_percent;
            let (said, tone) = if is_beyond { ("REGRESSION", Tone::Bad) } else { ("fine", Tone::Plain) };
            if is_beyond {
                grown.push(count.name.as_str());
            }
            table.row([
                Cell::from(count.name.as_str()),
                format!("{:.1}", before.instructions_per_operation).into(),
                format!("{now:.1}").into(),
                Cell::from(units::signed_percent(growth)).tone(tone),
                Cell::from(percent(count.spread.max(before.spread))).tone(Tone::Faint),
                Cell::from(said).tone(tone),
            ]);
        }
        for gone in base.counts.iter().filter(|one| !this.iter().any(|other| other.name == one.name)) {
            let before = format!("{:.1}", gone.instructions_per_operation);
            table.row([
                gone.name.clone(),
                before,
                "none".to_owned(),
                String::new(),
                String::new(),
                "only in the base".to_owned(),
            ]);
        }
        let (ending, sentence) = if grown.is_empty() {
            (
                Ending::Fine,
                format!(
                    "FINE: the instructions of {compared} hot paths counted, none grew by more than {limit_percent}%."
                ),
            )
        } else {
            let names = grown.join(", ");
            (
                Ending::Regression,
                format!("REGRESSION: more than {limit_percent}% more instructions: {names}."),
            )
        };
        Held { table, ending, sentence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, f64)]) -> Vec<Count> {
        let count = |(name, instructions): &(&str, f64)| Count {
            name: (*name).to_owned(),
            instructions_per_operation: *instructions,
            spread: 0.0,
        };
        of.iter().map(count).collect()
    }

    #[test]
    fn growth_beyond_the_limit_is_named() {
        let base = counts(&[("encode_row", 1000.0), ("frame_record", 500.0), ("gone", 1.0)]);
        let this = counts(&[("encode_row", 1099.0), ("frame_record", 551.0), ("new", 1.0), ("broken", 1.0)]);
        let failed = vec![("broken".to_owned(), "wrong result".to_owned())];
        let base = Side { counts: base, failed };
        let held = Held::of(&base, &this, 10.0);
        assert_eq!(held.ending, Ending::Regression);
        assert!(held.sentence.ends_with(": frame_record."), "{}", held.sentence);
        let text = held.table.markdown();
        assert!(text.contains("only here") && text.contains("only in the base"), "{text}");
        assert!(text.contains("it fails in the base"), "{text}");
        assert_eq!(Held::of(&base, &base.counts, 10.0).ending, Ending::Fine);
        assert!(Side::default().all().is_err(), "nothing counted is nothing known");
        assert!(base.all().is_err_and(|message| message.contains("wrong result")));
    }
}
