use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use standpipe_pool::Settings;
use tokio::time::{Instant, sleep};

use super::{
    Checked,
    world::{Backend, Counts, on_paused_time, settings, soon, warm},
};
use crate::hold;

pub(crate) fn p6_min_idle() -> Checked {
    on_paused_time(async {
        let mut least = usize::MAX;
        for (idle_max, life_max) in
            [(Duration::from_secs(10), Duration::MAX), (Duration::MAX, Duration::from_secs(40))]
        {
            let backend = Backend::default();
            backend.connect_ms.store(30, SeqCst);
            let chosen = Settings { idle_min: 3, idle_max, life_max, ..settings(10) };
            let pool = warm(&backend, chosen, 8).await;
            tokio::spawn(pool.run());
            for _ in 0..20_000 {
                // Shorter than a connect, so that no dip is missed.
                sleep(Duration::from_millis(10)).await;
                least = least.min(pool.status().idle);
            }
            hold!(least >= 3, "only {least} idle, 3 are to be");
            let (idle, closed) = (pool.status().idle, Counts::of(&backend.closed));
            hold!(closed >= 5, "{closed} retired in 200 s");
            hold!(idle <= 4 || idle_max == Duration::MAX, "{idle} idle after 200 s of rest");
        }
        Ok(format!("never below {least} idle, 3 are to be"))
    })
}

pub(crate) fn p7_life_on_return() -> Checked {
    on_paused_time(async {
        for runs in [false, true] {
            let backend = Backend::default();
            let chosen =
                Settings { life_max: Duration::from_secs(60), life_jitter_percent: 0, ..settings(2) };
            let pool = warm(&backend, chosen, 0).await;
            if runs {
                tokio::spawn(pool.run());
            }
            let lease = pool.acquire().await.map_err(|error| error.to_string())?;
            sleep(Duration::from_secs(62)).await;
            hold!(Counts::of(&backend.closed) == 0, "closed while it was lent");
            drop(lease);
            sleep(Duration::from_millis(1)).await;
            let (closed, idle) = (Counts::of(&backend.closed), pool.status().idle);
            hold!((closed, idle) == (1, 0), "run {runs}: {closed} closed, {idle} idle after its life");
        }
        Ok("closed on return".to_owned())
    })
}

pub(crate) fn p8_a_cohort() -> Checked {
    on_paused_time(async {
        let mut fullest = 0;
        for seed in 1..=20 {
            let backend = Backend::default();
            let chosen = Settings {
                life_max: Duration::from_secs(1_000),
                life_jitter_percent: 25,
                idle_min: 20,
                seed: Some(seed),
                ..settings(150)
            };
            let born = Instant::now();
            let pool = warm(&backend, chosen, 100).await;
            tokio::spawn(pool.run());
            sleep(Duration::from_secs(740)).await;
            hold!(Counts::of(&backend.closed) == 0, "retired before the window");
            // Windows of a tenth, begun anywhere: counted from each second.
            let mut closed = Vec::new();
            while born.elapsed() < Duration::from_secs(1_010) {
                closed.push(Counts::of(&backend.closed));
                let idle = pool.status().idle;
                hold!(idle >= 20, "{idle} idle, 20 are to be");
                sleep(Duration::from_secs(1)).await;
            }
            let fullest_here = closed.windows(26).map(|window| window[25] - window[0]).max().unwrap_or(0);
            hold!(fullest_here <= 15, "{fullest_here} of 100 retired within a tenth of the window");
            hold!(closed.last() >= Some(&100), "{closed:?} retired after the window");
            fullest = fullest.max(fullest_here);
            soon("close", Duration::from_secs(10), pool.close()).await?;
        }
        Ok(format!("20 cohorts of 100: at most {fullest} retired within a tenth of the window"))
    })
}
