use std::hash::{Hash, Hasher};

use super::state::{Phase, State};
use super::step::{Protocol, Step};
use super::{Bounds, Invariant, Mistake, SourceKind};

/// What a search found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Distinct states.
    pub states: usize,
    /// Steps taken from them.
    pub transitions: usize,
    /// Steps from the first state to the farthest one.
    pub depth: usize,
    /// What was checked in every state.
    pub invariants: &'static [&'static str],
    /// How it ends where nobody has anything left to do.
    pub outcomes: Outcomes,
    /// The nearest state that breaks an invariant. The search stops there.
    pub violation: Option<Counterexample>,
}

/// States at rest, by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// All of them.
    pub at_rest: usize,
    /// An owner was fenced.
    pub fenced: usize,
    /// A claim was refused with `Gap`.
    pub gap: usize,
    /// Of these, those in which nothing was missing and the log could not tell; only after a restore.
    pub gap_unsure: usize,
    /// A claim was refused with `WrongSource`.
    pub wrong_source: usize,
    /// The database was restored, and all was applied again.
    pub replayed: usize,
}

/// A shortest way to break an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// What is broken.
    pub invariant: Invariant,
    /// The steps from the first state, in words.
    pub trace: Vec<String>,
}

/// Visits every state within `bounds` and checks every invariant in each. Blocks; memory grows with the states, about
/// 110 bytes each.
///
/// # Panics
/// When `bounds` has rows or lanes beyond its limits, takeovers of a log, or faults of a log for a file.
#[must_use]
pub fn explore(bounds: &Bounds, mistake: Option<Mistake>) -> Report {
    explore_for(bounds, mistake, Invariant::ALL)
}

/// As [`explore`], and checks only some invariants.
///
/// # Panics
/// As [`explore`].
#[must_use]
pub fn explore_for(bounds: &Bounds, mistake: Option<Mistake>, invariants: &[Invariant]) -> Report {
    check_bounds(bounds);
    let protocol = Protocol { bounds: *bounds, mistake };
    let mut visited = Visited::new();
    let mut report = Report {
        states: 0,
        transitions: 0,
        depth: 0,
        invariants: Invariant::TEXTS,
        outcomes: Outcomes::default(),
        violation: None,
    };
    visited.insert(State::first(bounds), 0, None);
    let mut found = Vec::new();
    let mut next = 0;
    while next < visited.nodes.len() {
        let state = visited.nodes[next].state;
        found.clear();
        protocol.progress(&state, &mut found);
        let at_rest = found.is_empty();
        if at_rest {
            report.outcomes.count(&protocol, &state);
        }
        if let Some(broken) = invariants.iter().find(|one| !one.holds(&protocol, &state, at_rest)) {
            report.violation = Some(Counterexample { invariant: *broken, trace: visited.trace(next) });
            break;
        }
        protocol.faults(&state, &mut found);
        report.transitions += found.len();
        for (step, to) in &found {
            visited.insert(*to, next, Some(*step));
        }
        next += 1;
    }
    report.states = visited.nodes.len();
    report.depth = visited.depth(visited.nodes.len() - 1);
    report
}

fn check_bounds(bounds: &Bounds) {
    assert!((1..=Bounds::ROWS_MAX).contains(&bounds.rows), "rows: 1 to {}", Bounds::ROWS_MAX);
    assert!((1..=Bounds::LANES_MAX).contains(&bounds.lanes), "lanes: 1 to {}", Bounds::LANES_MAX);
    match bounds.source {
        SourceKind::Log => assert!(bounds.takeovers == 0, "a log is locked: no takeovers"),
        SourceKind::File => {
            assert!(bounds.failed_syncs + bounds.replaced_logs == 0, "a file has no faults of a log");
        }
    }
}

impl Outcomes {
    fn count(&mut self, protocol: &Protocol, state: &State) {
        let any = |phase| usize::from(state.owners.iter().any(|owner| owner.phase == phase));
        self.at_rest += 1;
        self.fenced += any(Phase::Fenced);
        self.gap += any(Phase::RefusedGap);
        self.gap_unsure += if protocol.misses_nothing(state) { any(Phase::RefusedGap) } else { 0 };
        self.wrong_source += any(Phase::RefusedSource);
        self.replayed += usize::from(state.seen.restored && any(Phase::RefusedGap) == 0);
    }
}

/// Every state seen, in the order of discovery, found again by its hash and compared whole.
struct Visited {
    nodes: Vec<Node>,
    /// Places in `nodes`, plus one; 0 is free. A power of two, at most half full.
    slots: Vec<u32>,
}

struct Node {
    state: State,
    from: u32,
    step: Option<Step>,
}

impl Visited {
    fn new() -> Self {
        Visited { nodes: Vec::new(), slots: vec![0; 1 << 12] }
    }

    fn insert(&mut self, state: State, from: usize, step: Option<Step>) {
        let mut slot = self.slot(&state);
        while self.slots[slot] != 0 {
            if self.nodes[self.slots[slot] as usize - 1].state == state {
                return;
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        self.nodes.push(Node { state, from: place(from), step });
        self.slots[slot] = place(self.nodes.len());
        if self.nodes.len() * 2 > self.slots.len() {
            self.grow();
        }
    }

    fn slot(&self, state: &State) -> usize {
        let mut mix = Mix(0);
        state.hash(&mut mix);
        (mix.finish() >> 16) as usize & (self.slots.len() - 1)
    }

    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 2];
        for index in 0..self.nodes.len() {
            let mut slot = self.slot(&self.nodes[index].state);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (self.slots.len() - 1);
            }
            self.slots[slot] = place(index + 1);
        }
    }

    fn path(&self, mut index: usize) -> Vec<usize> {
        let mut path = Vec::new();
        while self.nodes[index].step.is_some() {
            path.push(index);
            index = self.nodes[index].from as usize;
        }
        path.reverse();
        path
    }

    fn depth(&self, index: usize) -> usize {
        self.path(index).len()
    }

    fn trace(&self, index: usize) -> Vec<String> {
        let step = |index: usize| self.nodes[index].step.map(|step| step.describe(&self.nodes[index].state));
        self.path(index).into_iter().filter_map(step).collect()
    }
}

#[expect(clippy::expect_used, reason = "a stated invariant")]
fn place(index: usize) -> u32 {
    u32::try_from(index).expect("invariant: memory ends before four thousand million states")
}

/// A fast hash of many small fields; the search depends on it for speed only.
struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.mix(word);
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.mix(u64::from(value));
    }

    fn write_usize(&mut self, _: usize) {
        // Lengths of arrays: the same for every state.
    }

    fn write_isize(&mut self, value: isize) {
        self.mix(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

impl Mix {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}
