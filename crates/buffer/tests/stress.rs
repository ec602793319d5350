//! Threads that push, take, give back, drop, discard and panic, while lanes come and go beneath them. Every item is
//! accounted for. `STRESS=5000 valgrind PROGRAM` has each producer push 5,000.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::cell::Cell;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::Seeded;
use standpipe_buffer::{Budget, Buffer, Policy, Weigh, Weight};

const FEEDS: u64 = 4;
const KEYS: u64 = 300;
/// Keys from here on are only pushed to by key, and come and go.
const FIRST_KEY: u64 = 10;

thread_local! {
    /// Whether the next item that this thread drops panics.
    static ARMED: Cell<bool> = const { Cell::new(false) };
}

/// What became of one item.
#[derive(Default)]
struct Fate {
    accepted: AtomicU8,
    committed: AtomicU8,
    dropped: AtomicU8,
}

struct Item<'a> {
    fate: &'a Fate,
    producer: usize,
    number: u32,
    bytes: u64,
}

impl Weigh for Item<'_> {
    fn weight(&self) -> Weight {
        Weight { rows: 1, bytes: self.bytes }
    }
}

impl Drop for Item<'_> {
    fn drop(&mut self) {
        self.fate.dropped.fetch_add(1, Ordering::Relaxed);
        assert!(!ARMED.take(), "planned");
    }
}

fn items_of_each() -> usize {
    let default = if cfg!(miri) {
        100
    } else if cfg!(debug_assertions) {
        40_000
    } else {
        1_000_000
    };
    env::var("STRESS").map_or(default, |count| count.parse().unwrap())
}

/// Whether items of this key may be discarded.
fn is_discarded(key: u64) -> bool {
    key % 10 == 7
}

struct Stress {
    buffer: Buffer<u64, Item<'static>>,
    fates: &'static [Vec<Fate>],
    /// For each key and producer the number that was committed last, and one.
    last: Vec<[AtomicU32; 8]>,
    /// Time that runs ahead, so that lanes are forgotten while others push to them.
    ahead_ms: AtomicU64,
    panics: AtomicU64,
}

