//! M7, the lanes' half: pushes, batches of pushes, takes and taken batches that are cancelled at every moment, by seed, against
//! a model. `CANCELS=1000000 cargo test --release --test lane_sweep -- --nocapture`
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod live;

use std::collections::{HashMap, VecDeque};
use std::env;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use common::{Seeded, Stopped, poll};
use standpipe_buffer::{Budget, Buffer, Feed, Policy, Taken, Weigh, Weight};

#[global_allocator]
static ALLOCATOR: live::Live = live::Live;

const LIMIT: u64 = 1000;
const KEYS: u64 = 12;
const KEPT_MAX: i64 = 64 << 10;

fn cancels_wanted() -> u64 {
    let default = if cfg!(miri) { 300 } else { 20_000 };
    env::var("CANCELS").map_or(default, |count| count.parse().unwrap())
}

/// How often each item was dropped.
type Drops = Arc<Mutex<Vec<u8>>>;

struct Item {
    number: usize,
    bytes: u64,
    drops: Drops,
}

impl Weigh for Item {
    fn weight(&self) -> Weight {
        Weight { rows: 1, bytes: self.bytes }
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.drops.lock().unwrap()[self.number] += 1;
    }
}

/// Items by number and bytes.
type Told = Vec<(usize, u64)>;
type Vector = Arc<Mutex<Vec<Item>>>;
type Taking<'b> = Pin<Box<dyn Future<Output = Option<Taken<u64, Item>>> + 'b>>;

struct Push<'b> {
    key: u64,
    future: Pin<Box<dyn Future<Output = bool> + 'b>>,
    items: Told,
    /// Where a batch of items comes back to.
    vector: Option<Vector>,
}

/// What a lane should hold.
#[derive(Default)]
struct Lane {
    items: VecDeque<(usize, u64)>,
    out: usize,
    /// How many from the front are to be dropped when the batch that is out is settled.
    discarded: usize,
}

struct Sweep<'b> {
    seed: u64,
    random: Seeded,
    buffer: &'b Buffer<u64, Item>,
    clock: &'b Stopped,
    now: Instant,
    feeds: &'b [Feed<u64, Item>],
    drops: Drops,
    lanes: HashMap<u64, Lane>,
    pushes: Vec<Push<'b>>,
    takes: Vec<Taking<'b>>,
    taken: Vec<Taken<u64, Item>>,
    cancels: u64,
    done: u64,
}

impl<'b> Sweep<'b> {
    fn item(&mut self) -> Item {
        let bytes = if self.random.below(10) == 0 {
            1 + self.random.below(LIMIT / 3)
        } else {
            1 + self.random.below(40)
        };
        let mut drops = self.drops.lock().unwrap();
        drops.push(0);
        Item { number: drops.len() - 1, bytes, drops: Arc::clone(&self.drops) }
    }

