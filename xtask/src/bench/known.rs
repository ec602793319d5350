//! Ratios and bounds within one run that are known to be wanted. They are told, and no command fails for them.

use super::{
    judge::median,
    record::Measured,
    table::{Cell, Table, Tone},
    units,
};

/// One of them, where the run had what it needs.
struct Known {
    what: String,
    found: f64,
    unit: &'static str,
    bound: Bound,
}

enum Bound {
    AtLeast(f64),
    Under(f64),
}

/// Writers that share a group commit are held against one alone, with records that are small: of large ones the disk
/// takes only so many bytes a second, however they are grouped.
const GROUPED: &str = "log.group.256b";
const MIB: f64 = 1_048_576.0;

/// What is wanted and whether it holds; `None` when the run had none of it.
pub(crate) fn table(results: &[Measured]) -> Option<Table> {
    let mut table = Table::new(["known to be wanted", "found", "wanted", ""]).right(1).right(2);
    for known in all(results) {
        table.row(known.row());
    }
    (!table.is_empty()).then_some(table)
}

fn all(results: &[Measured]) -> Vec<Known> {
    let figure = |workload: &str, figure: &str| {
        let series = results.iter().find(|one| one.workload == workload)?.series(figure)?;
        Some((median(&series.values), series.unit.as_str()))
    };
    let ratio = |over: &str, under: &str, least: f64| {
        let (over_value, under_value) = (figure(over, "throughput")?.0, figure(under, "throughput")?.0);
        let found = over_value / under_value;
        Some(Known { what: format!("{over} / {under}"), found, unit: "times", bound: Bound::AtLeast(least) })
    };
    let mut known: Vec<Known> =
        ratio(&format!("{GROUPED}.w64"), &format!("{GROUPED}.w1"), 24.0).into_iter().collect();
    known.extend(ratio("command.load_stdin", "command.load_file", 0.7));
    for one in results.iter().filter(|one| matches!(one.group.as_str(), "command" | "memory")) {
        let Some((found, unit)) = figure(&one.workload, "peak_resident") else { continue };
        let most = if one.workload.contains("64mib") { 100.0 } else { 50.0 };
        let found = if unit == "MiB" { found } else { found / MIB };
        let what = format!("{} peak_resident", one.workload);
        known.push(Known { what, found, unit: "MiB", bound: Bound::Under(most) });
    }
    known
}

impl Known {
    fn holds(&self) -> bool {
        match self.bound {
            Bound::AtLeast(least) => self.found >= least,
            Bound::Under(most) => self.found < most,
        }
    }

    fn row(&self) -> Vec<Cell> {
        let wanted = match self.bound {
            Bound::AtLeast(least) => format!("at least {least} {}", self.unit),
            Bound::Under(most) => format!("under {most} {}", self.unit),
        };
        let said = match self.holds() {
            true => Cell::from("holds").tone(Tone::Good),
            false => Cell::from("not in this run").tone(Tone::Warning),
        };
        vec![self.what.clone().into(), units::value(self.found, self.unit).into(), wanted.into(), said]
    }
}

#[cfg(test)]
mod tests {
    use standpipe_harness::{Driver, Figure, Listed, Sample};

    use super::*;

    fn measured(name: &str, figure: Figure) -> Measured {
        let mut measured = Measured::of(&Listed {
            name: name.to_owned(),
            group: name.split('.').next().unwrap_or_default().to_owned(),
            measures: String::new(),
            quick: true,
            revision: 1,
            driver: Driver::Scenario,
        });
        measured.add(Sample::of([figure]));
        measured
    }

    fn throughput(name: &str, value: f64) -> Measured {
        measured(name, Figure::throughput(value, 1.0, "rows/s"))
    }

    #[test]
    fn only_what_the_run_had_both_sides_of_is_told() {
        assert!(table(&[throughput("log.group.256b.w64", 1.0)]).is_none());
        let results = [
            throughput("log.group.256b.w1", 10.0),
            throughput("log.group.256b.w64", 250.0),
            throughput("command.load_file", 100.0),
            throughput("command.load_stdin", 69.0),
            measured("command.peak", Figure::memory("peak_resident", 24.2, "MiB")),
        ];
        let holds: Vec<_> = all(&results).iter().map(Known::holds).collect();
        assert_eq!(holds, [true, false, true]);
        let text = table(&results).expect("some").markdown();
        assert!(text.contains("25 times") && text.contains("not in this run"), "{text}");
    }
}
