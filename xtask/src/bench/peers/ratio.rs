use standpipe_harness::Better;

use super::comparison::Role;
use crate::bench::{
    judge::Change,
    record::Series,
    table::{Cell, Tone},
    units,
};

/// How often as fast standpipe is as a contender: 2 is twice the work in the same time, or half the time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    /// The median of the ratios of each round.
    pub(crate) median: f64,
    /// Its 95% interval.
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Ratio {
    pub(super) fn between(standard: &Series, other: &Series) -> Option<Self> {
        if standard.unit != other.unit || standard.better != other.better {
            return None;
        }
        let rounds = standard.values.iter().zip(&other.values);
        let ratios: Vec<f64> = rounds
            .map(|(ours, theirs)| match standard.better {
                Better::Higher => ours / theirs,
                Better::Lower => theirs / ours,
            })
            .filter(|ratio| ratio.is_finite() && *ratio > 0.0)
            .collect();
        if ratios.is_empty() {
            return None;
        }
        let Change { median, low, high, .. } =
            Change::paired(&vec![1.0; ratios.len()], &ratios, Better::Lower);
        Some(Ratio { median: 1.0 + median, low: 1.0 + low, high: 1.0 + high })
    }

    /// `2.30x`.
    pub(crate) fn told(&self) -> String {
        format!("{}x", units::factor(self.median))
    }

    /// `2.21 to 2.40`; nothing where all rounds, or the only one, say the same.
    pub(crate) fn interval(&self) -> String {
        let (low, high) = (units::factor(self.low), units::factor(self.high));
        if low == high { String::new() } else { format!("{low} to {high}") }
    }

    pub(super) fn cell(&self, role: Role) -> Cell {
        let tone = match role {
            // Nobody beats a limit, and nobody is praised for beating himself.
            Role::Limit | Role::Standpipe => Tone::Faint,
            _ if self.low > 1.0 => Tone::Good,
            _ if self.high < 1.0 => Tone::Bad,
            _ => Tone::Plain,
        };
        Cell::from(self.told()).tone(tone)
    }
}

#[cfg(test)]
mod tests {
    use standpipe_harness::Kind;

    use super::*;

    fn series(values: &[f64], better: Better) -> Series {
        let (name, unit) = ("a".to_owned(), "b".to_owned());
        Series { name, unit, kind: Kind::Told, better, values: values.to_vec() }
    }

    #[test]
    fn nothing_measured_and_nothing_done_have_no_ratio() {
        let some = series(&[1.0, 2.0], Better::Higher);
        for other in
            [series(&[], Better::Higher), series(&[0.0, 0.0], Better::Higher), series(&[1.0], Better::Lower)]
        {
            assert_eq!(Ratio::between(&some, &other), None, "{other:?}");
        }
    }
}
