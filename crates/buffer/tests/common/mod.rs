#![allow(dead_code, unreachable_pub, reason = "each test file uses some")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use standpipe_buffer::{Clock, Permit, Policy, Taken, Weigh, Weight};

pub const HOUR: Duration = Duration::from_secs(3600);

/// An item with a number to know it by, a weight, and perhaps the permit for its bytes.
#[derive(Debug)]
pub struct Item {
    pub number: u64,
    pub rows: u64,
    pub bytes: u64,
    pub permit: Option<Permit>,
}

impl Item {
    pub fn new(number: u64, rows: u64, bytes: u64) -> Self {
        Self { number, rows, bytes, permit: None }
    }

    pub fn with(number: u64, permit: Permit) -> Self {
        Self { number, rows: 1, bytes: permit.bytes(), permit: Some(permit) }
    }
}

impl Weigh for Item {
    fn weight(&self) -> Weight {
        Weight { rows: self.rows, bytes: self.bytes }
    }
}

pub fn numbers<'i>(items: impl IntoIterator<Item = &'i Item>) -> Vec<u64> {
    items.into_iter().map(|item| item.number).collect()
}

/// Completes a batch and returns its numbers.
pub fn complete<K: Clone + Eq + std::hash::Hash>(taken: Taken<K, Item>) -> Vec<u64> {
    let mut numbers = Vec::new();
    taken.complete_with(|item| numbers.push(item.number));
    numbers
}

/// A policy under which nothing is due by itself.
pub fn never() -> Policy {
    Policy { rows_max: u64::MAX, bytes_max: u64::MAX, age_max: HOUR }
}

/// A waker that counts.
#[derive(Default)]
pub struct Bell(AtomicUsize);

impl Bell {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Whether it rang since [`rings`](Self::rings) was last read.
    pub fn rang(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }

    /// How often it rang since the last call.
    pub fn rings(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub fn poll_with<F: Future + ?Sized>(future: Pin<&mut F>, bell: &Arc<Bell>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(bell));
    future.poll(&mut Context::from_waker(&waker))
}

pub fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Pending once.
pub async fn turn() {
    let mut turned = false;
    std::future::poll_fn(|_| {
        if turned {
            return Poll::Ready(());
        }
        turned = true;
        Poll::Pending
    })
    .await;
}

/// Polls all of them in turns until they are done, or says that they stand still.
pub fn run_all(mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>>) -> Result<(), String> {
    for _ in 0..100_000 {
        tasks.retain_mut(|task| poll(task.as_mut()).is_pending());
        if tasks.is_empty() {
            return Ok(());
        }
    }
    Err(format!("{} tasks never end", tasks.len()))
}

/// A clock that stands where it is put, with timers that never ring by themselves.
pub struct Stopped(std::cell::Cell<Instant>);

impl Stopped {
    pub fn at(now: Instant) -> Self {
        Self(std::cell::Cell::new(now))
    }

    pub fn put(&self, now: Instant) {
        self.0.set(now);
    }
}

impl Clock for Stopped {
    type Sleep = std::future::Pending<()>;

    fn now(&self) -> Instant {
        self.0.get()
    }

    fn sleep_until(&self, _deadline: Instant) -> Self::Sleep {
        std::future::pending()
    }
}

pub struct Seeded(pub u64);

impl Seeded {
    /// Below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }
}

pub struct TokioClock;

impl Clock for TokioClock {
    type Sleep = tokio::time::Sleep;

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep_until(&self, deadline: Instant) -> Self::Sleep {
        tokio::time::sleep_until(deadline.into())
    }
}
