use super::{Drawing, WIDTH, letters, scale::Scale, scale::Spacing, shortened};

const ROW: f64 = 22.0;
const TOP: f64 = 22.0;
const BAR: f64 = 12.0;
const NAME_LETTERS: usize = 24;

/// Bars that lie, each with its name before it and its value behind.
pub(in crate::bench::report) struct Bars {
    pub(in crate::bench::report) title: String,
    /// What the values are.
    pub(in crate::bench::report) label: String,
    pub(in crate::bench::report) from: From,
    /// What is said where they begin.
    pub(in crate::bench::report) base: String,
    pub(in crate::bench::report) bars: Vec<Bar>,
}

/// Where bars begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench::report) enum From {
    /// At nothing.
    Zero,
    /// At one: a ratio. Twice and half are as far from it.
    One,
}

/// One of them.
pub(in crate::bench::report) struct Bar {
    pub(in crate::bench::report) name: String,
    /// None where nothing was measured.
    pub(in crate::bench::report) value: Option<f64>,
    pub(in crate::bench::report) ends: Option<(f64, f64)>,
    /// The value as people read it, or why there is none.
    pub(in crate::bench::report) says: String,
    /// A class of the page's style.
    pub(in crate::bench::report) class: &'static str,
    /// The interval says nothing either way: the bar is pale.
    pub(in crate::bench::report) is_open: bool,
    pub(in crate::bench::report) tip: String,
}

impl Bars {
    /// Draws them.
    pub(in crate::bench::report) fn svg(&self) -> String {
        let names: Vec<_> = self.bars.iter().map(|bar| shortened(&bar.name, NAME_LETTERS)).collect();
        let widest = |texts: &mut dyn Iterator<Item = &str>| texts.map(letters).fold(0.0, f64::max);
        let left = 10.0 + widest(&mut names.iter().map(String::as_str));
        let says = 8.0 + widest(&mut self.bars.iter().map(|bar| bar.says.as_str()));
        let bottom = TOP + ROW * self.bars.len() as f64;
        let (base, spacing) = match self.from {
            From::Zero => (0.0, Spacing::Linear),
            From::One => (1.0, Spacing::Log),
        };
        let ends = |bar: &Bar| bar.ends.or(bar.value.map(|value| (value, value)));
        let has_less = self.bars.iter().filter_map(|bar| bar.value).any(|value| value < base);
        let values = self.bars.iter().filter_map(ends).flat_map(|(low, high)| [low, high]).chain([base]);
        let scale =
            Scale::around(values, spacing, left + if has_less { says } else { 4.0 }, WIDTH - says - 2.0);

        let mut drawing = Drawing::new(bottom + 20.0);
        drawing.text("axis-name", "start", (4.0, 9.0), &self.label);
        drawing.line("axis", (scale.at(base), TOP), (scale.at(base), bottom));
        drawing.text("tick", "middle", (scale.at(base), bottom + 10.0), &self.base);
        for (index, bar) in self.bars.iter().enumerate() {
            let middle = TOP + ROW * (index as f64 + 0.5);
            drawing.text("name", "end", (left - 4.0, middle), &names[index]);
            let Some(value) = bar.value else {
                drawing.text("absent", "start", (scale.at(base) + 6.0, middle), &bar.says);
                continue;
            };
            let (start, end) = (scale.at(base), scale.at(value));
            let (from, width) = (start.min(end), (end - start).abs().max(1.0));
            let class = format!("bar {}{}", bar.class, if bar.is_open { " open" } else { "" });
            drawing.rect(&class, (from, middle - BAR / 2.0), (width, BAR), &bar.tip);
            let (low, high) = bar.ends.map_or((end, end), |(low, high)| (scale.at(low), scale.at(high)));
            if high - low > 1.5 {
                drawing.line("whisker ink", (low, middle), (high, middle));
            }
            if value < base {
                drawing.text("value", "end", (from.min(low) - 4.0, middle), &bar.says);
            } else {
                drawing.text("value", "start", ((from + width).max(high) + 4.0, middle), &bar.says);
            }
        }
        drawing.finish(&self.title, &format!("{}; the numbers follow", self.label))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(name: &str, value: Option<f64>) -> Bar {
        let (name, says, tip) = (name.to_owned(), "says".to_owned(), "tip".to_owned());
        Bar { name, value, ends: None, says, class: "peer", is_open: false, tip }
    }

    fn drawn(from: From, bars: Vec<Bar>) -> String {
        Bars { title: "T".to_owned(), label: "ratio".to_owned(), from, base: String::new(), bars }.svg()
    }

    #[test]
    fn what_is_missing_is_said_and_takes_no_bar() {
        let text = drawn(From::One, vec![bar("a", Some(2.0)), bar("b", None), bar("c", Some(0.01))]);
        assert_eq!(text.matches("<rect").count(), 2, "{text}");
        assert!(text.contains("absent") && !text.contains("NaN"), "{text}");
        assert!(drawn(From::Zero, Vec::new()).ends_with("</svg>"));
        assert!(!drawn(From::Zero, vec![bar("zero", Some(0.0))]).contains("NaN"));
    }

    #[test]
    fn a_bar_of_a_ratio_goes_to_the_side_that_is_faster() {
        let x = |value| {
            let text =
                drawn(From::One, vec![bar("a", Some(value)), bar("b", Some(4.0)), bar("c", Some(0.25))]);
            let rect = text.lines().find(|line| line.starts_with("<rect")).unwrap_or_default().to_owned();
            let start: f64 = rect.split('"').nth(3).and_then(|x| x.parse().ok()).unwrap_or_default();
            let axis = text.lines().find(|line| line.starts_with("<line")).unwrap_or_default().to_owned();
            let axis: f64 = axis.split('"').nth(3).and_then(|x| x.parse().ok()).unwrap_or_default();
            (start, axis)
        };
        let (start, axis) = x(2.0);
        assert!((start - axis).abs() < 0.2, "a bar of more than one begins at one");
        let (start, axis) = x(0.5);
        assert!(start < axis - 10.0, "a bar of less than one lies before it");
    }
}
