use super::{Drawing, WIDTH, letters, scale::Scale, scale::Spacing, shortened};
use crate::bench::units;

/// More lines than this nobody tells apart.
pub(in crate::bench::report) const SERIES_MAX: usize = 8;

const HEIGHT: f64 = 250.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 40.0;
/// Between two labels, from middle to middle.
const LABEL: f64 = 13.0;
const MARKS_MAX: usize = 16;
const LABEL_LETTERS: usize = 19;

/// Lines with their names at their ends.
pub(in crate::bench::report) struct Lines {
    pub(in crate::bench::report) title: String,
    /// What is along the bottom.
    pub(in crate::bench::report) x: Axis,
    /// What is along the side.
    pub(in crate::bench::report) y: Axis,
    /// At most [`SERIES_MAX`] are drawn.
    pub(in crate::bench::report) lines: Vec<Line>,
}

/// What an axis shows.
pub(in crate::bench::report) struct Axis {
    pub(in crate::bench::report) label: String,
    /// Written behind the values of the ticks.
    pub(in crate::bench::report) unit: String,
    pub(in crate::bench::report) spacing: Spacing,
    /// Where ticks are, and what they say; round values when there are none.
    pub(in crate::bench::report) ticks: Vec<(f64, String)>,
}

/// One line.
pub(in crate::bench::report) struct Line {
    pub(in crate::bench::report) name: String,
    pub(in crate::bench::report) points: Vec<Point>,
}

/// One of its points.
pub(in crate::bench::report) struct Point {
    pub(in crate::bench::report) x: f64,
    pub(in crate::bench::report) y: f64,
    /// The least and the most of the rounds.
    pub(in crate::bench::report) ends: Option<(f64, f64)>,
    /// What it says when it is pointed at.
    pub(in crate::bench::report) tip: String,
}

impl Lines {
    /// Draws them.
    pub(in crate::bench::report) fn svg(&self) -> String {
        let lines: Vec<&Line> = self.lines.iter().take(SERIES_MAX).collect();
        let points = || lines.iter().flat_map(|line| &line.points);
        let height = |point: &Point| {
            let (low, high) = point.ends.unwrap_or((point.y, point.y));
            [point.y, low, high]
        };
        let y = Scale::around(points().flat_map(height), self.y.spacing, HEIGHT - BOTTOM, TOP);
        let y_ticks = self.y.ticks_on(&y, 6);
        let widest = |texts: &mut dyn Iterator<Item = &str>| texts.map(letters).fold(0.0, f64::max);
        let left = 12.0 + widest(&mut y_ticks.iter().map(|(_, text)| text.as_str()));
        let names: Vec<_> = lines.iter().map(|line| shortened(&line.name, LABEL_LETTERS)).collect();
        let right = WIDTH - 20.0 - widest(&mut names.iter().map(String::as_str));
        let x = Scale::around(points().map(|point| point.x), self.x.spacing, left + 2.0, right - 2.0);

        let mut drawing = Drawing::new(HEIGHT);
        drawing.text("axis-name", "start", (4.0, 9.0), &self.y.label);
        for (value, text) in &y_ticks {
            let at = y.at(*value);
            drawing.line("grid", (left, at), (right, at));
            drawing.text("tick", "end", (left - 5.0, at), text);
        }
        drawing.line("axis", (left, HEIGHT - BOTTOM), (right, HEIGHT - BOTTOM));
        let mut free_from = f64::NEG_INFINITY;
        for (value, text) in self.x.ticks_on(&x, 6) {
            let (at, half) = (x.at(value), letters(&text) / 2.0);
            drawing.line("axis", (at, HEIGHT - BOTTOM), (at, HEIGHT - BOTTOM + 4.0));
            // A label that would touch the one before is left out; its tick stays.
            if at - half >= free_from {
                drawing.text("tick", "middle", (at, HEIGHT - BOTTOM + 13.0), &text);
                free_from = at + half + 5.0;
            }
        }
        drawing.text("axis-name", "middle", (f64::midpoint(left, right), HEIGHT - 8.0), &self.x.label);

        for (index, line) in lines.iter().enumerate() {
            let places: Vec<_> = line.points.iter().map(|point| (x.at(point.x), y.at(point.y))).collect();
            for (point, (at, _)) in line.points.iter().zip(&places) {
                if let Some((low, high)) = point.ends {
                    drawing.line(&format!("whisker c{index}"), (*at, y.at(low)), (*at, y.at(high)));
                }
            }
            drawing.path(&format!("line c{index}"), &places);
            // More marks than this would hide their line; what they say is there all the same.
            let step = line.points.len().div_ceil(MARKS_MAX).max(1);
            for (number, (point, place)) in line.points.iter().zip(&places).enumerate() {
                if number % step == 0 {
                    drawing.mark(index, *place, Some(&point.tip));
                } else {
                    drawing.reach(*place, &point.tip);
                }
            }
        }
        let ends: Vec<f64> =
            lines.iter().map(|line| line.points.last().map_or(TOP, |point| y.at(point.y))).collect();
        for (index, place) in spread(&ends, TOP - 6.0, HEIGHT - BOTTOM).into_iter().enumerate() {
            drawing.mark(index, (right + 10.0, place), None);
            drawing.text("name", "start", (right + 17.0, place), &names[index]);
        }
        drawing.finish(&self.title, &format!("{} against {}; the numbers follow", self.y.label, self.x.label))
    }
}

