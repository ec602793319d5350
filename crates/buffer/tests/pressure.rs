//! Memory is full and nothing is due by itself: pressure gets it moving, whatever the taker was doing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use common::{Bell, Item, TokioClock, never, poll};
use standpipe_buffer::{Budget, Lanes, Policy, Pressure, Reason, Taken};

/// A buffer under pressure, as far as these checks need one.
trait Buffer {
    fn push(&mut self, lane: u32, bytes: u64);
    /// The taker looks while nothing is due, and waits.
    fn wait(&mut self);
    /// Somebody begins to wait for memory.
    fn press(&mut self);
    /// The next look of the taker: bytes taken, committed and freed; `None` if it would sleep.
    fn take(&mut self) -> Option<u64>;
}

/// Ours, with an hour's interval.
struct Ours {
    lanes: Lanes<u32, Item>,
    pressure: Option<Pressure<u32, Item>>,
    now: Instant,
}

impl Ours {
    fn new(policy: Policy) -> Self {
        Self { lanes: Lanes::new(policy), pressure: None, now: Instant::now() }
    }
}

impl Buffer for Ours {
    fn push(&mut self, lane: u32, bytes: u64) {
        self.lanes.push(lane, Item::new(0, 1, bytes), self.now).unwrap();
    }
    fn wait(&mut self) {
        let mut taker = self.lanes.taker();
        assert!(taker.poll_take(self.now, &mut Context::from_waker(Waker::noop())).is_pending());
    }
    fn press(&mut self) {
        self.pressure = Some(self.lanes.pressure());
    }
    fn take(&mut self) -> Option<u64> {
        let taken = self.lanes.try_take(self.now)?;
        assert_eq!(taken.reason(), Reason::Pressure);
        let bytes = taken.weight().bytes;
        taken.complete();
        Some(bytes)
    }
}

/// What the planted buffers get wrong.
enum Fault {
    /// K8: pressure wakes the taker if it waits at that moment, and is forgotten otherwise.
    Ping,
    /// M1: each lane looks only at its own trigger.
    OwnTrigger,
    /// M3: what is pushed to last is "open" and passed over.
    SkipsOpen,
}

struct Faulty {
    fault: Fault,
    lanes: BTreeMap<u32, u64>,
    open: Option<u32>,
    waits: bool,
    pinged: bool,
}

impl Faulty {
    fn new(fault: Fault) -> Self {
        Self { fault, lanes: BTreeMap::new(), open: None, waits: false, pinged: false }
    }
}

impl Buffer for Faulty {
    fn push(&mut self, lane: u32, bytes: u64) {
        *self.lanes.entry(lane).or_default() += bytes;
        self.open = Some(lane);
    }
    fn wait(&mut self) {
        self.waits = true;
    }
    fn press(&mut self) {
        self.pinged = self.waits || !matches!(self.fault, Fault::Ping);
    }
    fn take(&mut self) -> Option<u64> {
        self.waits = false;
        let trigger = 4 << 20;
        let (&lane, _) = self.lanes.iter().find(|&(lane, &bytes)| {
            self.pinged
                && match self.fault {
                    Fault::Ping => true,
                    Fault::OwnTrigger => bytes >= trigger,
                    Fault::SkipsOpen => Some(*lane) != self.open,
                }
        })?;
        self.lanes.remove(&lane)
    }
}

/// Fills a budget over `lanes` lanes, says so while the taker works, and drains until what is wanted is free.
fn memory_comes_free(buffer: &mut impl Buffer, lanes: u32, wanted: u64) -> Result<(), String> {
    buffer.wait();
    // The taker has been woken by something else and works; now the budget fills.
    for lane in 0..lanes {
        buffer.push(lane, 16 << 10);
    }
    let _ = buffer.take();
    buffer.press();
    let mut freed = 0;
    while freed < wanted {
        freed +=
            buffer.take().ok_or_else(|| format!("the taker sleeps with {freed} of {wanted} bytes free"))?;
    }
    Ok(())
}

#[test]
fn k8_pressure_that_begins_while_the_taker_works_is_found_at_its_next_take() {
    memory_comes_free(&mut Ours::new(never()), 4, 1).unwrap();
    assert!(memory_comes_free(&mut Faulty::new(Fault::Ping), 4, 1).is_err());
}

#[test]
fn m1_a_budget_spread_over_a_thousand_small_lanes_comes_free() {
    memory_comes_free(
        &mut Ours::new(Policy { age_max: common::HOUR, ..Policy::default() }),
        1000,
        1000 * (16 << 10),
    )
    .unwrap();
    assert!(memory_comes_free(&mut Faulty::new(Fault::OwnTrigger), 1000, 16 << 10).is_err());
}

