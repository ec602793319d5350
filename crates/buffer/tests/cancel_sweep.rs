//! M7, the budget's half: requests that are cancelled at every moment, by seed, against a model that says after each step how
//! many bytes are taken and who has them. `CANCELS=1000000 cargo test --release --test cancel_sweep -- --nocapture`
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::{HashMap, VecDeque};
use std::env;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;

use common::{Bell, poll, poll_with};
use standpipe_buffer::{Acquire, Budget, Permit};

const LIMIT: u64 = 1000;

fn cancels_wanted() -> u64 {
    env::var("CANCELS").map_or(20_000, |count| count.parse().unwrap())
}

struct Seeded(u64);

impl Seeded {
    /// Below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }

    fn bytes(&mut self) -> u64 {
        // Most are small, some take nearly all.
        if self.below(10) == 0 { 1 + self.below(LIMIT) } else { 1 + self.below(LIMIT / 10) }
    }
}

/// A request that was polled and has not resolved.
struct Pending {
    id: u64,
    bytes: u64,
    acquire: Pin<Box<Acquire>>,
    bell: Arc<Bell>,
}

/// Who should wait and who should have been granted.
#[derive(Default)]
struct Model {
    used: u64,
    waiting: VecDeque<(u64, u64)>,
    granted: HashMap<u64, u64>,
}

impl Model {
    fn grant(&mut self) {
        while let Some(&(id, bytes)) = self.waiting.front()
            && self.used + bytes <= LIMIT
        {
            self.waiting.pop_front();
            self.used += bytes;
            self.granted.insert(id, bytes);
        }
    }
}

fn sweep(seed: u64, cancels_wanted: u64) -> Result<(u64, u64), String> {
    let (mut random, budget) = (Seeded(seed), Budget::new(LIMIT));
    let (mut model, mut pending, mut held) = (Model::default(), Vec::<Pending>::new(), Vec::<Permit>::new());
    let (mut cancels, mut grants, mut id) = (0_u64, 0_u64, 0_u64);
    while cancels < cancels_wanted {
        let wrong = move |what: &str| Err(format!("seed {seed}, after {cancels} cancels: {what}"));
        match random.below(8) {
            0..3 if pending.len() < 40 => {
                id += 1;
                let (bytes, bell) = (random.bytes(), Bell::new());
                let mut acquire = Box::pin(budget.acquire(bytes));
                let fits = model.waiting.is_empty() && model.used + bytes <= LIMIT;
                match poll_with(acquire.as_mut(), &bell) {
                    Poll::Ready(permit) if fits => {
                        model.used += bytes;
                        held.push(permit.unwrap());
                    }
                    Poll::Pending if !fits => {
                        model.waiting.push_back((id, bytes));
                        pending.push(Pending { id, bytes, acquire, bell });
                    }
                    Poll::Ready(_) => return wrong("one who came later passed"),
                    Poll::Pending => return wrong("bytes were free, nobody waited, and it was not let in"),
                }
            }
            3 if !pending.is_empty() => {
                let at = random.index(pending.len());
                // Now and then from another task.
                if random.below(2) == 0 {
                    let rang = pending[at].bell.rang();
                    pending[at].bell = Bell::new();
                    if rang != model.granted.contains_key(&pending[at].id) {
                        return wrong("a wake was lost, or was for nothing");
                    }
                }
                let bell = Arc::clone(&pending[at].bell);
                let answer = poll_with(pending[at].acquire.as_mut(), &bell);
                let granted = model.granted.remove(&pending[at].id).is_some();
                match answer {
                    Poll::Ready(permit) if granted => {
                        held.push(permit.unwrap());
                        grants += 1;
                        pending.swap_remove(at);
                    }
                    Poll::Pending if !granted => {}
                    _ => return wrong("granted out of turn"),
                }
            }
            4 | 5 if !pending.is_empty() => {
                let gone = pending.swap_remove(random.index(pending.len()));
                drop(gone.acquire);
                match model.granted.remove(&gone.id) {
                    Some(bytes) => model.used -= bytes,
                    None => model.waiting.retain(|&(id, _)| id != gone.id),
                }
                assert!(gone.bytes <= LIMIT);
                model.grant();
                cancels += 1;
            }
            6 | 7 if !held.is_empty() => {
                let at = random.index(held.len());
                let half = held[at].bytes() / 2;
                let gone = match held[at].split(half) {
                    Some(part) if random.below(2) == 0 => part,
                    part => {
                        let whole = held.swap_remove(at);
                        held.extend(part);
                        whole
                    }
                };
                model.used -= gone.bytes();
                drop(gone);
                model.grant();
            }
            _ => {}
        }
        held.retain(|permit| permit.bytes() > 0);
        if (budget.in_use(), budget.waiters()) != (model.used, model.waiting.len()) {
            return wrong("the counts are off");
        }
        if pending.iter().any(|request| request.bell.rang() != model.granted.contains_key(&request.id)) {
            return wrong("a wake was lost, or was for nothing");
        }
    }
    drop((pending, held));
    let rest = (budget.in_use(), budget.waiters(), budget.is_pressed());
    if rest == (0, 0, false) && budget.peak() <= LIMIT {
        Ok((cancels, grants))
    } else {
        Err(format!("seed {seed}: left behind: {rest:?}"))
    }
}

#[test]
fn m7_cancelled_requests_leak_nothing_and_keep_the_order() {
    let (mut cancels, mut grants) = (0, 0);
    for seed in 0..10 {
        let swept = sweep(seed, cancels_wanted() / 10).unwrap();
        cancels += swept.0;
        grants += swept.1;
    }
    println!("{cancels} requests cancelled, {grants} granted after a wait: 0 bytes lost, none out of order");
}

#[cfg(feature = "planted")]
#[test]
fn m7_a_request_that_stays_in_line_is_found() {
    use standpipe_buffer::planted::{Plant, plant};
    plant(Some(Plant::ForgetsCancelled));
    let found = sweep(1, 1000);
    plant(None);
    assert!(found.is_err());
}

#[test]
fn m7_cancelled_between_threads_everything_comes_back() {
    let budget = Budget::new(LIMIT);
    let per_thread = cancels_wanted() / 4;
    thread::scope(|scope| {
        for seed in 0..4 {
            let budget = &budget;
            scope.spawn(move || {
                let (mut random, mut cancels) = (Seeded(seed), 0);
                let mut kept = None;
                while cancels < per_thread {
                    let mut acquire = Box::pin(budget.acquire(random.bytes()));
                    for _ in 0..random.below(4) {
                        if let Poll::Ready(permit) = poll(acquire.as_mut()) {
                            kept = Some(permit.unwrap());
                            break;
                        }
                        if random.below(8) == 0 {
                            thread::yield_now();
                        }
                    }
                    drop(acquire);
                    if random.below(3) == 0 {
                        kept = None;
                    }
                    cancels += 1;
                }
                drop(kept);
            });
        }
    });
    assert_eq!((budget.in_use(), budget.waiters(), budget.is_pressed()), (0, 0, false));
    assert!(budget.peak() <= LIMIT);
    // Nobody was forgotten in line: all of it is to be had.
    assert!(budget.try_acquire(LIMIT).is_some());
}
