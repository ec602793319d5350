//! Items whose drop panics and wakers that panic: the lane is free afterwards, and nothing else is lost.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use common::{Bell, Stopped, never, poll, poll_with};
use standpipe_buffer::{Budget, Buffer, Clock, Policy, Weigh, Weight};

/// Counts its drop, and may panic then.
struct Row {
    dropped: Arc<AtomicUsize>,
    panics: bool,
}

impl Weigh for Row {
    fn weight(&self) -> Weight {
        Weight { rows: 1, bytes: 10 }
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        assert!(!self.panics, "the drop of an item");
    }
}

struct Rows {
    buffer: Buffer<u8, Row>,
    dropped: Arc<AtomicUsize>,
}

impl Rows {
    fn of(policy: Policy, bytes: u64) -> Self {
        Self { buffer: Buffer::new(policy, Budget::with_soft(bytes, bytes)), dropped: Arc::default() }
    }

    fn row(&self, panics: bool) -> Row {
        Row { dropped: Arc::clone(&self.dropped), panics }
    }

    fn fill(&self, panic: &[bool]) {
        for &panics in panic {
            assert!(self.buffer.try_push(1, self.row(panics)).is_ok());
        }
    }

    /// The lane works as before, and closing ends.
    fn is_sound(&self, dropped: usize) {
        assert_eq!((self.buffer.budget().in_use(), self.dropped.load(Ordering::Relaxed)), (0, dropped));
        self.fill(&[false, false]);
        let taken = self.buffer.try_take(Instant::now()).expect("the lane is free");
        assert_eq!(taken.len(), 2);
        taken.complete();
        self.buffer.close();
        let mut taker = self.buffer.taker();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(taker.poll_take(Instant::now(), &mut cx), Poll::Ready(None)), "it ends");
        assert_eq!((self.buffer.budget().in_use(), self.buffer.active_lanes()), (0, 0));
    }
}

fn two() -> Policy {
    Policy { rows_max: 2, ..never() }
}

fn panics(run: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err(), "the panic went on");
}

#[test]
fn an_item_that_panics_when_its_batch_is_done() {
    let rows = Rows::of(two(), 1000);
    rows.fill(&[true, false]);
    let taken = rows.buffer.try_take(Instant::now()).unwrap();
    panics(|| taken.complete());
    rows.is_sound(2);
}

#[test]
fn items_that_panic_when_their_lane_is_discarded() {
    let rows = Rows::of(never(), 1000);
    rows.fill(&[false, true, true, false]);
    panics(|| rows.buffer.discard(&1));
    let rows = Rows { buffer: rows.buffer, dropped: rows.dropped };
    assert_eq!((rows.buffer.budget().in_use(), rows.dropped.load(Ordering::Relaxed)), (0, 4));
    rows.fill(&[false]);
    rows.buffer.flush(&1);
    rows.buffer.try_take(Instant::now()).expect("the lane is free").complete();
}

#[test]
fn items_that_panic_when_a_discarded_batch_comes_back() {
    let rows = Rows::of(two(), 1000);
    rows.fill(&[true, true, false, true]);
    let taken = rows.buffer.try_take(Instant::now()).unwrap();
    rows.buffer.discard(&1);
    panics(|| _ = taken.give_back());
    rows.is_sound(4);
}

#[test]
fn items_that_panic_when_their_buffer_goes() {
    // Lanes that takers have looked at, and such as only those know who pushed.
    for looked_at in [true, false] {
        let rows = Rows::of(never(), 1000);
        for lane in 0..4 {
            for panics in [true, false, true] {
                assert!(rows.buffer.try_push(lane, rows.row(panics)).is_ok());
            }
        }
        let Rows { buffer, dropped } = rows;
        if looked_at {
            assert!(buffer.try_take(Instant::now()).is_none());
        }
        let budget = buffer.budget().clone();
        panics(|| drop(buffer));
        assert_eq!((budget.in_use(), dropped.load(Ordering::Relaxed)), (0, 12));
    }
}