#[test]
fn m3_one_open_lane_that_fills_the_budget_comes_free() {
    memory_comes_free(&mut Ours::new(never()), 1, 16 << 10).unwrap();
    assert!(memory_comes_free(&mut Faulty::new(Fault::SkipsOpen), 1, 16 << 10).is_err());
}

#[tokio::test(start_paused = true)]
async fn k8_writers_and_a_taker_go_through_a_full_budget_with_an_hours_interval() {
    let (budget, lanes) = (Budget::new(1000), Lanes::new(never()));
    let start = tokio::time::Instant::now();
    let writers: Vec<_> = (0..20_u32)
        .map(|writer| {
            let (budget, lanes) = (budget.clone(), lanes.clone());
            tokio::spawn(async move {
                for number in 0..50 {
                    let bytes = 1 + u64::from(writer) * 13 % 400;
                    let permit = match budget.try_acquire(bytes) {
                        Some(permit) => permit,
                        None => {
                            let _pressure = lanes.pressure();
                            budget.acquire(bytes).await.unwrap()
                        }
                    };
                    let now = tokio::time::Instant::now().into_std();
                    lanes.push(writer, Item::with(number, permit), now).unwrap();
                }
            })
        })
        .collect();
    let taker = tokio::spawn({
        let lanes = lanes.clone();
        async move {
            let mut rows = 0;
            while let Some(taken) = lanes.take(&TokioClock).await {
                // A commit that takes a while, so that pressure begins in the middle of it.
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                rows += taken.len();
                taken.complete();
            }
            rows
        }
    });
    for writer in writers {
        writer.await.unwrap();
    }
    lanes.close();
    assert_eq!(taker.await.unwrap(), 1000);
    assert!(start.elapsed() < common::HOUR, "in simulated time");
    assert_eq!((budget.in_use(), budget.waiters()), (0, 0));
    assert!(budget.peak() <= 1000);
}

#[test]
fn pressure_takes_the_largest_and_stops_when_enough_is_out() {
    let now = Instant::now();
    let lanes = Lanes::new(never());
    for (lane, bytes) in [(1, 10), (2, 50), (3, 30), (4, 20)] {
        lanes.push(lane, Item::new(0, 1, bytes), now).unwrap();
    }
    assert!(lanes.try_take(now).is_none());
    let pressure = lanes.pressure();
    let first = lanes.try_take(now).unwrap();
    let second = lanes.try_take(now).unwrap();
    assert_eq!((*first.key(), *second.key()), (2, 3));
    assert!(lanes.try_take(now).is_none(), "80 bytes are on their way out, 30 wait");

    let mut taker = lanes.taker();
    let bell = common::Bell::new();
    let waker = Waker::from(bell.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(taker.poll_take(now, &mut cx).is_pending());
    first.complete();
    second.complete();
    assert_eq!(bell.rings(), 1, "they are done and the pressure is still on");
    assert!(matches!(taker.poll_take(now, &mut cx), Poll::Ready(Some(taken)) if *taken.key() == 4));

    drop(pressure);
    assert!(lanes.try_take(now).is_none());
}

#[test]
fn pressure_moves_items_without_bytes_too() {
    let now = Instant::now();
    let lanes = Lanes::new(never());
    let _pressure = lanes.pressure();
    lanes.push(1, Item::new(1, 1, 0), now).unwrap();
    lanes.push(2, Item::new(2, 1, 0), now).unwrap();
    let taken: Taken<_, _> = lanes.try_take(now).unwrap();
    assert!(lanes.try_take(now).is_none());
    taken.complete();
    assert!(lanes.try_take(now).is_some());
}

#[test]
fn relief_does_not_wait_for_a_batch_that_hangs() {
    let budget = Budget::new(100);
    let buffer = standpipe_buffer::Buffer::new(never(), budget.clone());
    let now = Instant::now();
    buffer.try_push(0, Item::new(0, 1, 40)).unwrap();
    buffer.flush(&0);
    let hangs = buffer.try_take(now).unwrap();
    for number in 0..36 {
        buffer.try_push(1, Item::new(number, 1, 1)).unwrap();
    }
    let (mut taker, bell) = (buffer.taker(), Bell::new());
    let waker = Waker::from(Arc::clone(&bell));
    assert!(budget.is_pressed());
    assert!(taker.poll_take(now, &mut Context::from_waker(&waker)).is_pending(), "more is out than waits");
    for number in 36..60 {
        buffer.try_push(1, Item::new(number, 1, 1)).unwrap();
    }
    let mut waits = pin!(budget.acquire(1));
    assert!(poll(waits.as_mut()).is_pending());
    assert!(bell.rang(), "60 bytes wait, 40 are out, and all is full");
    let relief = buffer.try_take(now).unwrap();
    assert_eq!((*relief.key(), relief.reason()), (1, Reason::Pressure));
    relief.complete();
    assert!(poll(waits).is_ready());
    hangs.complete();
}
