use std::{
    pin::pin,
    task::{Context as Polled, Poll, Waker},
    time::Duration,
};

use standpipe_harness::{Context, Figure, Outcome, Sample, Workload, check};
use standpipe_pool::{Pool, PoolLease};

use super::{check_at_rest, nothing::Nothing, pool};

/// Operations between two looks at the clock.
const TURN: u64 = 1000;

pub(super) fn workloads() -> Vec<Workload> {
    vec![
        Workload::new("pool.warm", "1 thread borrows an idle connection and gives it back", warm),
        Workload::new("pool.cold", "1 thread borrows, each time a new connection, and discards it", cold)
            .full_only(),
        Workload::new(
            "pool.check",
            "1 thread borrows an idle connection, which is checked first, and gives it back",
            checked,
        )
        .full_only(),
    ]
}

fn warm(context: &Context) -> Outcome<Sample> {
    let (pool, counts) = pool(context, None)?;
    let mut borrowed = 0;
    let sample = run(context, &pool, &mut borrowed, drop)?;
    check("connections made", counts.made(), 1)?;
    check("times lent", lend(&pool)?.lent, borrowed)?;
    check_at_rest(&pool, &counts)?;
    Ok(sample)
}

fn cold(context: &Context) -> Outcome<Sample> {
    let (pool, counts) = pool(context, None)?;
    let mut borrowed = 0;
    let sample = run(context, &pool, &mut borrowed, PoolLease::discard)?;
    check("connections made", counts.made(), borrowed)?;
    check("connections left", pool.status().size, 0)?;
    check_at_rest(&pool, &counts)?;
    Ok(sample)
}

fn checked(context: &Context) -> Outcome<Sample> {
    let (pool, counts) = pool(context, Some(Duration::ZERO))?;
    let mut borrowed = 0;
    let sample = run(context, &pool, &mut borrowed, drop)?;
    check("connections made", counts.made(), 1)?;
    check("checks", counts.checked(), borrowed - 1)?;
    check_at_rest(&pool, &counts)?;
    Ok(sample)
}

fn run(
    context: &Context,
    pool: &Pool<Nothing>,
    borrowed: &mut u64,
    end: impl Fn(PoolLease<Nothing>),
) -> Outcome<Sample> {
    let (lent, took_s) = context.repeat(|| {
        for _ in 0..TURN {
            let mut lease = lend(pool)?;
            lease.lent += 1;
            end(lease);
        }
        *borrowed += TURN;
        Ok(TURN)
    })?;
    Ok(Sample::of([Figure::throughput(lent as f64, took_s, "leases/s")]))
}

fn lend(pool: &Pool<Nothing>) -> Outcome<PoolLease<Nothing>> {
    match pin!(pool.acquire()).poll(&mut Polled::from_waker(Waker::noop())) {
        Poll::Ready(lease) => Ok(lease?),
        Poll::Pending => Err("the pool made its only user wait".into()),
    }
}
