//! A connection borrowed and given back while nobody else wants one.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use standpipe_core::{Connect, Error};
use standpipe_harness::{Outcome, check};
use standpipe_pool::{Pool, Settings};

use super::{Hot, Prepared};

pub(super) const ACQUIRE_RELEASE: Hot = Hot {
    name: "acquire_release",
    measures: "an idle connection borrowed from the pool and given back",
    quick: true,
    prepare: acquire_release,
};

/// Connects to nothing, at no cost.
struct Nothing;

impl Connect for Nothing {
    type Connection = u64;

    async fn connect(&self) -> Result<u64, Error> {
        Ok(0)
    }

    async fn check(&self, _: &mut u64) -> Result<(), Error> {
        Ok(())
    }

    fn is_broken(&self, _: &mut u64) -> bool {
        false
    }
}

fn acquire_release() -> Outcome<Prepared> {
    let pool = Pool::new(Nothing, Settings { connections_max: 4, ..Settings::default() });
    let mut before = lend(&pool)?;
    let run = move |times| {
        for _ in 0..times {
            lend(&pool)?;
        }
        let status = pool.status();
        check("connections made and idle", (status.size, status.idle), (1, 1))?;
        // The one connection counts how often it was lent.
        let after = lend(&pool)?;
        let lent = after - before - 1;
        before = after;
        Ok(lent)
    };
    Ok(Prepared::new(run, |times| times))
}

fn lend(pool: &Pool<Nothing>) -> Outcome<u64> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(pool.acquire()).poll(&mut context) {
        Poll::Ready(lease) => {
            let mut lease = lease?;
            *lease += 1;
            Ok(*lease)
        }
        Poll::Pending => Err("the pool made its only user wait".into()),
    }
}
