use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use standpipe_pool::{Pool, Settings};
use tokio::{
    task::{JoinSet, yield_now},
    time::{Instant, sleep},
};

use super::{
    Checked,
    world::{Backend, Counts, on_paused_time, settings, soon, warm},
};
use crate::hold;

/// With 100 ms doubling up to 2 s, each at least half: 0, 0.05, 0.15, 0.35, 0.75, 1.55, and then one a second.
const DIALS_IN_10_S: usize = 15;

pub(crate) fn p1_down_for_10_s() -> Checked {
    on_paused_time(async {
        let mut most = 0;
        for seed in 1..=20 {
            let backend = Backend::default();
            backend.refuses.store(true, SeqCst);
            backend.connect_ms.store(1, SeqCst);
            let pool = Pool::new(backend.clone(), Settings { seed: Some(seed), ..settings(20) });
            let runs = tokio::spawn(pool.run());
            let began = Instant::now();
            let mut waiters = JoinSet::new();
            for _ in 0..1_000 {
                let pool = pool.clone();
                waiters.spawn(async move {
                    while pool.acquire().await.is_err() {
                        // As a caller does: not at once.
                        sleep(Duration::from_millis(10)).await;
                    }
                });
            }
            sleep(Duration::from_secs(10)).await;
            let down = Counts::of(&backend.dials);
            hold!(down <= DIALS_IN_10_S, "{down} dials in 10 s for 1,000 waiters");
            most = most.max(down);
            backend.refuses.store(false, SeqCst);
            soon("all are served", Duration::from_secs(5), async {
                while waiters.join_next().await.is_some() {}
            })
            .await?;
            let up = Counts::of(&backend.dials) - down;
            hold!(up <= 21, "{up} dials after the backend came back, for 20 places");
            hold!(began.elapsed() < Duration::from_secs(15), "took {:?}", began.elapsed());
            drop(pool);
            soon("the background work to end", Duration::from_secs(9), runs)
                .await?
                .map_err(|error| error.to_string())?;
        }
        Ok(format!("1,000 waiters, 10 s down, 20 seeds: at most {most} dials"))
    })
}

pub(crate) fn p1_no_stampede() -> Checked {
    on_paused_time(async {
        let mut most = 0;
        for connect_ms in [5, 20, 100, 5_000] {
            for runs in [false, true] {
                let backend = Backend::default();
                let pool = warm(&backend, settings(50), 5).await;
                if runs {
                    tokio::spawn(pool.run());
                }
                backend.connect_ms.store(connect_ms, SeqCst);
                let mut requests = JoinSet::new();
                for _ in 0..50 {
                    let pool = pool.clone();
                    requests.spawn(async move {
                        let lease = pool.acquire().await.unwrap();
                        sleep(Duration::from_micros(100)).await;
                        drop(lease);
                    });
                }
                soon("all are served", Duration::from_secs(60), async {
                    while requests.join_next().await.is_some() {}
                })
                .await?;
                sleep(Duration::from_secs(60)).await;
                let surplus = Counts::of(&backend.dials) - 5;
                hold!(
                    surplus <= if connect_ms == 5 { 3 } else { 1 },
                    "{surplus} surplus connects of {connect_ms} ms"
                );
                most = most.max(surplus);
            }
        }
        Ok(format!("50 requests on 5 warm connections: at most {most} surplus"))
    })
}

pub(crate) fn p2_silent_peers() -> Checked {
    on_paused_time(async {
        let mut freed = Vec::new();
        for (way, runs) in
            [("checked", true), ("checked", false), ("discarded", true), ("reset", true), ("reset", false)]
        {
            let backend = Backend::default();
            let check_after_idle = if way == "checked" { Duration::ZERO } else { Duration::MAX };
            let chosen = Settings { check_after_idle, ..settings(100) };
            let pool = warm(&backend, chosen, 100).await;
            let background = runs.then(|| tokio::spawn(pool.run()));
            yield_now().await;
            let mut leases = Vec::new();
            if way != "checked" {
                for _ in 0..100 {
                    leases.push(pool.acquire().await.unwrap());
                }
            }
            backend.is_silent.store(true, SeqCst);
            let mut askers = JoinSet::new();
            match way {
                "checked" => {
                    for _ in 0..100 {
                        let pool = pool.clone();
                        askers.spawn(async move { pool.acquire().await.map(drop) });
                    }
                }
                "discarded" => leases.into_iter().for_each(|lease| lease.discard()),
                _ => leases.into_iter().for_each(|mut lease| lease.has_transaction = true),
            }
            let longest = chosen.check_timeout.max(chosen.reset_timeout).max(chosen.close_timeout);
            sleep(longest + Duration::from_secs(2)).await;
            let closed = Counts::of(&backend.closed);
            hold!(closed == 100, "{way}, run {runs}: {closed} of 100 freed");
            soon("those who asked", chosen.acquire_timeout + chosen.connect_timeout, async {
                while askers.join_next().await.is_some() {}
            })
            .await?;
            sleep(chosen.connect_timeout + Duration::from_secs(2)).await;
            let size = pool.status().size;
            hold!(size == 0, "{way}, run {runs}: {:?}", pool.status());
            backend.is_silent.store(false, SeqCst);
            soon("a healthy one", Duration::from_secs(5), pool.acquire())
                .await?
                .map_err(|error| error.to_string())?;
            if let Some(background) = background {
                background.abort();
            }
            freed.push(format!("{way} {closed}/100"));
        }
        Ok(freed.join(", "))
    })
}

pub(crate) fn p5_the_true_error() -> Checked {
    on_paused_time(async {
        for runs in [false, true] {
            let backend = Backend::default();
            backend.refuses.store(true, SeqCst);
            backend.connect_ms.store(50, SeqCst);
            let pool = Arc::new(Pool::new(backend.clone(), settings(4)));
            if runs {
                tokio::spawn(pool.run());
            }
            let began = Instant::now();
            let mut waiters = JoinSet::new();
            for _ in 0..1_000 {
                let pool = Arc::clone(&pool);
                waiters.spawn(async move { pool.acquire().await.map(drop).unwrap_err() });
            }
            while let Some(error) = waiters.join_next().await {
                let error = error.map_err(|error| error.to_string())?;
                hold!(error.code() == Some("28P01"), "instead of the reason: {error}");
            }
            let took = began.elapsed();
            hold!(took <= Duration::from_millis(51), "the reason took {took:?}, a connect 50 ms");
            hold!(Counts::of(&backend.dials) == 1, "{} dials", Counts::of(&backend.dials));
        }
        Ok("1,000 waiters told within one connect of 50 ms".to_owned())
    })
}