    fn begin_push(&mut self) {
        let (buffer, clock) = (self.buffer, self.clock);
        let feed = &self.feeds[self.random.index(self.feeds.len())];
        let push = match self.random.below(4) {
            0 => {
                let count = 1 + self.random.below(40);
                let items: Vec<_> = (0..count).map(|_| self.item()).filter(|item| item.bytes < 20).collect();
                let told = items.iter().map(|item| (item.number, item.bytes)).collect();
                let vector = Arc::new(Mutex::new(items));
                let of_it = Arc::clone(&vector);
                let future = Box::pin(async move {
                    let mut items = std::mem::take(&mut *of_it.lock().unwrap());
                    // Whatever ends this, the vector goes back to where the test sees it.
                    struct Back<'v>(&'v mut Vec<Item>, Vector);
                    impl Drop for Back<'_> {
                        fn drop(&mut self) {
                            *self.1.lock().unwrap() = std::mem::take(self.0);
                        }
                    }
                    let back = Back(&mut items, Arc::clone(&of_it));
                    feed.push_batch(back.0, clock).await.is_ok()
                });
                Push { key: *feed.key(), future, items: told, vector: Some(vector) }
            }
            1 => {
                let item = self.item();
                let items = vec![(item.number, item.bytes)];
                let future = Box::pin(async move { feed.push(item, clock).await.is_ok() });
                Push { key: *feed.key(), future, items, vector: None }
            }
            _ => {
                let (item, key) = (self.item(), self.random.below(KEYS));
                let items = vec![(item.number, item.bytes)];
                let future = Box::pin(async move { buffer.push(key, item, clock).await.is_ok() });
                Push { key, future, items, vector: None }
            }
        };
        self.pushes.push(push);
        self.poll_push(self.pushes.len() - 1);
    }

    fn poll_push(&mut self, at: usize) {
        if let Poll::Ready(accepted) = poll(self.pushes[at].future.as_mut()) {
            let push = self.pushes.swap_remove(at);
            assert!(accepted, "seed {}: refused", self.seed);
            self.lanes.entry(push.key).or_default().items.extend(push.items);
            assert!(push.vector.is_none_or(|vector| vector.lock().unwrap().is_empty()));
        }
    }

    fn cancel_push(&mut self, at: usize) {
        let Push { future, items, vector, .. } = self.pushes.swap_remove(at);
        drop(future);
        if let Some(vector) = vector {
            let back: Told = vector.lock().unwrap().iter().map(|item| (item.number, item.bytes)).collect();
            assert_eq!(back, items, "seed {}: the vector got its items back", self.seed);
        }
        let drops = self.drops.lock().unwrap();
        assert!(items.iter().all(|&(number, _)| drops[number] == 1), "seed {}: dropped with it", self.seed);
    }

    fn has_taken(&mut self, taken: Taken<u64, Item>) {
        let lane = self.lanes.get_mut(taken.key()).unwrap();
        let wanted = lane.items.iter().take(taken.len()).map(|&(number, _)| number);
        assert!(taken.items().map(|item| item.number).eq(wanted), "seed {}: not the front", self.seed);
        assert_eq!(lane.out, 0, "seed {}: the lane is out twice", self.seed);
        lane.out = taken.len();
        self.taken.push(taken);
    }

    fn complete(&mut self, at: usize) {
        let taken = self.taken.swap_remove(at);
        let lane = self.lanes.get_mut(taken.key()).unwrap();
        let gone = lane.discarded.max(lane.out);
        self.done += lane.out as u64;
        (lane.out, lane.discarded) = (0, 0);
        let gone: Vec<_> = lane.items.drain(..gone).collect();
        taken.complete();
        let drops = self.drops.lock().unwrap();
        assert!(
            gone.iter().all(|&(number, _)| drops[number] == 1),
            "seed {}: done and not dropped",
            self.seed
        );
    }

    fn cancel_taken(&mut self, at: usize) {
        let taken = self.taken.swap_remove(at);
        let lane = self.lanes.get_mut(taken.key()).unwrap();
        let discarded = std::mem::take(&mut lane.discarded);
        lane.out = 0;
        lane.items.drain(..discarded);
        let kept = match self.random.below(3) {
            0 => taken.give_back(),
            1 => taken.give_back_until(self.now + Duration::from_millis(self.random.below(500))),
            _ => {
                drop(taken);
                return;
            }
        };
        assert_eq!(kept, discarded == 0, "seed {}", self.seed);
    }

    fn discard(&mut self) {
        let key = self.random.below(KEYS);
        self.buffer.discard(&key);
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if lane.out > 0 {
            lane.discarded = lane.items.len();
        } else {
            lane.items.clear();
        }
    }

    fn step(&mut self) {
        match self.random.below(16) {
            0..5 if self.pushes.len() < 20 => self.begin_push(),
            5 | 6 if !self.pushes.is_empty() => {
                let at = self.random.index(self.pushes.len());
                self.poll_push(at);
            }
            7 | 8 if !self.pushes.is_empty() => {
                let at = self.random.index(self.pushes.len());
                self.cancel_push(at);
                self.cancels += 1;
            }
            9 if self.takes.len() < 4 => {
                let (buffer, clock) = (self.buffer, self.clock);
                self.takes.push(Box::pin(buffer.take(clock)));
            }
            10 if !self.takes.is_empty() => {
                let at = self.random.index(self.takes.len());
                drop(self.takes.swap_remove(at));
                self.cancels += 1;
            }
            11 if !self.takes.is_empty() => {
                let at = self.random.index(self.takes.len());
                if let Poll::Ready(taken) = poll(self.takes[at].as_mut()) {
                    drop(self.takes.swap_remove(at));
                    self.has_taken(taken.unwrap());
                }
            }
            12 => {
                if let Some(taken) = self.buffer.try_take(self.now) {
                    self.has_taken(taken);
                }
            }
            13 if !self.taken.is_empty() => {
                let at = self.random.index(self.taken.len());
                self.cancel_taken(at);
                self.cancels += 1;
            }
            14 if !self.taken.is_empty() => {
                let at = self.random.index(self.taken.len());
                self.complete(at);
            }
            15 => match self.random.below(8) {
                0 => self.discard(),
                1 => self.buffer.flush(&self.random.below(KEYS)),
                // Past the second after which lanes are forgotten.
                2 => self.now += Duration::from_millis(self.random.below(1500)),
                _ => self.now += Duration::from_millis(self.random.below(50)),
            },
            _ => {}
        }
        self.clock.put(self.now);
        if self.random.below(100) == 0 {
            self.counts_are_right();
        }
    }

    /// With nobody in the way what is in use is what the lanes hold.
    fn counts_are_right(&mut self) {
        while !self.pushes.is_empty() {
            self.cancel_push(0);
            self.cancels += 1;
        }
        let held: u64 = self.lanes.values().flat_map(|lane| &lane.items).map(|&(_, bytes)| bytes).sum();
        assert_eq!(self.buffer.budget().in_use(), held, "seed {}: bytes", self.seed);
        let out: usize = self.lanes.values().map(|lane| lane.out).sum();
        assert_eq!(self.buffer.out().rows, out as u64, "seed {}: out", self.seed);
        let waiting: usize = self.lanes.values().map(|lane| lane.items.len() - lane.out).sum();
        assert_eq!(self.buffer.waiting().rows, waiting as u64, "seed {}: waiting", self.seed);
    }

    fn end(mut self) -> (u64, u64) {
        self.takes.clear();
        self.counts_are_right();
        while !self.taken.is_empty() {
            self.complete(0);
        }
        // All that was left alone for a while is due again by then.
        self.now += common::HOUR;
        self.buffer.flush_all();
        while let Some(taken) = self.buffer.try_take(self.now + common::HOUR) {
            self.has_taken(taken);
            self.complete(0);
        }
        assert!(self.lanes.values().all(|lane| lane.items.is_empty()), "seed {}: lost", self.seed);
        assert_eq!(self.buffer.budget().in_use(), 0);
        let drops = self.drops.lock().unwrap();
        assert!(drops.iter().all(|&drops| drops == 1), "seed {}: not dropped once", self.seed);
        (self.cancels, self.done)
    }
}

