/// How values are spread along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench::report) enum Spacing {
    /// Evenly, from zero.
    Linear,
    /// Each doubling takes the same room.
    Log,
}

/// From values to places in a drawing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    spacing: Spacing,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Holds all `values`, with a margin; those that a logarithm has no place for are left out. `from` and `to` are the
    /// places of its ends.
    pub(super) fn around(values: impl Iterator<Item = f64>, spacing: Spacing, from: f64, to: f64) -> Self {
        let fits = |value: &f64| value.is_finite() && (spacing == Spacing::Linear || *value > 0.0);
        let ends = values.filter(fits).fold(None, |ends: Option<(f64, f64)>, value| {
            Some(ends.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
        });
        let (low, high) = match (spacing, ends) {
            (Spacing::Linear, None) => (0.0, 1.0),
            (Spacing::Log, None) => (1.0, 10.0),
            (Spacing::Linear, Some((low, high))) => {
                let (low, high) = (low.min(0.0), high.max(0.0));
                if low == high { (0.0, 1.0) } else { (low, high + (high - low) * 0.06) }
            }
            (Spacing::Log, Some((low, high))) if high / low < 1.5 => (low / 1.6, high * 1.6),
            (Spacing::Log, Some((low, high))) => (low / 1.18, high * 1.18),
        };
        Scale { spacing, low, high, from, to }
    }

    /// Where a value is; one that has no place is at the nearest end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = match self.spacing {
            Spacing::Linear => (value - self.low) / (self.high - self.low),
            Spacing::Log => (value.max(1e-300) / self.low).ln() / (self.high / self.low).ln(),
        };
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        self.from + (self.to - self.from) * share
    }

    /// Round values within the scale: at least two, and about `wanted` at most.
    pub(super) fn ticks(&self, wanted: usize) -> Vec<f64> {
        match self.spacing {
            Spacing::Linear => self.even_ticks(wanted),
            Spacing::Log => {
                let sets: [&[f64]; 3] = [&[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
                let by_set = sets.iter().map(|set| self.decades(set));
                let mut fitting = by_set.filter(|ticks| ticks.len() <= wanted);
                match fitting.next() {
                    Some(ticks) if ticks.len() >= 2 => ticks,
                    Some(_) => self.even_ticks(wanted),
                    // More decades than ticks: each second, third ...
                    None => {
                        let ticks = self.decades(&[1.0]);
                        let step = ticks.len().div_ceil(wanted.max(1));
                        ticks.into_iter().step_by(step).collect()
                    }
                }
            }
        }
    }

    fn decades(&self, digits: &[f64]) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let all =
            (first..=last).flat_map(|decade| digits.iter().map(move |digit| digit * 10_f64.powi(decade)));
        all.filter(|value| *value >= self.low && *value <= self.high).collect()
    }

    /// Multiples of 1, 2 or 5 times a power of ten.
    fn even_ticks(&self, wanted: usize) -> Vec<f64> {
        let rough = (self.high - self.low) / wanted.max(1) as f64;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0].into_iter().map(|digit| digit * power).find(|step| *step >= rough);
        let step = step.unwrap_or(10.0 * power);
        // An end that is a tick itself is one, however its bits are.
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        // A sum would add up the errors.
        (first..=last).map(|count| count as f64 * step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(spacing: Spacing, low: f64, high: f64) -> Vec<f64> {
        Scale { spacing, low, high, from: 0.0, to: 100.0 }.ticks(6)
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        let close = |(a, b): (&f64, &f64)| (a - b).abs() <= b.abs() * 1e-9;
        assert!(found.len() == expected.len() && found.iter().zip(expected).all(close), "{found:?}");
    }

    #[test]
    fn even_ticks_are_round() {
        assert_close(&ticks(Spacing::Linear, 0.0, 97.0), &[0.0, 20.0, 40.0, 60.0, 80.0]);
        assert_close(&ticks(Spacing::Linear, 0.0, 0.3), &[0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]);
        assert_close(&ticks(Spacing::Linear, 0.0, 1.2e6), &[0.0, 2e5, 4e5, 6e5, 8e5, 1e6, 1.2e6]);
    }

    #[test]
    fn ticks_of_a_logarithm_are_as_fine_as_there_is_room() {
        assert_close(&ticks(Spacing::Log, 8.0, 120.0), &[10.0, 20.0, 50.0, 100.0]);
        assert_close(&ticks(Spacing::Log, 1.0, 400.0), &[1.0, 3.0, 10.0, 30.0, 100.0, 300.0]);
        assert_close(&ticks(Spacing::Log, 0.5, 2e4), &[1.0, 10.0, 100.0, 1e3, 1e4]);
        // A narrow range, between two powers.
        assert_close(&ticks(Spacing::Log, 610.0, 920.0), &[700.0, 800.0, 900.0]);
        assert!(ticks(Spacing::Log, 1e-9, 1e9).len() <= 6);
    }

    #[test]
    fn one_value_none_and_odd_ones_have_a_place() {
        for values in [vec![], vec![5.0], vec![0.0, 0.0], vec![f64::NAN, f64::INFINITY, -1.0]] {
            for spacing in [Spacing::Linear, Spacing::Log] {
                let scale = Scale::around(values.iter().copied(), spacing, 0.0, 100.0);
                for value in [0.0, 5.0, -1.0, f64::NAN] {
                    assert!((0.0..=100.0).contains(&scale.at(value)), "{values:?} {spacing:?} {value}");
                }
                assert!(scale.ticks(5).len() >= 2, "{values:?} {spacing:?} {scale:?}");
            }
        }
    }
}
