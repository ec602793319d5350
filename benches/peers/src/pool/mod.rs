//! Pools of connections that do nothing, so that only the pool is measured. A connection counts how often it was lent:
//! in the end the counts add up to what the tasks acquired, over at most eight connections. A task yields to the
//! runtime after 64 acquires, in all contenders, so that all tasks take part and none keeps a worker for itself.

mod archived;
mod contenders;
mod two_lists;
mod waits;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use standpipe_harness::{Context, Outcome, Sample, Workload, check};

use self::{
    archived::Fastpool,
    contenders::{Bb8, Deadpool, Standpipe},
    two_lists::TwoLists,
};
use crate::{
    closed_loop::{self, Measured, Tally},
    comparison::Comparison,
};

/// The most connections.
const CONNECTIONS_MAX: u32 = 8;
/// Acquires between two looks at the clock, and until a task yields.
const STRIDE: u64 = 64;

/// A connection that does nothing but count.
#[derive(Debug)]
pub(crate) struct Connection {
    made: Arc<Made>,
    lent: u64,
}

/// What became of all connections of a pool.
#[derive(Debug, Default)]
pub(crate) struct Made {
    connections: AtomicU64,
    lent: AtomicU64,
}

impl Connection {
    pub(crate) fn new(made: &Arc<Made>) -> Self {
        made.connections.fetch_add(1, Ordering::Relaxed);
        Connection { made: Arc::clone(made), lent: 0 }
    }

    /// What the borrower does with it.
    pub(crate) fn touch(&mut self) {
        self.lent += 1;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.made.lent.fetch_add(self.lent, Ordering::Relaxed);
    }
}

/// A pool that is compared. A clone is another handle.
pub(crate) trait Pool: Clone + Send + Sync + 'static {
    fn new(made: &Arc<Made>, connections_max: u32) -> impl Future<Output = Outcome<Self>> + Send;

    /// Acquires, touches, holds it as told, and gives back. Says when it was lent.
    fn turn(&self, hold: Hold) -> impl Future<Output = Outcome<Instant>> + Send;
}

/// What the borrower does while he has a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hold {
    /// Nothing; when it was lent is not looked at.
    Not(Instant),
    /// Yields to the runtime, once; as above.
    Yield(Instant),
    /// Computes for so long, and yields in the middle.
    Work(Duration),
    /// Sleeps for so long.
    Sleep(Duration),
}

impl Hold {
    /// When it was lent, where that is of interest: a look at the clock takes longer than some pools.
    pub(crate) fn lent(self) -> Instant {
        match self {
            Hold::Not(at) | Hold::Yield(at) => at,
            Hold::Work(_) | Hold::Sleep(_) => Instant::now(),
        }
    }

    pub(crate) async fn work(self) {
        match self {
            Hold::Not(_) => {}
            Hold::Yield(_) => tokio::task::yield_now().await,
            Hold::Work(long) => {
                compute(long / 2);
                tokio::task::yield_now().await;
                compute(long / 2);
            }
            Hold::Sleep(long) => tokio::time::sleep(long).await,
        }
    }
}

fn compute(long: Duration) {
    let began = Instant::now();
    while began.elapsed() < long {
        std::hint::spin_loop();
    }
}

/// The comparisons of this group.
pub(crate) fn workloads() -> Vec<Workload> {
    let over_8 = "64 tasks on tokio's workers, one for each core, acquire and release 8 no-op connections";
    [
        compared("pool.t1", "1 task acquires and releases no-op connections", 1, false),
        compared("pool.t64_on_8", over_8, 64, false),
        compared("pool.t64_on_8_yield", &format!("{over_8}, held over one yield"), 64, true),
    ]
    .into_iter()
    .chain(waits::comparisons())
    .flat_map(Comparison::workloads)
    .collect()
}

fn compared(name: &str, work: &str, tasks: u64, yields: bool) -> Comparison {
    Comparison::new(name, work)
        .with("standpipe", "standpipe-pool, its background work running", move |context| {
            run::<Standpipe>(context, tasks, yields)
        })
        .with("deadpool", "deadpool 0.13, managed", move |context| run::<Deadpool>(context, tasks, yields))
        .with("bb8", "bb8 0.9, not testing on check-out", move |context| run::<Bb8>(context, tasks, yields))
        .with("fastpool", "fastpool 1.1, bounded", move |context| run::<Fastpool>(context, tasks, yields))
        .with(
            "home-two-lists",
            "idle and lent in a locked list each, a semaphore before them",
            move |context| run::<TwoLists>(context, tasks, yields),
        )
}

fn run<P: Pool>(context: &Context, tasks: u64, yields: bool) -> Outcome<Sample> {
    let runtime = closed_loop::runtime()?;
    let made = Arc::new(Made::default());
    let pool = runtime.block_on(P::new(&made, CONNECTIONS_MAX))?;
    let measured = Measured::from_now(context);
    let acquired = Arc::new(AtomicU64::new(0));
    let tasks = (0..tasks).map(|_| borrow(pool.clone(), yields, measured, Arc::clone(&acquired))).collect();
    let tally = closed_loop::in_tasks(&runtime, measured, tasks)?;
    drop(pool);
    // What a pool left running holds connections too.
    drop(runtime);
    check(
        "acquires counted by the connections",
        made.lent.load(Ordering::Relaxed),
        acquired.load(Ordering::Relaxed),
    )?;
    let connections = made.connections.load(Ordering::Relaxed);
    check("connections within the limit", (1..=u64::from(CONNECTIONS_MAX)).contains(&connections), true)?;
    Ok(tally.sample("acquires/s"))
}

/// One task. One turn of each stride is timed by itself; the rest only adds up.
async fn borrow<P: Pool>(
    pool: P,
    yields: bool,
    measured: Measured,
    acquired: Arc<AtomicU64>,
) -> Outcome<Tally> {
    let mut tally = Tally::new(measured);
    let mut now = Instant::now();
    let hold = if yields { Hold::Yield(now) } else { Hold::Not(now) };
    while !measured.is_over(now) {
        pool.turn(hold).await?;
        let ended = Instant::now();
        tally.time(now, ended);
        for _ in 1..STRIDE {
            pool.turn(hold).await?;
        }
        tally.count(STRIDE, Instant::now());
        acquired.fetch_add(STRIDE, Ordering::Relaxed);
        tokio::task::yield_now().await;
        now = Instant::now();
    }
    Ok(tally)
}
