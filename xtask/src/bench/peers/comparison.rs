//! Contenders that did the same work.

use standpipe_harness::Kind;

use super::ratio::Ratio;
use crate::bench::{
    judge::median,
    record::{Measured, Series},
    table::{Cell, Table, Tone},
    units,
};

/// One kind of work, done by several.
pub(crate) struct Comparison<'a> {
    pub(crate) name: &'a str,
    /// What all of them do.
    pub(crate) work: String,
    /// Limits, standpipe, peers, home-made ways, in this order; within each the fastest first.
    pub(crate) contenders: Vec<Contender<'a>>,
}

/// One who did it.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'a str,
    /// Through what, as far as it says.
    pub(crate) how: &'a str,
    pub(crate) role: Role,
    pub(crate) measured: &'a Measured,
    /// The figure that is compared; none of one who failed or was skipped.
    pub(crate) figure: Option<&'a Series>,
    /// None for standpipe itself, and where one of the two has no figure.
    pub(crate) ratio: Option<Ratio>,
}

/// What a contender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// What the machine can do, without any promise kept.
    Limit,
    Standpipe,
    Peer,
    /// The usual home-made way.
    Home,
}

/// The name of the contender that all are held against.
const STANDARD: &str = "standpipe";

/// What is told beside the figure that is compared, where it is there, and how the table calls it.
const TOLD: [(&str, &str); 4] = [
    ("client_cpu", "client CPU"),
    ("server_cpu", "server CPU"),
    ("peak_resident", "peak memory"),
    ("round_trips", "round trips"),
];

/// The comparisons of a record, in its order. A workload without contenders is one by itself.
pub(crate) fn comparisons(results: &[Measured]) -> Vec<Comparison<'_>> {
    let mut names: Vec<&str> = Vec::new();
    for one in results {
        let name = split(&one.workload).0;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.into_iter().map(|name| Comparison::of(name, results)).collect()
}

impl<'a> Comparison<'a> {
    fn of(name: &'a str, results: &'a [Measured]) -> Self {
        let members: Vec<_> = results.iter().filter(|one| split(&one.workload).0 == name).collect();
        let standard = members.iter().find(|one| split(&one.workload).1 == STANDARD);
        let standard = standard.and_then(|one| compared(one));
        let mut contenders: Vec<_> =
            members.iter().map(|measured| Contender::of(measured, standard)).collect();
        contenders.sort_by(|one, other| {
            one.place().partial_cmp(&other.place()).unwrap_or(std::cmp::Ordering::Equal)
        });
        let work = members.first().map_or("", |one| parts(&one.measures).0);
        Comparison { name, work: work.to_owned(), contenders }
    }

    /// For a terminal, a page or a file.
    pub(crate) fn table(&self) -> Table {
        let percentiles: Vec<&str> = ["p50", "p95", "p99", "p99.9"]
            .into_iter()
            .filter(|name| self.contenders.iter().any(|one| one.measured.series(name).is_some()))
            .collect();
        let has_ratios = self.contenders.iter().any(|one| one.ratio.is_some());
        let unit = self.unit();
        let median_of = unit.map_or_else(|| "median".to_owned(), |unit| format!("median, {unit}"));
        let mut head = vec!["contender", "", &median_of, "spread"];
        if has_ratios {
            head.extend(["standpipe is", "95% interval"]);
        }
        head.extend(&percentiles);
        let told: Vec<_> = TOLD
            .into_iter()
            .filter(|(name, _)| self.contenders.iter().any(|one| one.measured.series(name).is_some()))
            .collect();
        head.extend(told.iter().map(|(_, head)| *head));
        let mut table = Table::new(head.clone());
        for column in 2..head.len() {
            table = table.right(column);
        }
        for one in &self.contenders {
            let mut row = vec![Cell::from(one.name).tone(one.tone()), one.role.told().into()];
            match one.figure {
                Some(figure) => {
                    let middle = median(&figure.values);
                    row.push(units::value(middle, unit.map_or(figure.unit.as_str(), |_| "")).into());
                    row.push(units::spread(&figure.values, middle).into());
                }
                None => row.extend([Cell::from(one.why_not()).tone(Tone::Warning), "".into()]),
            }
            if has_ratios {
                row.push(one.ratio.map_or_else(|| Cell::from(""), |ratio| ratio.cell(one.role)));
                row.push(Cell::from(one.ratio.map_or_else(String::new, |r| r.interval())).tone(Tone::Faint));
            }
            for name in percentiles.iter().copied().chain(told.iter().map(|(name, _)| *name)) {
                let series = one.measured.series(name);
                row.push(
                    series.map_or_else(String::new, |s| units::value(median(&s.values), &s.unit)).into(),
                );
            }
            table.row(row);
        }
        table
    }
}

impl Comparison<'_> {
    /// The unit of all contenders, where it is a count a second: said once then, and not in each row.
    fn unit(&self) -> Option<&str> {
        let mut units =
            self.contenders.iter().filter_map(|one| one.figure).map(|figure| figure.unit.as_str());
        let first = units.next().filter(|unit| unit.ends_with("s/s"))?;
        units.all(|unit| unit == first).then_some(first)
    }
}

impl<'a> Contender<'a> {
    fn of(measured: &'a Measured, standard: Option<&Series>) -> Self {
        let (name, figure) = (split(&measured.workload).1, compared(measured));
        let ratio = standard.zip(figure).filter(|_| name != STANDARD);
        Contender {
            name,
            how: parts(&measured.measures).1,
            role: Role::of(name),
            measured,
            figure,
            ratio: ratio.and_then(|(standard, figure)| Ratio::between(standard, figure)),
        }
    }

