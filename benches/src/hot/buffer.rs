//! Items through lanes, bytes out of a budget: one thread, nobody in the way.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use standpipe_buffer::{Budget, Lanes, Policy, Reason, Weigh, Weight};
use standpipe_harness::{Outcome, check};

use super::{Hot, Prepared};

const BATCH: u64 = 64;

pub(super) const PUSH_TAKE: Hot = Hot {
    name: "push_take",
    measures: "an item pushed and taken again, 64 to a batch",
    quick: true,
    prepare: push_take,
};

pub(super) const RESERVE_RELEASE: Hot = Hot {
    name: "reserve_release",
    measures: "bytes reserved from the budget and given back, nobody waiting",
    quick: false,
    prepare: reserve_release,
};

struct Item(u64);

impl Weigh for Item {
    fn weight(&self) -> Weight {
        Weight { rows: 1, bytes: 100 }
    }
}

fn push_take() -> Outcome<Prepared> {
    let lanes: Lanes<u32, Item> =
        Lanes::new(Policy { rows_max: BATCH, bytes_max: u64::MAX, age_max: Duration::MAX });
    let now = Instant::now();
    let run = move |items| {
        let mut sum = 0_u64;
        let mut take = |expected| -> Outcome<()> {
            let batch = lanes.try_take(now).ok_or("no batch is due")?;
            check("why the batch was taken", batch.reason(), expected)?;
            batch.complete_with(|item| sum += item.0);
            Ok(())
        };
        for item in 1..=items {
            lanes.push(0, Item(item), now)?;
            if item % BATCH == 0 {
                take(Reason::Rows)?;
            }
        }
        if items % BATCH != 0 {
            lanes.flush_all();
            take(Reason::Flush)?;
        }
        check("items left behind", lanes.rows(), 0)?;
        Ok(sum)
    };
    Ok(Prepared::new(run, |items| items * (items + 1) / 2))
}

fn reserve_release() -> Outcome<Prepared> {
    let budget = Budget::new(1 << 20);
    let run = move |times| {
        let mut context = Context::from_waker(Waker::noop());
        let mut bytes = 0;
        for _ in 0..times {
            match pin!(budget.acquire(4096)).poll(&mut context) {
                Poll::Ready(permit) => bytes += permit?.bytes(),
                Poll::Pending => return Err("the budget made its only user wait".into()),
            }
        }
        check("bytes still in use", budget.in_use(), 0)?;
        Ok(bytes)
    };
    Ok(Prepared::new(run, |times| times * 4096))
}
