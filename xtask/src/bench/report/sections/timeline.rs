use super::{Axis, Data, Line, Lines, Panel, Point, Section, Spacing, percentiles::titled};
use crate::bench::{
    record::Measured,
    report::family::{gathered, members},
    units,
};

const ABOUT: &str = "The 99th percentile of each tenth of a second of the last round. A peak that all lines share is \
                     the machine; one that comes back is a flush, a new segment or a checkpoint.";

/// Plots of a few families say it; the others' percentiles are above.
const PANELS_MAX: usize = 6;

pub(super) fn section(data: &Data) -> Section {
    let has_timeline = |one: &Measured| one.timeline.len() > 1;
    let members = members(data.results()).into_iter().filter(|member| has_timeline(member.measured));
    let mut families = gathered(members, |member| member.family.clone());
    // The whole before the parts.
    families.sort_by_key(|(family, _)| !family.starts_with("latency"));
    if families.first().is_some_and(|(family, _)| family.starts_with("latency")) {
        families.retain(|(family, _)| family.starts_with("latency"));
    }
    families.truncate(PANELS_MAX);
    let panels = families.into_iter().map(|(family, mut members)| {
        members.sort_by(|one, other| one.at.total_cmp(&other.at));
        let lines: Vec<_> =
            members.iter().map(|member| line(member.along.of(member.at), member.measured)).collect();
        panel(&family, lines)
    });
    Section::new("timeline", "Latency over time", ABOUT, panels.collect()).or_else(
        "No workload that keeps its latency over time was measured",
        "cargo xtask bench run --group latency",
    )
}

fn panel(family: &str, lines: Vec<Line>) -> Panel {
    let x = Axis {
        label: "seconds".to_owned(),
        unit: String::new(),
        spacing: Spacing::Linear,
        ticks: Vec::new(),
    };
    let y = Axis {
        label: "p99, logarithmic".to_owned(),
        unit: "µs".to_owned(),
        spacing: Spacing::Log,
        ticks: Vec::new(),
    };
    let title = format!("{}: p99 over time", titled(family));
    Panel::of_lines(Lines { title, x, y, lines }, String::new())
}

fn line(name: String, measured: &Measured) -> Line {
    let point = |second: &standpipe_harness::Second| Point {
        x: second.at_s,
        y: second.p99_us,
        ends: None,
        tip: format!(
            "{name}, {:.1} s: p99 {}, p50 {}, {} operations",
            second.at_s,
            units::value(second.p99_us, "µs"),
            units::value(second.p50_us, "µs"),
            second.operations
        ),
    };
    // A drawing has four hundred places from left to right; of more slices every so many are drawn.
    let step = measured.timeline.len().div_ceil(200).max(1);
    Line { points: measured.timeline.iter().step_by(step).map(point).collect(), name }
}