    /// By role, then standpipe before its variants, then the fastest first; who has no figure is the last.
    fn place(&self) -> (Role, bool, f64) {
        (self.role, self.name != STANDARD, self.ratio.map_or(f64::INFINITY, |ratio| ratio.median))
    }

    /// Why there is no figure.
    pub(crate) fn why_not(&self) -> &'a str {
        let note = self.measured.notes.first().map_or("no figure", String::as_str);
        if note.starts_with("skipped") { "skipped" } else { "failed" }
    }

    fn tone(&self) -> Tone {
        match self.role {
            Role::Standpipe => Tone::Strong,
            Role::Limit => Tone::Faint,
            Role::Peer | Role::Home => Tone::Plain,
        }
    }
}

impl Role {
    fn of(contender: &str) -> Self {
        match contender {
            name if name.starts_with("limit") => Role::Limit,
            name if name.starts_with("home") => Role::Home,
            name if name == STANDARD || name.starts_with("standpipe-") => Role::Standpipe,
            _ => Role::Peer,
        }
    }

    pub(crate) fn told(self) -> &'static str {
        match self {
            Role::Limit => "limit",
            Role::Standpipe => "ours",
            Role::Peer => "peer",
            Role::Home => "home-made",
        }
    }
}

/// The comparison and the contender.
fn split(workload: &str) -> (&str, &str) {
    workload.split_once('/').unwrap_or((workload, workload))
}

/// The work and the way.
fn parts(measures: &str) -> (&str, &str) {
    measures.split_once(": ").unwrap_or((measures, ""))
}

/// Throughput where there is one, else the first figure that is judged.
fn compared(measured: &Measured) -> Option<&Series> {
    let judged = || measured.figures.iter().find(|series| series.kind != Kind::Told);
    measured.series("throughput").or_else(judged).filter(|series| !series.values.is_empty())
}

#[cfg(test)]
mod tests {
    use standpipe_harness::{Driver, Figure, Listed, Sample};

    use super::*;

    fn measured(name: &str, figures: &[Figure]) -> Measured {
        let mut measured = Measured::of(&Listed {
            name: name.to_owned(),
            group: "log".to_owned(),
            measures: "256 B records: through this".to_owned(),
            quick: true,
            revision: 1,
            driver: Driver::Scenario,
        });
        figures.iter().for_each(|figure| measured.add(Sample::of([figure.clone()])));
        measured
    }

    fn rates(name: &str, values: [f64; 3]) -> Measured {
        measured(name, &values.map(|value| Figure::throughput(value, 1.0, "records/s")))
    }

    #[test]
    fn more_than_one_is_praise_whichever_way_is_better() {
        let results = [
            rates("log.w1/okaywal", [50.0, 25.0, 50.0]),
            rates("log.w1/standpipe", [100.0, 50.0, 100.0]),
            measured("pool.t1/standpipe", &[Figure::latency_us("time", 10.0)]),
            measured("pool.t1/bb8", &[Figure::latency_us("time", 40.0)]),
        ];
        let comparisons = comparisons(&results);
        let ratio = |comparison: usize| comparisons[comparison].contenders[1].ratio.map(|ratio| ratio.median);
        assert_eq!(ratio(0), Some(2.0), "twice the throughput");
        assert_eq!(ratio(1), Some(4.0), "a quarter of the time");
        assert!(comparisons[0].contenders[0].ratio.is_none(), "nobody is compared with himself");
    }

    #[test]
    fn limits_come_first_and_home_made_ways_last() {
        let results = [
            rates("log.w1/home-mutex", [1.0; 3]),
            rates("log.w1/slow", [2.0; 3]),
            rates("log.w1/fast", [8.0; 3]),
            rates("log.w1/standpipe-async", [9.0; 3]),
            rates("log.w1/standpipe", [4.0; 3]),
            rates("log.w1/limit-pwrite", [16.0; 3]),
        ];
        let comparison = &comparisons(&results)[0];
        let order: Vec<_> = comparison.contenders.iter().map(|one| one.name).collect();
        assert_eq!(order, ["limit-pwrite", "standpipe", "standpipe-async", "fast", "slow", "home-mutex"]);
        let text = comparison.table().markdown();
        assert!(text.contains("standpipe is") && text.contains("0.50x"), "{text}");
    }

    #[test]
    fn ratios_are_of_rounds_and_not_of_medians() {
        // The machine was ten times as slow in the second round, for both.
        let results = [rates("a.b/standpipe", [100.0, 10.0, 101.0]), rates("a.b/x", [50.0, 5.0, 50.5])];
        let ratio = comparisons(&results)[0].contenders[1].ratio.expect("both have figures");
        assert!((ratio.low - 2.0).abs() < 1e-9 && (ratio.high - 2.0).abs() < 1e-9, "{ratio:?}");
        assert_eq!(ratio.told(), "2.00x");
    }

    #[test]
    fn who_failed_has_a_row_and_no_ratio() {
        let mut failed = measured("a.b/x", &[]);
        failed.notes.push("failed: wrong result".to_owned());
        let results = [rates("a.b/standpipe", [1.0; 3]), failed];
        let text = comparisons(&results)[0].table().markdown();
        assert!(text.contains("failed"), "{text}");
        // A failed standard leaves the others without a ratio.
        let results = [measured("a.b/standpipe", &[]), rates("a.b/x", [1.0; 3])];
        assert!(comparisons(&results)[0].contenders.iter().all(|one| one.ratio.is_none()));
    }
}