fn sweep(buffer: &Buffer<u64, Item>, seed: u64, cancels: u64, now: Instant) -> (u64, u64) {
    let clock = Stopped::at(now);
    let feeds: Vec<_> = (0..3).map(|key| buffer.feed(key).unwrap()).collect();
    let mut sweep = Sweep {
        seed,
        random: Seeded(seed),
        buffer,
        clock: &clock,
        now,
        feeds: &feeds,
        drops: Drops::default(),
        lanes: HashMap::new(),
        pushes: Vec::new(),
        takes: Vec::new(),
        taken: Vec::new(),
        cancels: 0,
        done: 0,
    };
    while sweep.cancels < cancels {
        sweep.step();
    }
    sweep.end()
}

#[test]
fn m7_cancelled_pushes_and_takes_lose_nothing() {
    let policy = Policy { rows_max: 8, bytes_max: 300, age_max: Duration::from_millis(100) };
    let buffer = Buffer::new(policy, Budget::new(LIMIT));
    let (mut cancels, mut done, mut now) = (0, 0, Instant::now());
    let mut before = None;
    let seeds = 10;
    for seed in 0..seeds {
        let swept = sweep(&buffer, seed, cancels_wanted() / seeds, now);
        (cancels, done) = (cancels + swept.0, done + swept.1);
        // As the sweeps' time is the buffer's.
        now += 1000 * common::HOUR;
        for _ in 0..4 {
            now += Duration::from_secs(1);
            assert!(buffer.try_take(now).is_none());
        }
        assert_eq!(buffer.active_lanes(), 0);
        let left = live::bytes();
        let grown = left - *before.get_or_insert(left);
        assert!(grown < KEPT_MAX, "{grown} bytes stay after seed {seed}");
    }
    println!("{cancels} cancelled, {done} items done: none lost, none doubled, none out of order");
}
