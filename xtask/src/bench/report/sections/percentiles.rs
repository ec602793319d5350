use super::{Axis, Data, Line, Lines, Panel, SERIES_MAX, Section, Spacing, point};
use crate::bench::{
    record::Measured,
    report::family::{Member, gathered, members},
};

const ABOUT: &str = "How long operations took: half of them less than p50, 95 of 100 less than p95, and so on to the \
                     slowest of all. Down is better. Each latency counts from the moment at which the operation was \
                     meant to start, so that waiting behind a slow one counts. p99 and beyond are a few operations \
                     of a short run: they say what can happen, not how often.";

const PERCENTILES: [&str; 5] = ["p50", "p95", "p99", "p99.9", "max"];

pub(super) fn section(data: &Data) -> Section {
    let results = data.results();
    let has_percentiles = |one: &&Measured| one.series("p50").is_some() && one.series("p99").is_some();
    let members: Vec<_> =
        members(results).into_iter().filter(|member| has_percentiles(&member.measured)).collect();
    let alone = results.iter().filter(has_percentiles);
    let alone = alone.filter(|one| !members.iter().any(|member| member.measured.workload == one.workload));
    let (latency, others): (Vec<_>, Vec<_>) =
        members.iter().partition(|member| member.measured.group == "latency");

    let mut families = families(latency);
    // What the parts of the whole take.
    for (group, results) in gathered(alone, |one| one.group.as_str()) {
        let named = |one: &&Measured| line(without_group(&one.workload).to_owned(), one);
        let lines = results.iter().map(named).collect();
        families.push(Family { title: group.to_owned(), first: results[0].workload.clone(), lines });
    }
    families.extend(self::families(others));
    let (pairs, alone): (Vec<_>, Vec<_>) = families.into_iter().partition(|family| family.lines.len() > 1);
    let mut panels: Vec<_> = pairs.into_iter().map(|family| panel(&family.title, family.lines)).collect();
    // A panel for each line by itself would be a long page of nothing to compare.
    let mut alone = alone.into_iter().flat_map(|family| {
        family.lines.into_iter().map(move |line| Line { name: family.first.clone(), ..line })
    });
    loop {
        let lines: Vec<_> = alone.by_ref().take(ALONE_MAX).collect();
        if lines.is_empty() {
            break;
        }
        panels.push(panel("Others", lines));
    }
    Section::new("latency", "Latency percentiles", ABOUT, panels)
        .or_else("No workload with percentiles was measured", "cargo xtask bench run --group latency")
}

/// Lines that share a panel and nothing else.
const ALONE_MAX: usize = SERIES_MAX;

/// Lines that are held against each other.
struct Family {
    title: String,
    /// The first workload's name.
    first: String,
    lines: Vec<Line>,
}

fn families(members: Vec<&Member<'_>>) -> Vec<Family> {
    let families = gathered(members, |member| member.family.clone());
    let lines = families.into_iter().map(|(family, mut members)| {
        members.sort_by(|one, other| one.at.total_cmp(&other.at));
        let lines = members.iter().map(|member| line(member.along.of(member.at), member.measured)).collect();
        let first = members.first().map_or_else(String::new, |member| member.measured.workload.clone());
        Family { title: titled(&family), first, lines }
    });
    lines.collect()
}

/// What a family of names is called on the page.
pub(super) fn titled(family: &str) -> String {
    match family {
        "latency.durable" => "From write to durable".to_owned(),
        "latency.applied" => "From write to applied".to_owned(),
        family => family.replace('.', ", "),
    }
}

fn panel(title: &str, lines: Vec<Line>) -> Panel {
    let ticks = PERCENTILES.iter().enumerate().map(|(index, name)| (index as f64, (*name).to_owned()));
    let x = Axis {
        label: "percentile".to_owned(),
        unit: String::new(),
        spacing: Spacing::Linear,
        ticks: ticks.collect(),
    };
    let y = Axis {
        label: "latency, logarithmic".to_owned(),
        unit: "µs".to_owned(),
        spacing: Spacing::Log,
        ticks: Vec::new(),
    };
    Panel::of_lines(Lines { title: format!("{title}: latency"), x, y, lines }, String::new())
}

fn line(name: String, measured: &Measured) -> Line {
    let points = PERCENTILES.iter().enumerate().filter_map(|(index, percentile)| {
        let series = measured.series(percentile).filter(|series| series.unit == "µs")?;
        point(index as f64, series, &format!("{name}, {percentile}"))
    });
    Line { points: points.collect(), name }
}

fn without_group(workload: &str) -> &str {
    workload.split_once('.').map_or(workload, |(_, rest)| rest)
}
