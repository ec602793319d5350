use standpipe_harness::{Better, Kind};

use super::{Axis, Data, Line, Lines, Panel, Point, Section, Spacing};
use crate::bench::{
    date,
    judge::median,
    record::Record,
    report::{family::gathered, html::table},
};

const ABOUT: &str = "How fast each group is against the oldest baseline: the geometric mean over its judged \
                     throughputs and latencies. Above 1 is faster. Baselines of other days or machines differ by more than \
                     the code does: this shows a direction, and <code>bench ab</code> tells whether a change is real.";

pub(super) fn section(data: &Data) -> Section {
    let mut records: Vec<(String, &Record)> =
        data.baselines.iter().map(|(name, record)| (name.clone(), record)).collect();
    records.sort_by_key(|(_, record)| record.made_at_s);
    // Another machine is another scale.
    let newest = records.last().map(|(_, record)| (record.machine.cpu.clone(), record.machine.cores));
    records.retain(|(_, one)| {
        newest.as_ref().is_some_and(|(cpu, cores)| *cpu == one.machine.cpu && *cores == one.machine.cores)
    });
    let why = match records.len() {
        0 => "There is no baseline",
        _ => "There is one baseline, and a trend needs two of one machine",
    };
    let panels = if records.len() < 2 { Vec::new() } else { vec![panel(&records)] };
    Section::new("trend", "Trend over saved baselines", ABOUT, panels)
        .or_else(why, "cargo xtask bench baseline NAME")
}

fn panel(records: &[(String, &Record)]) -> Panel {
    let (_, first) = &records[0];
    let groups = gathered(first.results.iter(), |one| one.group.clone());
    let lines = groups.into_iter().filter_map(|(group, _)| {
        let points = records.iter().enumerate().filter_map(|(index, (name, record))| {
            let speed = speed(first, record, &group)?;
            Some(Point { x: index as f64, y: speed, ends: None, tip: format!("{group}, {name}: {speed:.2}") })
        });
        let points: Vec<_> = points.collect();
        (points.len() > 1).then_some(Line { name: group, points })
    });
    let mut lines: Vec<Line> = lines.collect();
    // Those that changed most, for there are more groups than anybody tells apart.
    let change = |line: &Line| line.points.last().map_or(0.0, |point| point.y.ln().abs());
    lines.sort_by(|one, other| change(other).total_cmp(&change(one)));
    let numbers = numbers(records, &lines);
    let ticks = records.iter().enumerate().map(|(index, (name, _))| (index as f64, name.clone())).collect();
    let x = Axis {
        label: "baseline, oldest first".to_owned(),
        unit: String::new(),
        spacing: Spacing::Linear,
        ticks,
    };
    let y = Axis {
        label: "speed against the oldest, logarithmic".to_owned(),
        unit: String::new(),
        spacing: Spacing::Log,
        ticks: Vec::new(),
    };
    let made = records.iter().map(|(name, record)| format!("{name}: {}", date::told(record.made_at_s)));
    let mut about = format!("{}.", made.collect::<Vec<_>>().join("; "));
    if lines.len() > DRAWN_MAX {
        about.push_str(&format!(" The {DRAWN_MAX} that changed most are drawn; the numbers have all."));
        lines.truncate(DRAWN_MAX);
    }
    let title = format!("{} baselines: speed of each group", records.len());
    Panel { numbers, ..Panel::of_lines(Lines { title, x, y, lines }, about) }
}

const DRAWN_MAX: usize = 6;

/// A row for each group, a column for each baseline.
fn numbers(records: &[(String, &Record)], lines: &[Line]) -> String {
    let head: Vec<&str> =
        ["group"].into_iter().chain(records.iter().map(|(name, _)| name.as_str())).collect();
    let rows = lines.iter().map(|line| {
        let at = |index: usize| line.points.iter().find(|point| point.x == index as f64);
        let cells =
            (0..records.len()).map(|index| at(index).map_or_else(String::new, |one| format!("{:.2}", one.y)));
        [line.name.clone()].into_iter().chain(cells).collect()
    });
    table("Speed against the oldest baseline", &head, 1, &rows.collect::<Vec<Vec<String>>>())
}

/// How often as fast, over what both records measured.
fn speed(first: &Record, record: &Record, group: &str) -> Option<f64> {
    let mut logs = Vec::new();
    for base in first.results.iter().filter(|one| one.group == group) {
        let same = |one: &&crate::bench::record::Measured| {
            one.workload == base.workload && one.revision == base.revision
        };
        let Some(now) = record.results.iter().find(same) else { continue };
        for series in base.figures.iter().filter(|s| matches!(s.kind, Kind::Throughput | Kind::Latency)) {
            let Some(other) = now.series(&series.name) else { continue };
            let ratio = median(&other.values) / median(&series.values);
            let ratio = if series.better == Better::Higher { ratio } else { 1.0 / ratio };
            logs.extend(Some(ratio.ln()).filter(|log| log.is_finite()));
        }
    }
    (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    #[test]
    fn faster_is_above_one_whichever_way_is_better() {
        let first = fixture::record(vec![fixture::rate("a.x", 100.0), fixture::latency("b.y", 10.0)]);
        let second = fixture::record(vec![fixture::rate("a.x", 200.0), fixture::latency("b.y", 5.0)]);
        let close = |found: Option<f64>| found.is_some_and(|speed| (speed - 2.0).abs() < 1e-6);
        assert!(close(speed(&first, &second, "a")) && close(speed(&first, &second, "b")));
        assert_eq!(speed(&first, &second, "c"), None);
    }

    #[test]
    fn one_baseline_is_no_trend() {
        let mut data = Data::of(None, None);
        data.baselines.push(("main".to_owned(), fixture::record(vec![fixture::rate("a.x", 1.0)])));
        assert!(section(&data).html().contains("needs two"));
        data.baselines.push(("next".to_owned(), fixture::record(vec![fixture::rate("a.x", 2.0)])));
        assert_eq!(section(&data).panels.len(), 1);
    }
}
