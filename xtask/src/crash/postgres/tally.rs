use std::{collections::BTreeMap, fmt};

use super::proxy::Phase;

/// How a table differs from its source.
#[derive(Clone, Copy, Default)]
pub(super) struct Difference {
    pub(super) rows: u64,
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) out_of_order: u64,
}

impl Difference {
    pub(super) fn is_none(&self) -> bool {
        self.lost + self.duplicated + self.out_of_order == 0
    }

    pub(super) fn add(&mut self, other: &Difference) {
        self.rows += other.rows;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.out_of_order += other.out_of_order;
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { lost, duplicated, out_of_order, .. } = self;
        write!(f, "lost {lost}, duplicated {duplicated}, out of order {out_of_order}")
    }
}

/// What happened to loads, of one kind.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) events: u32,
    pub(super) loads: u32,
    pub(super) difference: Difference,
    /// How many fell when this tenth of the rows was in the table.
    tenths: [u32; 10],
    phases: [u32; 5],
    notes: BTreeMap<&'static str, u32>,
}

/// Where something happened: what the client was at, where that is known.
pub(super) type Where = Option<Phase>;

const PHASES: [&str; 5] = ["at COMMIT", "in COPY", "elsewhere in a transaction", "outside", "not seen (TLS)"];

impl Tally {
    /// Something happened when this share of the rows was in the table.
    pub(super) fn event(&mut self, share: f64, at: Where) {
        self.events += 1;
        self.tenths[((share * 10.0) as usize).min(9)] += 1;
        self.phases[match at {
            Some(Phase::Committing) => 0,
            Some(Phase::Copying) => 1,
            Some(Phase::Open) => 2,
            Some(Phase::Outside) => 3,
            None => 4,
        }] += 1;
    }

    /// Counts something else that is of interest.
    pub(super) fn note(&mut self, what: &'static str) {
        *self.notes.entry(what).or_default() += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} in {} loads ({} rows): {}",
            self.events, self.loads, self.difference.rows, self.difference
        )?;
        let tenths: Vec<_> = self.tenths.iter().map(u32::to_string).collect();
        write!(f, "\n    by tenths of the rows that were in: {}", tenths.join(" "))?;
        let phases = PHASES.iter().zip(self.phases).filter(|(_, count)| *count > 0);
        let phases: Vec<_> = phases.map(|(name, count)| format!("{name} {count}")).collect();
        write!(f, "\n    {}", phases.join(", "))?;
        let notes: Vec<_> = self.notes.iter().map(|(what, count)| format!("{what} {count}")).collect();
        if notes.is_empty() { Ok(()) } else { write!(f, "\n    {}", notes.join(", ")) }
    }
}