struct Alarm;

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        panic!("a waker");
    }
}

#[test]
fn a_waker_that_panics_when_bytes_come_back() {
    let rows = Rows::of(two(), 20);
    rows.fill(&[false, false]);
    let clock = Stopped::at(Instant::now());
    let mut waits = Box::pin(rows.buffer.push(1, rows.row(false), &clock));
    let alarm = Waker::from(Arc::new(Alarm));
    assert!(waits.as_mut().poll(&mut Context::from_waker(&alarm)).is_pending());
    let taken = rows.buffer.try_take(clock.now()).unwrap();
    panics(|| taken.complete());
    assert!(poll(waits.as_mut()).is_ready());
    drop(waits);
    rows.buffer.discard(&1);
    rows.is_sound(3);
}

#[test]
fn a_waker_that_panics_keeps_no_other_taker_asleep() {
    let rows = Rows::of(two(), 1000);
    let now = Instant::now();
    let bell = Bell::new();
    let (mut first, mut second) = (rows.buffer.taker(), rows.buffer.taker());
    let alarm = Waker::from(Arc::new(Alarm));
    assert!(first.poll_take(now, &mut Context::from_waker(&alarm)).is_pending());
    let clock = Stopped::at(now);
    let mut waits = Box::pin(second.take(&clock));
    assert!(poll_with(waits.as_mut(), &bell).is_pending());
    panics(|| rows.fill(&[false]));
    assert!(bell.rings() > 0, "the new deadline is told to both");
    drop(waits);
    // With a lane in hand.
    assert!(second.poll_take(now, &mut Context::from_waker(Waker::noop())).is_pending());
    drop((first, second));
    rows.buffer.discard(&1);
    rows.is_sound(1);
}

/// A clock that panics on its second look.
struct Broken(std::cell::Cell<u32>);

impl Clock for Broken {
    type Sleep = std::future::Pending<()>;

    fn now(&self) -> Instant {
        self.0.set(self.0.get() + 1);
        assert!(self.0.get() != 1, "the clock");
        Instant::now()
    }

    fn sleep_until(&self, _deadline: Instant) -> Self::Sleep {
        std::future::pending()
    }
}

#[test]
fn a_clock_that_panics_leaves_no_hole_in_the_lane() {
    let rows = Rows::of(two(), 1000);
    let clock = Broken(std::cell::Cell::default());
    let feed = rows.buffer.feed(1).ok().unwrap();
    panics(|| _ = poll(Box::pin(feed.push(rows.row(false), &clock)).as_mut()));
    for _ in 0..2 {
        assert!(poll(Box::pin(feed.push(rows.row(false), &clock)).as_mut()).is_ready());
    }
    let taken = rows.buffer.try_take(Instant::now()).expect("the lane is not stuck");
    assert_eq!(taken.len(), 2);
}

#[test]
fn a_batch_given_back_keeps_its_age_although_an_item_came_meanwhile() {
    let began = Instant::now();
    let clock = Stopped::at(began);
    let age = Duration::from_secs(1);
    let rows = Rows::of(Policy { age_max: age, ..never() }, 1000);
    let feed = rows.buffer.feed(1).ok().unwrap();
    let push = || assert!(poll(Box::pin(feed.push(rows.row(false), &clock)).as_mut()).is_ready());
    push();
    rows.buffer.flush(&1);
    rows.buffer.try_take(began).unwrap().complete();
    // An item that is not timed itself.
    clock.put(began + age);
    push();
    let due = began + 2 * age;
    assert!(rows.buffer.try_take(due - Duration::from_millis(1)).is_none());
    let taken = rows.buffer.try_take(due).unwrap();
    clock.put(due);
    push();
    assert!(taken.give_back());
    let taken = rows.buffer.try_take(due).expect("it is due again at once");
    assert_eq!((taken.len(), taken.oldest()), (2, Some(began + age)));
    taken.complete();
}