impl Axis {
    fn ticks_on(&self, scale: &Scale, wanted: usize) -> Vec<(f64, String)> {
        if !self.ticks.is_empty() {
            return self.ticks.clone();
        }
        scale.ticks(wanted).into_iter().map(|value| (value, tick(value, &self.unit))).collect()
    }
}

/// A round value, as short as can be: `5k`, `0.2`, `100 µs`.
fn tick(value: f64, unit: &str) -> String {
    let (value, unit) = match (unit, value.abs()) {
        ("", size) if size >= 1e9 => (format!("{:.2}", value / 1e9), "G"),
        ("", size) if size >= 1e6 => (format!("{:.2}", value / 1e6), "M"),
        ("", size) if size >= 1e3 => (format!("{:.2}", value / 1e3), "k"),
        ("", size) if size >= 0.1 || size == 0.0 => (format!("{value:.2}"), ""),
        ("", _) => (format!("{value:.4}"), ""),
        _ => {
            let text = units::value(value, unit);
            let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
            return format!("{} {unit}", trimmed(number)).trim_end().to_owned();
        }
    };
    format!("{}{unit}", trimmed(&value))
}

/// Without the zeros that say nothing.
fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// Moves labels apart that would lie upon each other, as little as it takes, within `top` and `bottom`.
fn spread(wanted: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut places = wanted.to_vec();
    let mut least = top;
    for &index in &order {
        places[index] = places[index].max(least);
        least = places[index] + LABEL;
    }
    let mut most = bottom;
    for &index in order.iter().rev() {
        places[index] = places[index].min(most);
        most = places[index] - LABEL;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: Vec<Line>) -> Lines {
        let axis = |label: &str| Axis {
            label: label.to_owned(),
            unit: String::new(),
            spacing: Spacing::Log,
            ticks: Vec::new(),
        };
        Lines { title: "T".to_owned(), x: axis("writers"), y: axis("rows/s"), lines }
    }

    fn line(name: &str, points: &[(f64, f64)]) -> Line {
        let point = |(x, y): &(f64, f64)| Point { x: *x, y: *y, ends: None, tip: "tip".to_owned() };
        Line { name: name.to_owned(), points: points.iter().map(point).collect() }
    }

    #[test]
    fn a_point_alone_and_nothing_at_all_are_drawn() {
        for drawn in [
            lines(vec![]).svg(),
            lines(vec![line("empty", &[])]).svg(),
            lines(vec![line("one", &[(1.0, 5.0)])]).svg(),
            lines(vec![line("zero", &[(0.0, 0.0), (f64::NAN, f64::INFINITY)])]).svg(),
        ] {
            assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
            assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>"), "{drawn}");
        }
    }

    #[test]
    fn a_hostile_name_stays_a_text() {
        let drawn = lines(vec![line("</text><script>x", &[(1.0, 1.0)])]).svg();
        assert!(!drawn.contains("<script>") && drawn.contains("&lt;/text&gt;"), "{drawn}");
    }

    #[test]
    fn ticks_have_no_digits_that_say_nothing() {
        let told =
            [(5000.0, ""), (1.2e6, ""), (0.0, ""), (0.05, ""), (100.0, "µs"), (2500.0, "µs"), (0.2, "µs")];
        let told = told.map(|(value, unit)| tick(value, unit));
        assert_eq!(told, ["5k", "1.2M", "0", "0.05", "100 µs", "2.5 ms", "200 ns"]);
    }

    #[test]
    fn labels_do_not_lie_upon_each_other() {
        let places = spread(&[50.0, 51.0, 49.0, 240.0], 20.0, 210.0);
        for (index, one) in places.iter().enumerate() {
            assert!((20.0..=210.0).contains(one), "{places:?}");
            assert!(
                places.iter().skip(index + 1).all(|other| (one - other).abs() > LABEL - 0.01),
                "{places:?}"
            );
        }
        assert!(places[2] < places[0] && places[0] < places[1], "their order is kept: {places:?}");
    }
}
