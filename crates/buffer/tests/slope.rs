//! The slope between soft and hard, in virtual time: twice the load that drains, for a minute.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss)]

mod common;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::task::Poll;
use std::time::{Duration, Instant};

use common::poll;
use standpipe_buffer::{Acquire, Budget, Permit};

const MIB: u64 = 1 << 20;
/// What drains: 80 MiB a second.
const DRAIN: u64 = 80 * MIB;

/// One run: producers that ask for `bytes` at a time, together twice what drains if nothing held them back, and a drain that
/// gives back a lump at a time.
#[derive(Clone, Copy, Debug)]
struct Run {
    limit: u64,
    lump: u64,
    producers: u64,
    bytes: u64,
    seconds: u64,
    slope: bool,
}

impl Run {
    fn flush(&self) -> Duration {
        Duration::from_secs_f64(self.lump as f64 / DRAIN as f64)
    }
}

#[derive(Debug, Default)]
struct Seen {
    goodput: f64,
    fill_mean: f64,
    fill_min: f64,
    fill_max: f64,
    /// How much of the time it was above soft.
    above: f64,
    /// Longest time without an admission.
    gap_max: Duration,
    delay_max: Duration,
    delay_mean: Duration,
    /// Requests that had to wait for the hard limit.
    at_the_wall: u64,
    admitted: u64,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Flush,
    /// A producer has something to write.
    Asks,
    /// A producer's delay is over.
    Enters,
}

fn simulate(run: Run) -> Seen {
    let budget = Budget::new(run.limit);
    let (start, soft) = (Instant::now(), budget.soft_limit());
    let think = Duration::from_secs_f64((run.producers * run.bytes) as f64 / (2 * DRAIN) as f64);
    let mut events: BinaryHeap<Reverse<(Duration, u64, Event)>> = BinaryHeap::new();
    let mut order = 0;
    let mut at = |events: &mut BinaryHeap<_>, when, what| {
        order += 1;
        events.push(Reverse((when, order, what)));
    };
    for producer in 0..run.producers {
        at(
            &mut events,
            think * u32::try_from(producer).unwrap() / u32::try_from(run.producers).unwrap(),
            Event::Asks,
        );
    }
    at(&mut events, run.flush(), Event::Flush);
    let mut waiting: VecDeque<std::pin::Pin<Box<Acquire>>> = VecDeque::new();
    let mut held: VecDeque<Permit> = VecDeque::new();
    let (end, settled) = (Duration::from_secs(run.seconds), Duration::from_secs(6));
    let (mut drained, mut flushes, mut admitted_last) = (0, 0_u64, settled);
    // What the drain is owed: a request may be larger than a lump.
    let mut due = 0;
    let mut seen = Seen { fill_min: f64::MAX, ..Seen::default() };
    let mut delays = Duration::ZERO;
    while let Some(Reverse((now, _, event))) = events.pop() {
        if now > end {
            break;
        }
        let mut entered = 0;
        match event {
            Event::Flush => {
                at(&mut events, now + run.flush(), Event::Flush);
                let fill = (budget.in_use() as f64 - soft as f64) / (run.limit - soft) as f64;
                let mut lump = 0;
                due += run.lump;
                while due >= run.bytes
                    && let Some(permit) = held.pop_front()
                {
                    lump += permit.bytes();
                    due -= permit.bytes();
                }
                while let Some(first) = waiting.front_mut()
                    && let Poll::Ready(permit) = poll(first.as_mut())
                {
                    held.push_back(permit.unwrap());
                    waiting.pop_front();
                    entered += 1;
                }
                if now > settled {
                    drained += lump;
                    flushes += 1;
                    seen.fill_mean += fill;
                    seen.above += f64::from(u8::from(fill > 0.0));
                    seen.fill_min = seen.fill_min.min(fill);
                    seen.fill_max = seen.fill_max.max(fill);
                }
            }
            Event::Asks => {
                let delay = if run.slope { budget.delay(run.bytes, start + now) } else { Duration::ZERO };
                if now > settled {
                    delays += delay;
                    seen.delay_max = seen.delay_max.max(delay);
                }
                at(&mut events, now + delay, Event::Enters);
            }
            Event::Enters => {
                let mut acquire = Box::pin(budget.acquire(run.bytes));
                match poll(acquire.as_mut()) {
                    Poll::Ready(permit) => {
                        held.push_back(permit.unwrap());
                        entered += 1;
                    }
                    Poll::Pending => {
                        waiting.push_back(acquire);
                        seen.at_the_wall += u64::from(now > settled);
                    }
                }
            }
        }
        for _ in 0..entered {
            at(&mut events, now + think, Event::Asks);
        }
        if entered > 0 && now > settled {
            seen.admitted += entered;
            seen.gap_max = seen.gap_max.max(now - admitted_last);
            admitted_last = now;
        }
    }
    seen.goodput = drained as f64 / (DRAIN as f64 * (end - settled).as_secs_f64());
    seen.fill_mean /= flushes as f64;
    seen.above /= flushes as f64;
    seen.delay_mean = delays / u32::try_from(seen.admitted.max(1)).unwrap();
    assert!(budget.peak() <= budget.limit());
    seen
}

