//! Random runs against a plain model: what comes out, what is due, who is woken.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use common::{Bell, Item, complete, numbers};
use proptest::prelude::*;
use standpipe_buffer::{JoinLimit, Lanes, Policy, Pressure, Taken, Taker};

const POLICY: Policy = Policy { rows_max: 8, bytes_max: 40, age_max: Duration::from_millis(20) };

#[derive(Debug, Clone)]
enum Step {
    Push { key: u8, rows: u64, bytes: u64 },
    Advance(u64),
    Take,
    TakeMore { rows: u64, lanes: usize },
    Complete(usize),
    GiveBack(usize),
    Flush(u8),
    FlushAll,
    Press,
    Discard(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u8, 1..12_u64, 0..50_u64).prop_map(|(key, rows, bytes)| Step::Push { key, rows, bytes }),
        2 => (0..15_u64).prop_map(Step::Advance),
        4 => Just(Step::Take),
        1 => (0..20_u64, 0..4_usize).prop_map(|(rows, lanes)| Step::TakeMore { rows, lanes }),
        3 => (0..4_usize).prop_map(Step::Complete),
        2 => (0..4_usize).prop_map(Step::GiveBack),
        1 => (0..4_u8).prop_map(Step::Flush),
        1 => Just(Step::FlushAll),
        1 => Just(Step::Press),
        1 => (0..4_u8).prop_map(Step::Discard),
    ]
}

#[derive(Debug, Clone, Copy)]
struct Row {
    number: u64,
    rows: u64,
    bytes: u64,
    at: Instant,
    flush: bool,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Row>,
    out: Vec<Row>,
    /// Rows that are dropped once the batch is settled.
    discarded: usize,
    /// The batch is dropped when it comes back.
    is_discarded: bool,
}

/// The buffer, the model of it, and one taker that waits whenever nothing is due.
struct Run {
    lanes: Lanes<u8, Item>,
    model: BTreeMap<u8, Lane>,
    out: Vec<Taken<u8, Item>>,
    pressure: Option<Pressure<u8, Item>>,
    now: Instant,
    next: u64,
    taker: Taker<u8, Item>,
    bell: Arc<Bell>,
    waits: bool,
    /// The deadline the waiting taker was told.
    told: Option<Instant>,
    committed: BTreeMap<u8, Vec<u64>>,
}

impl Run {
    fn new() -> Self {
        let lanes = Lanes::new(POLICY);
        Self {
            taker: lanes.taker(),
            lanes,
            model: BTreeMap::new(),
            out: Vec::new(),
            pressure: None,
            now: Instant::now(),
            next: 0,
            bell: Bell::new(),
            waits: false,
            told: None,
            committed: BTreeMap::new(),
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Push { key, rows, bytes } => {
                let (number, at) = (self.next, self.now);
                self.next += 1;
                self.lanes.push(key, Item::new(number, rows, bytes), at).unwrap();
                let row = Row { number, rows, bytes, at, flush: false };
                self.model.entry(key).or_default().waiting.push_back(row);
            }
            Step::Advance(ms) => self.now += Duration::from_millis(ms),
            Step::Take => self.take(),
            Step::TakeMore { rows, lanes } => {
                let limit = JoinLimit { rows, bytes: 60, lanes };
                let more = self.lanes.take_more(self.now, limit);
                assert!(more.len() <= lanes);
                assert!(more.iter().map(|taken| taken.weight().rows).sum::<u64>() <= rows);
                assert!(more.iter().map(|taken| taken.weight().bytes).sum::<u64>() <= 60);
                for taken in more {
                    self.took(taken);
                }
            }
            Step::Complete(which) if which < self.out.len() => {
                let taken = self.out.remove(which);
                let key = *taken.key();
                self.settled(key);
                let done = complete(taken);
                self.committed.entry(key).or_default().extend(done);
            }
            Step::GiveBack(which) if which < self.out.len() => {
                let taken = self.out.remove(which);
                let key = *taken.key();
                let lane = self.model.get_mut(&key).unwrap();
                let is_kept = !lane.is_discarded;
                if is_kept {
                    for row in lane.out.drain(..).rev() {
                        lane.waiting.push_front(row);
                    }
                }
                self.settled(key);
                assert_eq!(taken.give_back(), is_kept);
            }
            Step::Complete(_) | Step::GiveBack(_) => {}
            Step::Flush(key) => {
                self.lanes.flush(&key);
                self.model.get_mut(&key).into_iter().for_each(mark_flush);
            }
            Step::FlushAll => {
                self.lanes.flush_all();
                self.model.values_mut().for_each(mark_flush);
            }
            Step::Press => {
                self.pressure = if self.pressure.is_some() { None } else { Some(self.lanes.pressure()) };
            }
            Step::Discard(key) => {
                self.lanes.discard(&key);
                let Some(lane) = self.model.get_mut(&key) else { return };
                if lane.out.is_empty() {
                    lane.waiting.clear();
                } else {
                    lane.discarded = lane.waiting.len();
                    lane.is_discarded = true;
                }
            }
        }
    }

