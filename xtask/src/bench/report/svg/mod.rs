//! Plots as SVG that a page takes its colours from: marks have classes and no colours, so that one drawing serves a
//! light page and a dark one. Why not a crate: `docs/decisions/0004-report-plots.md`.

mod bars;
mod lines;
mod scale;

use std::fmt::Write;

pub(super) use bars::{Bar, Bars, From};
pub(super) use lines::{Axis, Line, Lines, Point, SERIES_MAX};
pub(super) use scale::Spacing;

use super::html::escaped;

/// How wide every drawing is, in its own units: a phone shows it one to one.
const WIDTH: f64 = 400.0;
/// How wide a letter of a label is, about.
const LETTER: f64 = 6.6;

/// Shapes and texts of one plot.
struct Drawing {
    body: String,
    height: f64,
}

impl Drawing {
    fn new(height: f64) -> Self {
        Drawing { body: String::new(), height }
    }

    /// Two digits behind the point are finer than any screen.
    fn put(&mut self, arguments: std::fmt::Arguments<'_>) {
        // Writing to a String can't fail.
        let _ = self.body.write_fmt(arguments);
        self.body.push('\n');
    }

    fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.put(format_args!(
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        ));
    }

    fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.put(format_args!(r#"<polyline class="{class}" points="{}"/>"#, points.join(" ")));
    }

    /// `anchor` is `start`, `middle` or `end`; `y` is the middle of the letters.
    fn text(&mut self, class: &str, anchor: &str, (x, y): (f64, f64), text: &str) {
        let (y, text) = (y + 3.8, escaped(text));
        self.put(format_args!(
            r#"<text class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{text}</text>"#
        ));
    }

    fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64), tip: &str) {
        let tip = escaped(tip);
        self.put(format_args!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="1.5"><title>{tip}</title></rect>"#
        ));
    }

    /// A mark whose shape tells its series too: colour alone would not do for everybody.
    fn mark(&mut self, series: usize, (x, y): (f64, f64), tip: Option<&str>) {
        const SIZE: f64 = 3.4;
        let series = series % SERIES_MAX;
        let shape = match series % 4 {
            0 => format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="{SIZE}"/>"#),
            1 => {
                let (left, top, side) = (x - SIZE * 0.9, y - SIZE * 0.9, SIZE * 1.8);
                format!(r#"<rect x="{left:.1}" y="{top:.1}" width="{side:.1}" height="{side:.1}"/>"#)
            }
            2 => polygon(&[
                (x, y - SIZE * 1.2),
                (x + SIZE * 1.1, y + SIZE * 0.8),
                (x - SIZE * 1.1, y + SIZE * 0.8),
            ]),
            _ => {
                polygon(&[(x, y - SIZE * 1.3), (x + SIZE * 1.3, y), (x, y + SIZE * 1.3), (x - SIZE * 1.3, y)])
            }
        };
        if let Some(tip) = tip {
            self.reach((x, y), tip);
        }
        self.put(format_args!(r#"<g class="mark c{series}">{shape}</g>"#));
    }

    /// A place that says something when it is pointed at. A finger and a pointer need more room than an eye.
    fn reach(&mut self, (x, y): (f64, f64), tip: &str) {
        let tip = escaped(tip);
        self.put(format_args!(
            r#"<circle class="reach" cx="{x:.1}" cy="{y:.1}" r="8"><title>{tip}</title></circle>"#
        ));
    }

    /// The whole element; `title` and `about` are for those who hear the page.
    fn finish(self, title: &str, about: &str) -> String {
        let Drawing { body, height } = self;
        let label = escaped(&format!("{title}. {about}"));
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{label}\" xmlns=\"http://www.w3.org/2000/svg\">\n{body}</svg>"
        )
    }
}

fn polygon(points: &[(f64, f64)]) -> String {
    let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    format!(r#"<polygon points="{}"/>"#, points.join(" "))
}

/// At most so many letters; what is cut is in the table below the plot.
fn shortened(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    text.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}

fn letters(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}
