//! What takers cost.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use super::SWEPT_AT_ONCE;
use crate::{Budget, Buffer, Clock, Policy, Weigh, Weight};

struct Bytes(u64);

impl Weigh for Bytes {
    fn weight(&self) -> Weight {
        Weight { rows: 1, bytes: self.0 }
    }
}

/// A clock that stands still, with timers that never ring.
struct Still(Instant);

impl Clock for Still {
    type Sleep = std::future::Pending<()>;

    fn now(&self) -> Instant {
        self.0
    }

    fn sleep_until(&self, _deadline: Instant) -> Self::Sleep {
        std::future::pending()
    }
}

fn buffer(rows_max: u64) -> Buffer<u64, Bytes> {
    let policy = Policy { rows_max, bytes_max: u64::MAX, age_max: Duration::MAX };
    Buffer::new(policy, Budget::with_soft(10, 10_000))
}

#[test]
fn a_taker_that_finds_nothing_takes_the_lock_once() {
    let buffer = buffer(u64::MAX);
    let clock = Still(Instant::now());
    let mut taker = buffer.taker();
    let mut takes = std::pin::pin!(taker.take(&clock));
    buffer.try_push(0, Bytes(1)).unwrap();
    let locks = || buffer.lanes.shared().locks.load(Ordering::Relaxed);
    for _ in 0..3 {
        let before = locks();
        assert!(takes.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(locks() - before, 1);
    }
}

#[test]
fn pushes_under_pressure_do_not_look_over_all_lanes() {
    let buffer = buffer(u64::MAX);
    let now = Instant::now();
    buffer.try_push(0, Bytes(5_000)).unwrap();
    buffer.flush_all();
    let out = buffer.try_take(now).unwrap();
    let mut taker = buffer.taker();
    for lane in 1..=1_000 {
        assert!(taker.poll_take(now, &mut Context::from_waker(Waker::noop())).is_pending());
        buffer.try_push(lane, Bytes(1)).unwrap();
    }
    assert!(buffer.budget().is_pressed());
    assert!(buffer.lanes.shared().lock().looks <= 2, "a look for each push");
    drop(taker);
    out.complete();
    assert!(buffer.try_take(now).is_some(), "now what waits is relieved");
}

#[test]
fn many_lanes_are_let_go_of_a_few_at_a_time() {
    let buffer = buffer(1);
    let now = Instant::now();
    let lanes = 3 * SWEPT_AT_ONCE;
    for lane in 0..lanes as u64 {
        buffer.try_push(lane, Bytes(1)).unwrap();
        buffer.try_take(now).unwrap().complete();
    }
    let shared = buffer.lanes.shared();
    for left in [2, 1, 0] {
        assert!(buffer.try_take(now + Duration::from_secs(5)).is_none());
        assert_eq!(shared.lanes.len(), left * SWEPT_AT_ONCE);
    }
    let mut schedule = shared.lock();
    assert!(schedule.next_vacant().is_none());
}
