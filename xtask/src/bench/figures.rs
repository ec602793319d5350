use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::Outcome;

/// What was measured.
#[derive(Default)]
pub(crate) struct Figures {
    lines: Vec<String>,
    values: Vec<Value>,
}

impl Figures {
    /// A figure, with the seconds of its rounds where it has some.
    pub(crate) fn add(&mut self, name: &str, value: f64, unit: &str, rounds_s: &[f64]) {
        let spread =
            match (rounds_s.iter().copied().reduce(f64::min), rounds_s.iter().copied().reduce(f64::max)) {
                (Some(least), Some(most)) => {
                    format!("   ({:.3} s, {least:.3} to {most:.3})", median(rounds_s))
                }
                _ => String::new(),
            };
        self.lines.push(format!("{name:<62} {:>12} {unit}{spread}", grouped(value)));
        self.values.push(json!({ "name": name, "value": value, "unit": unit, "rounds_s": rounds_s }));
    }

    /// A ratio, with what it should be.
    pub(crate) fn ratio(&mut self, name: &str, value: f64, wanted: &str) {
        self.lines.push(format!("{name:<62} {value:>12.2} times   (wanted: {wanted})"));
        self.values.push(json!({ "name": name, "value": value, "unit": "ratio", "wanted": wanted }));
    }

    pub(crate) fn print(&self) {
        self.lines.iter().for_each(|line| println!("{line}"));
    }

    pub(crate) fn write(&self, path: &Path) -> Outcome {
        let text = serde_json::to_string_pretty(&self.values).map_err(|error| error.to_string())?;
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("figures as JSON: {}", path.display());
        Ok(())
    }
}

/// The middle value, of an even number the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

fn grouped(value: f64) -> String {
    if value < 1000.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