    /// The lane's batch is out no more.
    fn settled(&mut self, key: u8) {
        let lane = self.model.get_mut(&key).unwrap();
        lane.out.clear();
        lane.waiting.drain(..lane.discarded);
        lane.discarded = 0;
        lane.is_discarded = false;
    }

    fn take(&mut self) {
        let must = self.is_due(true);
        // A round of relief that has begun goes on, also where what is out would be enough by now.
        let may = must || self.pressure.is_some();
        let waker = Waker::from(self.bell.clone());
        match self.taker.poll_take(self.now, &mut Context::from_waker(&waker)) {
            Poll::Ready(taken) => {
                assert!(may, "a batch came that was not due");
                self.waits = false;
                self.took(taken.expect("not closed"));
            }
            Poll::Pending => {
                assert!(!must, "a batch is due and did not come");
                self.waits = true;
            }
        }
        self.told = self.taker.deadline();
        self.bell.rings();
    }

    fn took(&mut self, taken: Taken<u8, Item>) {
        let lane = self.model.get_mut(taken.key()).unwrap();
        assert!(lane.out.is_empty(), "two batches of one lane are out");
        lane.out = lane.waiting.drain(..taken.len()).collect();
        assert_eq!(numbers(taken.items()), lane.out.iter().map(|row| row.number).collect::<Vec<_>>());
        let weight = taken.weight();
        assert!(taken.len() == 1 || (weight.rows <= POLICY.rows_max && weight.bytes <= POLICY.bytes_max));
        assert_eq!(taken.oldest(), Some(lane.out[0].at));
        self.out.push(taken);
    }

    /// Whether something can be taken; without `by_age`, whether it can be whatever the time.
    fn is_due(&self, by_age: bool) -> bool {
        // While something is out it will come free, and then somebody looks again.
        let pressed = self.pressure.is_some() && self.out.is_empty();
        self.model.values().filter(|lane| lane.out.is_empty() && !lane.waiting.is_empty()).any(|lane| {
            let rows: u64 = lane.waiting.iter().map(|row| row.rows).sum();
            let bytes: u64 = lane.waiting.iter().map(|row| row.bytes).sum();
            pressed
                || rows >= POLICY.rows_max
                || bytes >= POLICY.bytes_max
                || lane.waiting.iter().any(|row| row.flush)
                || (by_age && self.now - lane.waiting[0].at >= POLICY.age_max)
        })
    }

    fn check(&self) {
        let waiting = || self.model.values().flat_map(|lane| &lane.waiting);
        assert_eq!(self.lanes.is_empty(), waiting().count() == 0);
        assert_eq!(self.lanes.rows(), waiting().map(|row| row.rows).sum::<u64>());
        assert_eq!(self.lanes.bytes(), waiting().map(|row| row.bytes).sum::<u64>());
        let live =
            self.model.values().filter(|lane| !lane.waiting.is_empty() || !lane.out.is_empty()).count();
        assert_eq!(self.lanes.lanes(), live);
        if self.waits && !self.bell.rang() {
            assert!(!self.is_due(false), "a lane became due and nobody was woken");
            let ages = self
                .model
                .values()
                .filter(|lane| lane.out.is_empty())
                .filter_map(|lane| lane.waiting.front());
            let deadline = ages.map(|row| row.at + POLICY.age_max).min();
            assert_eq!(self.lanes.deadline(), deadline);
            let rings_late = deadline.is_some_and(|at| self.told.is_none_or(|told| told > at));
            assert!(!rings_late, "the deadline came nearer and the taker does not know");
        }
    }

    /// Gives everything back that is out, then drains: what is left comes out whole and in order.
    fn finish(mut self) {
        while !self.out.is_empty() {
            self.apply(Step::GiveBack(0));
        }
        self.lanes.close();
        while let Some(taken) = self.lanes.try_take(self.now) {
            self.took(taken);
            self.apply(Step::Complete(0));
        }
        assert_eq!((self.lanes.lanes(), self.lanes.rows()), (0, 0));
        assert!(self.model.values().all(|lane| lane.waiting.is_empty() && lane.out.is_empty()));
        for numbers in self.committed.values() {
            assert!(numbers.is_sorted_by(|a, b| a < b), "out of order or twice: {numbers:?}");
        }
    }
}

fn mark_flush(lane: &mut Lane) {
    lane.waiting.iter_mut().chain(&mut lane.out).for_each(|row| row.flush = true);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lanes_do_as_the_model_does(steps in prop::collection::vec(step(), 1..150)) {
        let mut run = Run::new();
        for step in steps {
            run.apply(step);
            run.check();
        }
        run.finish();
    }
}
