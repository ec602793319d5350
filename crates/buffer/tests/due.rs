//! When a lane is due: by age, by rows, by real bytes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use common::{Bell, HOUR, Item, TokioClock, complete, never, numbers};
use standpipe_buffer::{Budget, JoinLimit, Lanes, Permit, Policy, Reason, Weigh, Weight};

const INTERVAL: Duration = Duration::from_millis(100);

/// A rule of ageing: rows go in, and come out when it says so.
trait Ageing {
    fn push(&mut self, now: Instant);
    /// The rows it lets go now, by the time at which they came.
    fn take(&mut self, now: Instant) -> usize;
}

impl Ageing for Lanes<u8, Item> {
    fn push(&mut self, now: Instant) {
        Lanes::push(self, 1, Item::new(0, 1, 1), now).unwrap();
    }
    fn take(&mut self, now: Instant) -> usize {
        self.try_take(now).map_or(0, |taken| {
            assert_eq!(taken.reason(), Reason::Age);
            let rows = taken.len();
            taken.complete();
            rows
        })
    }
}

/// The planted fault of K2: each row starts the timer anew.
struct StartsAnew {
    rows: usize,
    due: Option<Instant>,
}

impl Ageing for StartsAnew {
    fn push(&mut self, now: Instant) {
        self.rows += 1;
        self.due = Some(now + INTERVAL);
    }
    fn take(&mut self, now: Instant) -> usize {
        if self.due.is_some_and(|due| due <= now) { std::mem::take(&mut self.rows) } else { 0 }
    }
}

/// One row each half interval, looked at each quarter: none may stay longer than the interval.
fn a_trickle_is_taken_in_time(rule: &mut impl Ageing) -> Result<(), String> {
    let start = Instant::now();
    let mut pushed = Vec::new();
    for quarter in 0..100_u32 {
        let now = start + INTERVAL / 4 * quarter;
        if quarter % 2 == 0 {
            rule.push(now);
            pushed.push(now);
        }
        let taken = rule.take(now);
        for came in pushed.drain(..taken) {
            if now - came > INTERVAL {
                return Err(format!("a row waited {:?}", now - came));
            }
        }
        if let Some(waits) = pushed.first().map(|&came| now - came)
            && waits > INTERVAL
        {
            return Err(format!("a row waits for {waits:?}"));
        }
    }
    Ok(())
}

#[test]
fn k2_a_row_each_half_interval_is_taken_within_the_interval() {
    a_trickle_is_taken_in_time(&mut Lanes::new(Policy { age_max: INTERVAL, ..Policy::default() })).unwrap();
    assert!(a_trickle_is_taken_in_time(&mut StartsAnew { rows: 0, due: None }).is_err());
}

#[tokio::test(start_paused = true)]
async fn k2_a_trickle_is_taken_by_a_task_that_only_waits() {
    let lanes = Lanes::new(Policy { age_max: INTERVAL, ..Policy::default() });
    let pusher = lanes.clone();
    let push = tokio::spawn(async move {
        for number in 0..40 {
            pusher.push(1, Item::new(number, 1, 1), tokio::time::Instant::now().into_std()).unwrap();
            tokio::time::sleep(INTERVAL / 2).await;
        }
        pusher.close();
    });
    let mut seen = Vec::new();
    while let Some(taken) = lanes.take(&TokioClock).await {
        let waited = tokio::time::Instant::now().into_std() - taken.oldest().unwrap();
        // The simulated timer counts whole milliseconds.
        assert!(waited <= INTERVAL + Duration::from_millis(1), "waited {waited:?}");
        seen.extend(complete(taken));
    }
    push.await.unwrap();
    assert_eq!(seen, (0..40).collect::<Vec<_>>());
}

#[test]
fn k2_an_item_given_back_keeps_its_age() {
    let start = Instant::now();
    let lanes = Lanes::new(Policy { age_max: INTERVAL, ..never() });
    lanes.push(1, Item::new(1, 1, 1), start).unwrap();
    let joined = lanes.take_more(start, JoinLimit { rows: 9, bytes: 9, lanes: 1 }).remove(0);
    lanes.push(1, Item::new(2, 1, 1), start + INTERVAL / 2).unwrap();
    assert_eq!(lanes.deadline(), None, "a lane that is out has no deadline");
    assert!(joined.give_back());
    assert_eq!(lanes.deadline(), Some(start + INTERVAL));
    assert!(lanes.try_take(start + INTERVAL / 2).is_none());
    let taken = lanes.try_take(start + INTERVAL).unwrap();
    assert_eq!((taken.reason(), taken.oldest()), (Reason::Age, Some(start)));
    assert_eq!(complete(taken), [1, 2]);
}

/// What keeps a row of a megabyte: real memory, and what the buffer believes of it.
struct Megabyte {
    row: Vec<u8>,
    believed: u64,
    _permit: Permit,
}

impl Weigh for Megabyte {
    fn weight(&self) -> Weight {
        Weight { rows: 1, bytes: self.believed }
    }
}

