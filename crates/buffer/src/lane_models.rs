//! Between those who push and the one who looks: no lane is forgotten, in any order. The schedule here is as small as can
//! be, with the steps of [`Shared::change`](crate::shared::Shared) in their order, and takes whatever it sees.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use loom::sync::Mutex;
use loom::thread;

use crate::inbox::Inbox;
use crate::lane::{Lane, Pushed};
use crate::models::model;
use crate::planted::{self, Plant};
use crate::queue::{Chain, Entry, Front, Reader, Spares};
use crate::sync::{Arc, Ordering};
use crate::{Policy, Weight};

type Item = (u8, u8);

struct Small {
    lane: Arc<Lane<(), Item>>,
    spares: Arc<Spares<Item>>,
    inbox: Inbox<(), Item>,
    desk: Mutex<Desk>,
}

struct Desk {
    reader: Reader<(), Item>,
    taken: Vec<Item>,
    posted: Vec<Arc<Lane<(), Item>>>,
}

const ONE: Weight = Weight { rows: 1, bytes: 1 };

fn never() -> Policy {
    Policy { rows_max: u64::MAX, bytes_max: u64::MAX, ..Policy::default() }
}

impl Small {
    /// With a taker that sleeps already.
    fn asleep() -> Arc<Self> {
        let spares = Arc::new(Spares::new());
        let lane = Lane::new((), &spares, None);
        let desk = Desk { reader: Reader::only_one_of(&lane), taken: Vec::new(), posted: Vec::new() };
        let small = Self { lane, spares, inbox: Inbox::new(), desk: Mutex::new(desk) };
        assert!(small.inbox.sleep());
        Arc::new(small)
    }

    fn push(&self, item: Item) {
        let pushed = self.lane.push(Entry { weight: ONE, at: 1, item }, &never(), || 1).unwrap();
        self.tell(pushed);
    }

    fn push_chain(&self, items: &[Item]) {
        let mut chain = Chain::new(items.len(), &self.spares);
        for (index, &item) in items.iter().enumerate() {
            chain.push(Entry { weight: ONE, at: 1, item }, items.len() - index);
        }
        let weight = Weight { rows: items.len() as u64, bytes: items.len() as u64 };
        let pushed = self.lane.push_chain(chain, weight, 1, &never());
        self.tell(pushed.ok().unwrap());
    }

    fn tell(&self, pushed: Pushed) {
        if pushed == Pushed::Tell && self.inbox.post(&self.lane) {
            self.change();
        }
    }

    fn change(&self) {
        let mut desk = self.desk.lock().unwrap();
        loop {
            let mut posted = std::mem::take(&mut desk.posted);
            self.inbox.drain(&mut posted);
            for lane in posted.drain(..) {
                desk.look();
                if planted::is(Plant::UnmarksLate) {
                    lane.is_posted.store(false, Ordering::Release);
                }
            }
            desk.posted = posted;
            if self.inbox.sleep() {
                return;
            }
        }
    }
}

impl Desk {
    /// As [`Schedule::look`](crate::schedule::Schedule), and what it finds is taken, counted as taken, and looked behind.
    fn look(&mut self) {
        loop {
            let mut front = self.reader.front();
            if front == Front::Stuck {
                self.reader.lane().mark_stuck();
                front = self.reader.front();
            }
            if front != Front::Item {
                return;
            }
            let entry = self.reader.take_first().unwrap();
            self.taken.push(entry.item);
            self.reader.lane().took(entry.weight);
        }
    }
}

fn all_taken(small: &Small, mut wanted: Vec<Item>) {
    let mut desk = small.desk.lock().unwrap();
    assert_eq!(desk.reader.front(), Front::Empty, "a wake was lost: something lies there");
    assert_eq!(small.lane.waiting(), Weight::ZERO);
    for who in 0..4 {
        let of_it: Vec<_> = desk.taken.iter().filter(|item| item.0 == who).collect();
        assert!(of_it.is_sorted(), "out of order: {of_it:?}");
    }
    desk.taken.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(desk.taken, wanted);
}

#[test]
fn loom_whatever_was_pushed_is_looked_at() {
    model(2, || {
        let small = Small::asleep();
        let others = [1, 2].map(|who| {
            let small = Arc::clone(&small);
            thread::spawn(move || small.push((who, 0)))
        });
        small.push((0, 0));
        for other in others {
            other.join().unwrap();
        }
        all_taken(&small, vec![(0, 0), (1, 0), (2, 0)]);
    });
}

#[test]
fn loom_whatever_was_pushed_is_looked_at_over_the_end_of_a_segment() {
    model(2, || {
        let small = Small::asleep();
        let others = [1, 2].map(|who| {
            let small = Arc::clone(&small);
            thread::spawn(move || (0..2).for_each(|number| small.push((who, number))))
        });
        for other in others {
            other.join().unwrap();
        }
        all_taken(&small, vec![(1, 0), (1, 1), (2, 0), (2, 1)]);
    });
}

#[test]
fn loom_a_chain_is_looked_at_too() {
    model(2, || {
        let small = Small::asleep();
        let others = [1, 2].map(|who| {
            let small = Arc::clone(&small);
            thread::spawn(move || match who {
                1 => small.push_chain(&[(1, 0), (1, 1), (1, 2)]),
                _ => small.push((2, 0)),
            })
        });
        small.push((0, 0));
        for other in others {
            other.join().unwrap();
        }
        all_taken(&small, vec![(0, 0), (1, 0), (1, 1), (1, 2), (2, 0)]);
    });
}

#[test]
fn loom_a_taker_that_goes_to_sleep_misses_nothing() {
    model(3, || {
        let small = Small::asleep();
        let others = [1, 2].map(|who| {
            let small = Arc::clone(&small);
            thread::spawn(move || small.push((who, 0)))
        });
        // Awake for a moment, for whatever reason, and asleep again.
        small.change();
        for other in others {
            other.join().unwrap();
        }
        all_taken(&small, vec![(1, 0), (2, 0)]);
    });
}

#[test]
fn loom_a_lane_that_is_full_tells() {
    model(3, || {
        let small = Small::asleep();
        let policy = Policy { rows_max: 3, ..never() };
        let others = [1, 2, 3].map(|who| {
            let small = Arc::clone(&small);
            thread::spawn(move || {
                let entry = Entry { weight: ONE, at: 1, item: (who, 0) };
                small.lane.push(entry, &policy, || 1).unwrap() == Pushed::Tell
            })
        });
        let tells = others.map(|other| usize::from(other.join().unwrap())).iter().sum::<usize>();
        assert_eq!(tells, 2, "one found it empty, one made it full");
        assert_eq!(small.lane.waiting(), Weight { rows: 3, bytes: 3 });
    });
}
