use super::{Axis, Data, Line, Lines, Panel, Section, Spacing, point};
use crate::bench::{
    record::Measured,
    report::family::{Along, Member, gathered, members},
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

    let mut panels = families(latency);
    // What the parts of the whole take.
    for (group, results) in gathered(alone, |one| one.group.as_str()) {
        for (part, results) in gathered(results, |one| middle_of(&one.workload)) {
            let title = if part.is_empty() { group.to_owned() } else { format!("{group}, {part}") };
            let lines: Vec<_> =
                results.iter().map(|one| line(last_of(&one.workload).to_owned(), one)).collect();
            panels.push(panel(&title, lines));
        }
    }
    panels.extend(families(others));
    Section::new("latency", "Latency percentiles", ABOUT, panels)
        .or_else("No workload with percentiles was measured", "cargo xtask bench run --group latency")
}

fn families(members: Vec<&Member<'_>>) -> Vec<Panel> {
    let families = gathered(members, |member| member.family.clone());
    let panels = families.into_iter().map(|(family, mut members)| {
        members.sort_by(|one, other| one.at.total_cmp(&other.at));
        let along = members.first().map_or(Along::Writers, |member| member.along);
        let lines: Vec<_> = members.iter().map(|member| line(along.of(member.at), member.measured)).collect();
        panel(&family.replace('.', ", "), lines)
    });
    panels.collect()
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

fn middle_of(workload: &str) -> String {
    let parts: Vec<_> = workload.split('.').collect();
    if parts.len() > 2 { parts[1..parts.len() - 1].join(".") } else { String::new() }
}

fn last_of(workload: &str) -> &str {
    workload.rsplit('.').next().unwrap_or(workload)
}