/// Fills a 16 MiB budget with rows of 1 MiB and cuts them into batches of at most 4 MiB, weighed by `weigh`.
fn real_bytes_stay_within(weigh: fn(&[u8]) -> u64) -> Result<(), String> {
    const MIB: usize = 1 << 20;
    let (budget, lanes, now) = (Budget::new(16 << 20), Lanes::new(Policy::default()), Instant::now());
    let mut real = 0;
    for _ in 0..64 {
        let row = vec![0; MIB];
        let Some(permit) = budget.try_acquire(weigh(&row)) else { break };
        real += row.len();
        let believed = weigh(&row);
        lanes.push(1, Megabyte { row, believed, _permit: permit }, now).unwrap();
    }
    if real > 16 * MIB {
        return Err(format!("{} MiB in memory", real / MIB));
    }
    lanes.close();
    while let Some(taken) = lanes.try_take(now) {
        let batch: usize = taken.items().map(|item| item.row.len()).sum();
        if batch > 4 * MIB {
            return Err(format!("a batch of {} MiB", batch / MIB));
        }
        real -= batch;
        taken.complete();
    }
    assert_eq!((real, budget.in_use()), (0, 0));
    Ok(())
}

#[test]
fn k13_real_bytes_decide() {
    real_bytes_stay_within(|row| row.len() as u64).unwrap();
    // Planted: a hundred bytes a row, whatever the row.
    assert!(real_bytes_stay_within(|_| 100).unwrap_err().contains("in memory"));
}

#[test]
fn a_batch_is_within_the_policy_unless_one_item_is_not() {
    let now = Instant::now();
    let lanes = Lanes::new(Policy { rows_max: 10, bytes_max: 100, age_max: HOUR });
    for (number, rows, bytes) in [(1, 4, 10), (2, 6, 10), (3, 99, 10), (4, 1, 999), (5, 1, 60), (6, 1, 41)] {
        lanes.push(1, Item::new(number, rows, bytes), now).unwrap();
    }
    lanes.flush_all();
    let mut batches = Vec::new();
    while let Some(taken) = lanes.try_take(now) {
        batches.push((numbers(taken.items()), taken.reason()));
        taken.complete();
    }
    assert_eq!(
        batches,
        [
            (vec![1, 2], Reason::Rows),
            (vec![3], Reason::Rows),
            (vec![4], Reason::Bytes),
            (vec![5], Reason::Bytes),
            (vec![6], Reason::Flush),
        ]
    );
}

#[test]
fn a_push_wakes_when_a_lane_is_due_or_the_deadline_comes_nearer() {
    let start = Instant::now();
    let lanes = Lanes::new(Policy { rows_max: 3, age_max: INTERVAL, ..Policy::default() });
    let bell = Bell::new();
    let waker = Waker::from(bell.clone());
    let mut cx = Context::from_waker(&waker);
    let mut taker = lanes.taker();
    assert!(taker.poll_take(start, &mut cx).is_pending());
    assert_eq!(taker.deadline(), None);

    lanes.push(1, Item::new(1, 1, 1), start).unwrap();
    assert_eq!(bell.rings(), 1, "there was no deadline, now there is");
    assert_eq!(taker.deadline(), Some(start + INTERVAL));
    assert!(taker.poll_take(start, &mut cx).is_pending());

    lanes.push(1, Item::new(2, 1, 1), start + INTERVAL / 2).unwrap();
    lanes.push(2, Item::new(3, 1, 1), start + INTERVAL / 2).unwrap();
    assert_eq!(bell.rings(), 0, "the deadline is as it was and no lane is due");

    lanes.push(1, Item::new(4, 1, 1), start + INTERVAL / 2).unwrap();
    assert_eq!(bell.rings(), 1, "lane 1 is due by rows");
    assert!(taker.poll_take(start, &mut cx).is_ready());
}

#[test]
fn every_waiting_taker_knows_the_nearest_deadline() {
    let start = Instant::now();
    let lanes = Lanes::new(Policy { age_max: INTERVAL, ..never() });
    let (bell_a, bell_b) = (Bell::new(), Bell::new());
    let (waker_a, waker_b) = (Waker::from(bell_a.clone()), Waker::from(bell_b.clone()));
    let (mut a, mut b) = (lanes.taker(), lanes.taker());
    assert!(a.poll_take(start, &mut Context::from_waker(&waker_a)).is_pending());
    assert!(b.poll_take(start, &mut Context::from_waker(&waker_b)).is_pending());
    lanes.push(1, Item::new(1, 1, 1), start).unwrap();
    assert_eq!((bell_a.rings(), bell_b.rings()), (1, 1));
    // `a` sets its timer and is cancelled; `b` set its own and takes the lane.
    assert!(a.poll_take(start, &mut Context::from_waker(&waker_a)).is_pending());
    assert!(b.poll_take(start, &mut Context::from_waker(&waker_b)).is_pending());
    drop(a);
    assert!(b.poll_take(start + INTERVAL, &mut Context::from_waker(&waker_b)).is_ready());
}

#[test]
fn an_age_without_end_never_comes() {
    let now = Instant::now();
    let lanes = Lanes::new(Policy { age_max: Duration::MAX, ..Policy::default() });
    lanes.push(1, Item::new(1, 1, 1), now).unwrap();
    assert_eq!(lanes.deadline(), None);
    assert!(lanes.try_take(now + HOUR * 24 * 365).is_none());
    lanes.flush(&1);
    assert_eq!(lanes.try_take(now).unwrap().reason(), Reason::Flush);
}
