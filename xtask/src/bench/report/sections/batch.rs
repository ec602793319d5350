use standpipe_harness::Kind;

use super::{Axis, Data, Line, Lines, Panel, Section, Spacing, log_axis, point, spacing};
use crate::bench::{
    record::Series,
    report::family::{Along, Member, gathered, members},
};

const ABOUT: &str = "What one row costs when more of them are handed over at once: what is paid for each batch is \
                     shared by its rows. Down is better; where the line is flat, a larger batch brings nothing.";

pub(super) fn section(data: &Data) -> Section {
    let members = members(data.results()).into_iter().filter(|member| member.along == Along::Batch);
    let members: Vec<_> = members.filter_map(|member| Some((cost(&member)?, member))).collect();
    let panels = gathered(members, |(_, member)| member.measured.group.clone());
    let panels = panels.into_iter().filter_map(|(group, members)| {
        let lines: Vec<_> = gathered(members, |(_, member)| member.family.clone())
            .into_iter()
            .map(|(family, members)| line(family.rsplit('.').next().unwrap_or_default().to_owned(), members))
            .collect();
        lines.iter().any(|line| line.points.len() > 1).then(|| panel(&group, lines))
    });
    Section::new("batches", "Cost by batch size", ABOUT, panels.collect())
        .or_else("No workload with several sizes of batches was measured", "cargo xtask bench run --full")
}

/// Microseconds a row: as it was measured, or from rows a second.
fn cost(member: &Member<'_>) -> Option<Series> {
    let counts_rows = |series: &&Series| {
        let what = series.unit.split('/').next().unwrap_or_default();
        series.kind == Kind::Throughput
            && series.unit.ends_with("/s")
            && (what == "rows" || what == "records")
    };
    let rate = member.measured.figures.iter().find(counts_rows)?;
    let mut cost = rate.clone();
    cost.values = rate.values.iter().map(|rate| 1e6 / rate).filter(|cost| cost.is_finite()).collect();
    "µs".clone_into(&mut cost.unit);
    (!cost.values.is_empty()).then_some(cost)
}

fn line(name: String, mut members: Vec<(Series, Member<'_>)>) -> Line {
    members.sort_by(|(_, one), (_, other)| one.at.total_cmp(&other.at));
    let points = members
        .iter()
        .filter_map(|(cost, member)| point(member.at, cost, &format!("{name}, batches of {}", member.at)));
    Line { points: points.collect(), name }
}

fn panel(group: &str, lines: Vec<Line>) -> Panel {
    let spacing = spacing(&lines);
    let label = match spacing {
        Spacing::Log => "time a row, logarithmic",
        Spacing::Linear => "time a row",
    };
    let y = Axis { label: label.to_owned(), unit: "µs".to_owned(), spacing, ticks: Vec::new() };
    let title = format!("{group}: time a row by batch size");
    let shares: Vec<_> = lines.iter().filter_map(share).collect();
    let about = if shares.is_empty() { String::new() } else { format!("{}.", shares.join("; ")) };
    Panel::of_lines(Lines { title, x: log_axis(Along::Batch.told(), &lines), y, lines }, about)
}

/// What is seen, in words.
fn share(line: &Line) -> Option<String> {
    let (first, last) = (line.points.first()?, line.points.last()?);
    let times = first.y / last.y;
    let (name, few, many) = (&line.name, first.x, last.x);
    (many > few && times.is_finite())
        .then(|| format!("{name}: a row in batches of {few} costs {times:.1} times one in batches of {many}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    #[test]
    fn the_cost_of_a_row_is_the_inverse_of_the_rate() {
        let measured = fixture::rate("buffer.batch.n10", 1e5);
        let all = [measured];
        let cost = cost(&members(&all)[0]).expect("it counts rows");
        assert_eq!(cost.unit, "µs");
        assert!((cost.values[1] - 10.0).abs() < 1e-9, "{:?}", cost.values);
        // Batches a second say nothing of a row.
        let other =
            [fixture::measured("a.n10", &[standpipe_harness::Figure::throughput(1.0, 1.0, "batches/s")])];
        assert!(super::cost(&members(&other)[0]).is_none());
    }
}
