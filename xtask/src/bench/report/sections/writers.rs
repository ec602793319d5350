use super::{Axis, Data, Line, Lines, Panel, Section, labelled, log_axis, point, spacing};
use crate::bench::{
    report::family::{Along, Member, gathered, members},
    units,
};

const ABOUT: &str = "What is done in a second when more do it at the same time. Up is better; a flat line says that \
                     more writers bring nothing. Dots are medians of the rounds, upright strokes reach from the \
                     slowest round to the fastest.";

/// Throughput against writers: families that have at least two numbers of them.
pub(super) fn section(data: &Data) -> Section {
    let members = members(data.results()).into_iter().filter(|member| {
        // A latency workload is given its rate.
        matches!(member.along, Along::Writers | Along::Tasks)
            && member.measured.group != "latency"
            && member.measured.series("throughput").is_some()
    });
    let panels = gathered(members, |member| (panel_of(member), member.along, unit(member)));
    let panels = panels.into_iter().filter_map(|((title, along, unit), members)| {
        let lines: Vec<Line> =
            gathered(members, line_of).into_iter().map(|(name, members)| line(name, members)).collect();
        // A point alone is no line against anything.
        lines.iter().any(|line| line.points.len() > 1).then(|| panel(&title, along, &unit, lines))
    });
    Section::new("writers", "Throughput against writers", ABOUT, panels.collect())
        .or_else("No workload with several numbers of writers was measured", "cargo xtask bench run --full")
}

fn panel(title: &str, along: Along, unit: &str, lines: Vec<Line>) -> Panel {
    let spacing = spacing(&lines);
    let y = Axis { label: labelled(unit, spacing), unit: String::new(), spacing, ticks: Vec::new() };
    let title = format!("{title}: {unit} against {}", along.told());
    let gains: Vec<_> = lines.iter().filter_map(|line| gain(along, line)).collect();
    let about = if gains.is_empty() { String::new() } else { format!("{}.", gains.join("; ")) };
    Panel::of_lines(Lines { title, x: log_axis(along.told(), &lines), y, lines }, about)
}

/// What is seen, in words.
fn gain(along: Along, line: &Line) -> Option<String> {
    let (first, last) = (line.points.first()?, line.points.last()?);
    let times = last.y / first.y;
    let (name, many, few) = (&line.name, along.of(last.x), along.of(first.x));
    (last.x > first.x && times.is_finite())
        .then(|| format!("{name}: {many} do {} times the work of {few}", units::factor(times)))
}

fn line(name: String, mut members: Vec<Member<'_>>) -> Line {
    members.sort_by(|one, other| one.at.total_cmp(&other.at));
    let points = members.iter().filter_map(|member| {
        point(
            member.at,
            member.measured.series("throughput")?,
            &format!("{name}, {}", member.along.of(member.at)),
        )
    });
    Line { points: points.collect(), name }
}

/// Of four parts and more, as in `log.group.1k.w8`, the one before the number says how large the work is: lines of
/// one size are held against each other.
fn panel_of(member: &Member<'_>) -> String {
    let parts: Vec<_> = member.family.split('.').collect();
    match parts[..] {
        [group, .., _, size] => format!("{group}, {size}"),
        _ => member.measured.group.clone(),
    }
}

fn line_of(member: &Member<'_>) -> String {
    let parts: Vec<_> = member.family.split('.').collect();
    match parts[..] {
        [_, ref middle @ .., _] if !middle.is_empty() => middle.join("."),
        [.., last] => last.to_owned(),
        [] => member.family.clone(),
    }
}

fn unit(member: &Member<'_>) -> String {
    member.measured.series("throughput").map_or_else(String::new, |series| series.unit.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    #[test]
    fn lines_of_one_size_share_a_panel_and_a_point_alone_makes_none() {
        let results = vec![
            fixture::rate("log.group.1k.w1", 1e4),
            fixture::rate("log.group.1k.w8", 5e4),
            fixture::rate("log.os.1k.w1", 2e5),
            fixture::rate("log.group.64k.w8", 1e3),
            fixture::rate("contention.w2", 10.0),
            fixture::rate("contention.w4", 19.0),
        ];
        let section = section(&Data::of(Some(fixture::record(results)), None));
        let titles: Vec<_> = section.panels.iter().map(|panel| panel.title.as_str()).collect();
        assert_eq!(titles, ["log, 1k: rows/s against writers", "contention: rows/s against writers"]);
        assert!(section.panels[0].numbers.contains("os"));
    }

    #[test]
    fn what_was_not_measured_is_said() {
        let text = section(&Data::of(None, None)).html();
        assert!(text.contains("cargo xtask bench run --full"), "{text}");
    }
}