impl Stress {
    fn item(&self, producer: usize, number: usize) -> Item<'static> {
        let fate = &self.fates[producer][number];
        Item { fate, producer, number: u32::try_from(number).unwrap(), bytes: 20 + number as u64 % 100 }
    }

    fn feeds(&self, producer: usize, seed: u64) {
        let (mut random, count, mut number) = (Seeded(seed), self.fates[producer].len(), 0);
        let mut feed = self.buffer.feed(producer as u64 % FEEDS).unwrap();
        let mut many = Vec::new();
        while number < count {
            match random.below(50) {
                0 => {
                    let end = count.min(number + 1 + random.index(40));
                    many.extend((number..end).map(|number| self.item(producer, number)));
                    feed.push_batch_blocking(&mut many).unwrap();
                    self.accepted(producer, number..end);
                    number = end;
                }
                1 => feed = self.buffer.feed(producer as u64 % FEEDS).unwrap(),
                _ => {
                    feed.push_blocking(self.item(producer, number)).ok().unwrap();
                    self.accepted(producer, number..number + 1);
                    number += 1;
                }
            }
        }
    }

    fn by_key(&self, producer: usize, seed: u64) {
        let mut random = Seeded(seed);
        for number in 0..self.fates[producer].len() {
            // Some keys for a while, then others.
            let key = FIRST_KEY + (number as u64 / 500 * 7 + random.below(20)) % KEYS;
            self.buffer.push_blocking(key, self.item(producer, number)).ok().unwrap();
            self.accepted(producer, number..number + 1);
        }
    }

    fn accepted(&self, producer: usize, numbers: std::ops::Range<usize>) {
        for number in numbers {
            self.fates[producer][number].accepted.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn takes(&self, began: Instant, seed: u64) {
        let mut random = Seeded(seed);
        loop {
            let step = if random.below(50) == 0 { 1100 } else { 1 };
            let now = began + Duration::from_millis(self.ahead_ms.fetch_add(step, Ordering::Relaxed));
            let Some(taken) = self.buffer.try_take(now) else {
                if self.buffer.budget().is_closed()
                    && self.buffer.waiting().rows == 0
                    && self.buffer.out().rows == 0
                {
                    return;
                }
                thread::yield_now();
                continue;
            };
            match random.below(20) {
                0 => drop(taken),
                1 => _ = taken.give_back(),
                2 => _ = taken.give_back_until(now + Duration::from_millis(3)),
                3 => {
                    for key in (FIRST_KEY..FIRST_KEY + KEYS).filter(|&key| is_discarded(key)) {
                        self.buffer.discard(&key);
                    }
                    drop(taken);
                }
                4 => {
                    let unwound = catch_unwind(AssertUnwindSafe(|| {
                        let _taken = taken;
                        panic!("planned");
                    }));
                    assert!(unwound.is_err());
                }
                way => {
                    for item in &taken {
                        let before = item.fate.committed.fetch_add(1, Ordering::Relaxed);
                        assert_eq!(before, 0, "committed twice");
                        let key = usize::try_from(*taken.key()).unwrap();
                        let last = self.last[key][item.producer].swap(item.number + 1, Ordering::Relaxed);
                        assert!(last <= item.number, "out of order: {last} before {}", item.number);
                    }
                    ARMED.set(way == 5);
                    let unwound = catch_unwind(AssertUnwindSafe(|| taken.complete()));
                    self.panics.fetch_add(u64::from(unwound.is_err()), Ordering::Relaxed);
                }
            }
        }
    }
}

#[test]
fn every_item_is_accounted_for() {
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() != Some("planned") {
            quiet(info);
        }
    }));
    let producers = if cfg!(miri) { 2..4 } else { 0..6 };
    let fates: Vec<Vec<Fate>> =
        (0..6).map(|_| (0..items_of_each()).map(|_| Fate::default()).collect()).collect();
    let policy = Policy { rows_max: 64, bytes_max: 4 << 10, age_max: Duration::from_millis(5) };
    let stress = Stress {
        buffer: Buffer::new(policy, Budget::with_soft(60_000, 64_000)),
        // For as long as the process, which ends with this test.
        fates: Box::leak(fates.into_boxed_slice()),
        last: (0..FIRST_KEY + KEYS).map(|_| Default::default()).collect(),
        ahead_ms: AtomicU64::new(0),
        panics: AtomicU64::new(0),
    };
    let began = Instant::now();
    thread::scope(|scope| {
        let pushing: Vec<_> = producers
            .clone()
            .map(|producer| {
                let stress = &stress;
                scope.spawn(move || match producer {
                    0..4 => stress.feeds(producer, producer as u64),
                    _ => stress.by_key(producer, producer as u64),
                })
            })
            .collect();
        for taker in 0..3 {
            let stress = &stress;
            scope.spawn(move || stress.takes(began, 100 + taker));
        }
        for producer in pushing {
            producer.join().unwrap();
        }
        stress.buffer.close();
    });
    let buffer = &stress.buffer;
    assert_eq!((buffer.budget().in_use(), buffer.active_lanes(), buffer.waiting()), (0, 0, Weight::ZERO));
    let (mut committed, mut discarded) = (0, 0);
    for producer in producers {
        for (number, fate) in stress.fates[producer].iter().enumerate() {
            let counts =
                [&fate.accepted, &fate.committed, &fate.dropped].map(|count| count.load(Ordering::Relaxed));
            match counts {
                [1, 1, 1] => committed += 1,
                [1, 0, 1] if producer >= 4 => discarded += 1,
                _ => panic!("{counts:?} for {number} of {producer}"),
            }
        }
    }
    let panics = stress.panics.into_inner();
    println!("{committed} committed, {discarded} discarded, {panics} panics, {:?}", began.elapsed());
    assert!(cfg!(miri) || (panics > 0 && discarded < committed));
}
