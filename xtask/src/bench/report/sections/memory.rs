use standpipe_harness::Kind;

use super::{Data, Panel, Section, point};
use crate::bench::{
    judge::median,
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
    let panels = gathered(figures, |(_, series)| (series.name.clone(), series.unit.clone()));
    let panels = panels.into_iter().map(|((name, unit), figures)| {
        let bars = figures.iter().map(|(measured, series)| {
            let point = point(0.0, series, &measured.workload);
            let short = measured.workload.strip_prefix("memory.").unwrap_or(&measured.workload);
            Bar {
                name: short.to_owned(),
                value: point.as_ref().map(|point| point.y),
                ends: point.as_ref().and_then(|point| point.ends),
                says: units::value(median(&series.values), &series.unit),
                class: "ours",
                tip: point.map_or_else(String::new, |point| point.tip),
            }
        });
        let title = format!("{}: {unit}", name.replace('_', " "));
        let bars = Bars { title: title.clone(), label: unit.clone(), from: From::Zero, bars: bars.collect() };
        let rows: Vec<_> = figures
            .iter()
            .map(|(measured, series)| {
                let middle = median(&series.values);
                let (value, spread) = (units::value(middle, &unit), units::spread(&series.values, middle));
                vec![measured.workload.clone(), value, spread, measured.measures.clone()]
            })
            .collect();
        let numbers = table(&title, &["workload", "median", "spread", "measures"], 1, &rows);
        Panel { title, about: String::new(), svg: bars.svg(), numbers }
    });
    Section::new("memory", "Memory", ABOUT, panels.collect())
        .or_else("No workload of the group memory was measured", "cargo xtask bench run --group memory")
}
