use standpipe_harness::Kind;

use super::{Data, Panel, Section, point};
use crate::bench::{
    judge::median,
    record::{Measured, Series},
    report::{
        family::gathered,
        html::table,
        svg::{Bar, Bars, From},
    },
    units,
};

const ABOUT: &str = "What is held, and what is asked of the allocator, for the same work. Shorter is better; the \
                     strokes reach from the least round to the most.";

pub(super) fn section(data: &Data) -> Section {
    let figures =
        data.results().iter().flat_map(|measured| measured.figures.iter().map(move |one| (measured, one)));
    let figures = figures.filter(|(_, series)| series.kind == Kind::Memory && !series.values.is_empty());
    let panels = gathered(figures, |(_, series)| series.unit.clone());
    let panels = panels.into_iter().map(|(unit, figures)| {
        let bars = figures.iter().map(|(measured, series)| bar(measured, series)).collect();
        let title = format!("Memory, {unit}");
        let (label, base) = (unit.clone(), String::new());
        let svg = Bars { title: title.clone(), label, from: From::Zero, base, bars }.svg();
        let rows: Vec<_> = figures
            .iter()
            .map(|(measured, series)| {
                let middle = median(&series.values);
                let (value, spread) = (units::value(middle, &unit), units::spread(&series.values, middle));
                let names = [&measured.workload, &series.name].map(Clone::clone);
                [&names[..], &[value, spread, measured.measures.clone()]].concat()
            })
            .collect();
        let numbers = table(&title, &["workload", "figure", "median", "spread", "measures"], 2, &rows);
        Panel { title, about: String::new(), svg, numbers }
    });
    Section::new("memory", "Memory", ABOUT, panels.collect())
        .or_else("No workload of the group memory was measured", "cargo xtask bench run --group memory")
}

fn bar(measured: &Measured, series: &Series) -> Bar {
    let point = point(0.0, series, &measured.workload);
    // One figure needs no name beside its workload's.
    let is_only = measured
        .figures
        .iter()
        .filter(|other| other.unit == series.unit && other.kind == Kind::Memory)
        .count()
        == 1;
    let short = measured.workload.strip_prefix("memory.").unwrap_or(&measured.workload);
    Bar {
        name: if is_only { short.to_owned() } else { format!("{short}: {}", series.name.replace('_', " ")) },
        value: point.as_ref().map(|point| point.y),
        ends: point.as_ref().and_then(|point| point.ends),
        says: units::value(median(&series.values), &series.unit)
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned(),
        class: "ours",
        is_open: false,
        tip: point.map_or_else(String::new, |point| point.tip),
    }
}
