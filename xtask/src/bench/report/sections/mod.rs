//! The parts of the page: each says what is seen, draws it, and has the numbers.

mod batch;
mod figures;
mod memory;
mod peers;
mod percentiles;
mod timeline;
mod trend;
mod writers;

use std::fmt::Write;

use super::{
    data::Data,
    html::{escaped, table},
    svg::{Axis, Line, Lines, Point, SERIES_MAX, Spacing},
};
use crate::bench::{judge::median, record::Series, units};

/// A part of the page.
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What the plots show and how to read them.
    about: &'static str,
    panels: Vec<Panel>,
    /// Said in place of plots, with the command that would give them.
    missing: Option<(String, &'static str)>,
}

/// A plot, and its numbers.
struct Panel {
    title: String,
    about: String,
    svg: String,
    numbers: String,
}

/// All parts, in the order of the page.
pub(super) fn all(data: &Data) -> Vec<Section> {
    vec![
        writers::section(data),
        percentiles::section(data),
        timeline::section(data),
        batch::section(data),
        memory::section(data),
        peers::section(data),
        trend::section(data),
    ]
}

/// The figures of everything, group by group.
pub(super) fn figures(data: &Data) -> String {
    figures::html(data)
}

impl Section {
    fn new(id: &'static str, title: &'static str, about: &'static str, panels: Vec<Panel>) -> Self {
        Section { id, title, about, panels, missing: None }
    }

    /// Says what is missing when there is no panel.
    fn or_else(mut self, why: impl Into<String>, command: &'static str) -> Self {
        self.missing = self.panels.is_empty().then(|| (why.into(), command));
        self
    }

    pub(super) fn html(&self) -> String {
        let Section { id, title, about, .. } = self;
        let mut text =
            format!("<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n<p>{about}</p>\n");
        if let Some((why, command)) = &self.missing {
            let why = escaped(why);
            let _ = writeln!(text, "<p class=\"missing\">{why}. This makes them: <code>{command}</code></p>");
        }
        text.push_str("<div class=\"panels\">\n");
        self.panels.iter().for_each(|panel| text.push_str(&panel.html()));
        text.push_str("</div>\n</section>\n");
        text
    }
}

impl Panel {
    fn html(&self) -> String {
        let Panel { title, about, svg, numbers } = self;
        let about = if about.is_empty() { String::new() } else { format!("<p>{}</p>", escaped(about)) };
        format!(
            "<figure>\n<figcaption><h3>{}</h3>{about}</figcaption>\n{svg}\n\
             <details><summary>The numbers</summary>{numbers}</details>\n</figure>\n",
            escaped(title),
        )
    }

    /// Lines, and a table with a row for each point.
    fn of_lines(lines: Lines, about: String) -> Self {
        let what = lines.y.label.trim_end_matches(LOGARITHMIC);
        let head = ["line", &lines.x.label, what, "least", "most"];
        let value = |value: f64| match lines.y.unit.as_str() {
            "" => units::value(value, ""),
            unit => units::value(value, unit),
        };
        let rows: Vec<Vec<String>> = lines
            .lines
            .iter()
            .flat_map(|line| line.points.iter().map(move |point| (line, point)))
            .map(|(line, point)| {
                let x = lines.x.ticks.iter().find(|(at, _)| *at == point.x);
                let x = x.map_or_else(|| units::value(point.x, &lines.x.unit), |(_, text)| text.clone());
                let (low, high) = point.ends.map_or_else(Default::default, |(l, h)| (value(l), value(h)));
                vec![line.name.clone(), x, value(point.y), low, high]
            })
            .collect();
        let has_ends = lines.lines.iter().flat_map(|line| &line.points).any(|point| point.ends.is_some());
        let columns = if has_ends { 5 } else { 3 };
        let rows: Vec<_> = rows.into_iter().map(|row| row[..columns].to_vec()).collect();
        let numbers = table(&lines.title, &head[..columns], 1, &rows);
        let more = lines.lines.len().saturating_sub(SERIES_MAX);
        let about = if more > 0 { format!("{about} The numbers have {more} more.") } else { about };
        Panel { title: lines.title.clone(), about, svg: lines.svg(), numbers }
    }
}

/// A point of the median of the rounds, with their ends.
fn point(x: f64, series: &Series, told: &str) -> Option<Point> {
    let y = Some(median(&series.values)).filter(|value| value.is_finite())?;
    let low = series.values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = series.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let ends = (series.values.len() > 1).then_some((low, high));
    let tip = match ends {
        Some((low, high)) => format!(
            "{told}: {} ({} to {})",
            units::value(y, &series.unit),
            units::value(low, &series.unit),
            units::value(high, &series.unit)
        ),
        None => format!("{told}: {}", units::value(y, &series.unit)),
    };
    Some(Point { x, y, ends, tip })
}

/// Even steps on a logarithm or from zero, whichever shows more: lines that differ by more than ten times need the
/// logarithm.
fn spacing(lines: &[Line]) -> Spacing {
    let values = lines.iter().flat_map(|line| &line.points).map(|point| point.y);
    let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), y| (low.min(y), high.max(y)));
    if low > 0.0 && high / low > 10.0 { Spacing::Log } else { Spacing::Linear }
}

/// Ticks at the values that were measured.
fn measured_ticks(lines: &[Line]) -> Vec<(f64, String)> {
    let mut values: Vec<f64> = lines.iter().flat_map(|line| &line.points).map(|point| point.x).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values.into_iter().map(|value| (value, units::value(value, ""))).collect()
}

const LOGARITHMIC: &str = ", logarithmic";

/// Where a logarithm is, and where none, has to be said.
fn labelled(label: &str, spacing: Spacing) -> String {
    match spacing {
        Spacing::Log => format!("{label}{LOGARITHMIC}"),
        Spacing::Linear => label.to_owned(),
    }
}

fn log_axis(label: &str, lines: &[Line]) -> Axis {
    let ticks = measured_ticks(lines);
    Axis { label: label.to_owned(), unit: String::new(), spacing: Spacing::Log, ticks }
}