/// What the slope is for. The fill is looked at just before each flush, so it may stand half a lump above the middle.
fn settles(run: Run) -> Result<Seen, String> {
    let seen = simulate(run);
    // A request that is larger than a lump takes as long as it takes to drain; a timer is no finer than a millisecond.
    let request = Duration::from_secs_f64(run.bytes as f64 / DRAIN as f64);
    let flushes = (2 * run.flush().max(request)).max(Duration::from_millis(2));
    let faults = [
        (seen.goodput < 0.95, "goodput"),
        (seen.above < 0.99, "fell below soft"),
        (!(0.1..0.9).contains(&seen.fill_mean), "did not settle between soft and hard"),
        (seen.gap_max > flushes, "a gap of more than two flushes"),
        (seen.delay_max > Budget::DELAY_MAX, "a delay above the longest"),
        (seen.at_the_wall * 100 > seen.admitted, "many ran into the hard limit"),
    ];
    match faults.iter().find(|(is_so, _)| *is_so) {
        Some((_, fault)) => Err(format!("{fault}: {run:?} {seen:?}")),
        None => Ok(seen),
    }
}

#[test]
fn a_minute_of_twice_the_load_settles_between_soft_and_hard() {
    let runs = [(8, 64 << 10), (64, 64 << 10), (4, MIB), (200, 16 << 10)];
    for lump in [4 * MIB, 64 << 10] {
        for limit in [32 * MIB, 256 * MIB] {
            for (producers, bytes) in runs {
                let run = Run { limit, lump, producers, bytes, seconds: 60, slope: true };
                let seen = settles(run).unwrap();
                println!(
                    "limit {:>3} MiB, lumps of {:>4} KiB, {producers:>3} x {:>4} KiB: goodput {:.3}, fill {:.2} ({:.2} to {:.2}), \
                     gap {:>5.1} ms, delay {:>5.1} ms (at most {:>5.1}), {} of {} met the wall",
                    limit / MIB,
                    lump >> 10,
                    bytes >> 10,
                    seen.goodput,
                    seen.fill_mean,
                    seen.fill_min,
                    seen.fill_max,
                    seen.gap_max.as_secs_f64() * 1e3,
                    seen.delay_mean.as_secs_f64() * 1e3,
                    seen.delay_max.as_secs_f64() * 1e3,
                    seen.at_the_wall,
                    seen.admitted,
                );
            }
        }
    }
    // Planted: a cliff.
    let run =
        Run { limit: 32 * MIB, lump: 4 * MIB, producers: 64, bytes: 64 << 10, seconds: 10, slope: false };
    assert!(settles(run).is_err());
}

/// A budget of 100 MiB above soft (75) out of which lumps have drained at a steady pace until the time that is returned.
fn drained(lump: u64, every: Duration, lumps: u32) -> (Budget, Permit, Instant) {
    let budget = Budget::new(100 * MIB);
    let hold = budget.try_acquire(76 * MIB).unwrap();
    let mut now = Instant::now();
    assert_eq!(budget.delay(0, now), Duration::from_millis(1), "nothing has drained yet");
    for _ in 0..lumps {
        now += every;
        drop(budget.try_acquire(lump).unwrap());
        let _observed = budget.delay(0, now);
    }
    (budget, hold, now)
}

