use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    task::{JoinSet, yield_now},
    time::{Instant, sleep},
};

use super::{
    Checked,
    world::{Backend, on_paused_time, settings, soon, warm},
};
use crate::hold;

pub(crate) fn p9_longest_wait() -> Checked {
    on_paused_time(async {
        let pool = warm(&Backend::default(), settings(2), 2).await;
        let hold_for = Duration::from_millis(10);
        let mut tasks = JoinSet::new();
        for _ in 0..4 {
            let pool = pool.clone();
            tasks.spawn(async move {
                let mut longest = Duration::ZERO;
                for _ in 0..200 {
                    let asked = Instant::now();
                    let lease = pool.acquire().await.unwrap();
                    longest = longest.max(asked.elapsed());
                    sleep(hold_for).await;
                    drop(lease);
                }
                longest
            });
        }
        let mut longest = Duration::ZERO;
        while let Some(one) = tasks.join_next().await {
            longest = longest.max(one.map_err(|error| error.to_string())?);
        }
        // Two wait while two hold: each waits for one hold.
        hold!(longest <= 3 * hold_for, "the longest of 800 waits took {longest:?}, ideal is {hold_for:?}");
        Ok(format!("longest of 800 waits {longest:?}, ideal {hold_for:?}"))
    })
}

pub(crate) fn p10_order() -> Checked {
    on_paused_time(async {
        let pool = warm(&Backend::default(), settings(1), 1).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let mut lease = Some(pool.acquire().await.map_err(|error| error.to_string())?);
        let ask = |number: usize| {
            let (pool, order) = (pool.clone(), Arc::clone(&order));
            async move {
                let lease = pool.acquire().await.unwrap();
                order.lock().unwrap().push(number);
                sleep(Duration::from_millis(1)).await;
                drop(lease);
            }
        };
        for number in 0..20 {
            tasks.spawn(ask(number));
            yield_now().await;
        }
        // Given back, and asked for by a newcomer before anybody else is polled.
        for number in 20..40 {
            drop(lease.take());
            let mut newcomer = Box::pin(ask(number));
            let at_once = std::future::poll_fn(|context| {
                std::task::Poll::Ready(
                    newcomer.as_mut().poll(context).is_ready() || order.lock().unwrap().contains(&number),
                )
            })
            .await;
            hold!(!at_once, "newcomer {number} passed those who wait");
            tasks.spawn(newcomer);
            yield_now().await;
        }
        soon("everyone", Duration::from_secs(60), async { while tasks.join_next().await.is_some() {} })
            .await?;
        let order = order.lock().unwrap().clone();
        hold!(order == (0..40).collect::<Vec<_>>(), "served in the order {order:?}");
        Ok("40 served in the order of asking".to_owned())
    })
}