#[test]
fn the_delay_grows_with_the_fill_and_falls_with_the_drain_rate() {
    let at = |fill: u64, every: Duration| {
        let (budget, hold, now) = drained(4 * MIB, every, 20);
        let more = budget.try_acquire((fill - 76) * MIB).unwrap();
        let delay = budget.delay(MIB, now);
        drop((hold, more));
        delay
    };
    let flush = Duration::from_millis(50);
    let delays: Vec<_> = (76..=100).map(|fill| at(fill, flush)).collect();
    assert!(delays.is_sorted_by(|a, b| a < b), "{delays:?}");
    // 80 MiB a second: a MiB takes 12.5 ms; about a quarter of that at soft, four times that at the limit. The first place may
    // begin a millisecond back.
    let near = |delay: Duration, ms: f64| ((1.0 + delay.as_secs_f64() * 1e3) / ms - 1.0).abs() < 0.15;
    assert!(near(delays[0], 12.5 / 4.0_f64.powf(0.92)), "{:?}", delays[0]);
    assert!(near(delays[24], 12.5 * 4.0), "{:?}", delays[24]);
    assert!(near(at(80, flush * 2), 2.0 * (1.0 + 1e3 * at(80, flush).as_secs_f64())));

    let (budget, hold, now) = drained(4 * MIB, flush, 20);
    drop(hold);
    let _soft = budget.try_acquire(75 * MIB).unwrap();
    assert_eq!(budget.delay(MIB, now), Duration::ZERO, "none at soft");
}

#[test]
fn each_has_a_place_of_its_own_in_order_and_none_waits_longer_than_the_longest() {
    let (budget, _hold, mut now) = drained(4 * MIB, Duration::from_millis(50), 20);
    let mut places: Vec<Instant> = Vec::new();
    for _ in 0..1000 {
        now += Duration::from_micros(100);
        places.push(now + budget.delay(MIB, now));
        assert!(*places.last().unwrap() <= now + Budget::DELAY_MAX);
    }
    assert!(places.is_sorted());
    let distinct = places.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert_eq!(distinct, 999, "nobody shares a place");
    assert!(*places.last().unwrap() > now + Budget::DELAY_MAX * 9 / 10);
}

#[test]
fn lumps_do_not_make_the_rate_jump() {
    for (lump, every) in [(4 * MIB, 50), (4 * MIB, 500), (64 << 10, 2)] {
        let (budget, _hold, mut now) = drained(lump, Duration::from_millis(every), 4);
        let wanted = lump as f64 / every as f64 * 1e3;
        for _ in 0..40 {
            // Looked at ten times between two lumps.
            for _ in 0..10 {
                let rate = budget.drain_rate(now).unwrap() / wanted;
                assert!((0.9..1.1).contains(&rate), "{rate} of what drains");
                now += Duration::from_millis(every) / 10;
                let _observed = budget.delay(0, now);
            }
            drop(budget.try_acquire(lump).unwrap());
            let _observed = budget.delay(0, now);
        }
        // Nothing more comes: the rate falls by itself.
        now += Duration::from_secs(10);
        assert!(budget.drain_rate(now).unwrap() < wanted / 4.0);
    }
}

#[test]
fn a_drain_that_stood_still_is_believed_again_within_seconds() {
    let (budget, _hold, mut now) = drained(4 * MIB, Duration::from_millis(50), 20);
    now += Duration::from_secs(30);
    let mut wait = Duration::ZERO;
    while budget.drain_rate(now).unwrap() < 0.8 * DRAIN as f64 {
        drop(budget.try_acquire(4 * MIB).unwrap());
        let _observed = budget.delay(0, now);
        now += Duration::from_millis(50);
        wait += Duration::from_millis(50);
        assert!(wait < Duration::from_secs(8), "{:?}", budget.drain_rate(now));
    }
    println!("believed after {wait:?}");
}
