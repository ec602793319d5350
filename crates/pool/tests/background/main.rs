//! What the pool does around lending: background work, timeouts, hooks, resizing, and what the features tell. On tokio's clock, paused.
#![allow(clippy::unwrap_used)]

#[path = "../rows/world.rs"]
#[allow(dead_code, reason = "shared with the rows")]
mod world;

mod adversary;

use std::{
    sync::{Arc, Mutex, atomic::Ordering::SeqCst},
    time::Duration,
};

use standpipe_core::{Acquire, Error, ErrorKind};
use standpipe_pool::{Hooked, Pool, Settings};
use tokio::time::{Instant, sleep};
use world::{Backend, Counts, on_paused_time, settings, soon, warm};

#[test]
fn waiting_ends_by_its_own_timeout_apart_from_the_connects() {
    on_paused_time(async {
        for runs in [false, true] {
            let backend = Backend::default();
            let pool =
                warm(&backend, Settings { acquire_timeout: Duration::from_secs(3), ..settings(1) }, 1).await;
            if runs {
                tokio::spawn(pool.run());
            }
            let _lease = pool.acquire().await.unwrap();
            let began = Instant::now();
            let (one, two) = tokio::join!(pool.acquire(), async {
                sleep(Duration::from_secs(1)).await;
                pool.acquire().await
            });
            for outcome in [one, two] {
                let error = outcome.map(drop).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Retry);
                assert!(error.to_string().contains("all are in use"), "{error}");
            }
            // Who runs the pool keeps the time by ticks: a wait ends late by one at most.
            let late = if runs { Duration::from_secs(1) } else { Duration::from_millis(2) };
            assert!(
                began.elapsed() >= Duration::from_secs(4) && began.elapsed() <= Duration::from_secs(4) + late
            );
            assert_eq!((pool.status().waiting, pool.status().timeouts), (0, 2));
        }
    });
}

#[test]
fn a_timeout_tells_what_the_last_connect_failed_of() {
    on_paused_time(async {
        let backend = Backend::default();
        let pool =
            warm(&backend, Settings { acquire_timeout: Duration::from_secs(3), ..settings(2) }, 1).await;
        let _lease = pool.acquire().await.unwrap();
        backend.is_silent.store(true, SeqCst);
        let quick = Settings {
            connect_timeout: Duration::from_secs(1),
            acquire_timeout: Duration::from_secs(3),
            ..settings(2)
        };
        let silent = Pool::new(backend.clone(), quick);
        let told = silent.acquire().await.map(drop).unwrap_err();
        assert!(told.to_string().contains("the other side is silent"), "{told}");
        let told = pool.acquire().await.map(drop).unwrap_err();
        assert!(told.to_string().contains("no connection came within 3s"), "{told}");
    });
}

#[test]
fn idle_connections_are_made_ahead_and_kept() {
    on_paused_time(async {
        let backend = Backend::default();
        let pool = Pool::new(backend.clone(), Settings { idle_min: 3, ..settings(8) });
        tokio::spawn(pool.run());
        sleep(Duration::from_secs(2)).await;
        assert_eq!((pool.status().idle, Counts::of(&backend.dials)), (3, 3));
        let leases = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
        sleep(Duration::from_secs(2)).await;
        assert_eq!((pool.status().idle, pool.status().in_use), (3, 2));
        drop(leases);
        assert_eq!(pool.status().idle, 5);
    });
}

#[test]
fn a_second_run_ends_at_once_and_another_may_follow_the_first() {
    on_paused_time(async {
        let pool = warm(&Backend::default(), settings(1), 1).await;
        let first = tokio::spawn(pool.run());
        sleep(Duration::from_millis(1)).await;
        soon("the second run", Duration::from_millis(1), pool.run()).await.unwrap();
        first.abort();
        let _ = first.await;
        let next = tokio::spawn(pool.run());
        sleep(Duration::from_secs(3)).await;
        assert!(!next.is_finished());
        drop(pool);
        soon("the run of a pool that is gone", Duration::from_secs(1), next).await.unwrap().unwrap();
    });
}

#[test]
fn leave_is_taken_where_somebody_is_there_for_that() {
    on_paused_time(async {
        let backend = Backend::default();
        let pool = warm(&backend, settings(4), 4).await;
        pool.acquire().await.unwrap().discard();
        assert_eq!((Counts::of(&backend.farewells), Counts::of(&backend.closed)), (0, 1));
        tokio::spawn(pool.run());
        sleep(Duration::from_millis(1)).await;
        pool.acquire().await.unwrap().discard();
        sleep(Duration::from_millis(1)).await;
        assert_eq!((Counts::of(&backend.farewells), Counts::of(&backend.closed)), (1, 2));
        soon("close", Duration::from_millis(1), pool.close()).await.unwrap();
        assert_eq!((Counts::of(&backend.farewells), Counts::of(&backend.open)), (3, 0));
    });
}

#[test]
fn closing_silent_connections_ends_with_the_close_timeout() {
    on_paused_time(async {
        for runs in [false, true] {
            let backend = Backend::default();
            let pool = warm(&backend, settings(10), 10).await;
            if runs {
                tokio::spawn(pool.run());
            }
            backend.is_silent.store(true, SeqCst);
            soon("close", Duration::from_secs(6), pool.close()).await.unwrap();
            assert_eq!((Counts::of(&backend.open), pool.status().size), (0, 0));
        }
    });
}

#[test]
fn a_pool_is_made_smaller_and_larger_while_it_is_used() {
    on_paused_time(async {
        let backend = Backend::default();
        let pool = warm(&backend, settings(100), 100).await;
        let mut leases = Vec::new();
        for _ in 0..10 {
            leases.push(pool.acquire().await.unwrap());
        }
        pool.resize(5);
        assert_eq!((pool.status().size, pool.status().idle), (10, 0));
        let mut waits = Box::pin(pool.acquire());
        tokio::select! { biased; _ = &mut waits => panic!("eleven lent of five"), () = sleep(Duration::from_millis(1)) => {} }
        leases.truncate(5);
        assert_eq!((pool.status().size, Counts::of(&backend.open)), (5, 5));
        leases.truncate(4);
        drop(soon("the fifth", Duration::from_millis(1), waits).await.unwrap().unwrap());
        pool.resize(200);
        while leases.len() < 200 {
            leases.push(soon("more", Duration::from_secs(1), pool.acquire()).await.unwrap().unwrap());
        }
        assert_eq!((pool.status().size, Counts::of(&backend.open_most)), (200, 200));
        drop(leases);
        assert_eq!(pool.status().idle, 200);
        soon("close", Duration::from_secs(1), pool.close()).await.unwrap();
        assert_eq!(Counts::of(&backend.open), 0);
    });
}

type Heard = Arc<Mutex<Vec<(&'static str, usize)>>>;

/// A hook that says so, and refuses the first connection when it is to be lent.
fn says(
    heard: &Heard,
    what: &'static str,
) -> impl for<'a> Fn(&'a mut world::Wire) -> standpipe_pool::HookFuture<'a> + Send + Sync + use<> {
    let heard = Arc::clone(heard);
    move |wire| {
        heard.lock().unwrap().push((what, wire.serial));
        Box::pin(async move {
            sleep(Duration::from_millis(1)).await;
            if wire.serial == 0 && what == "acquire" { Err(Error::retry("not this one")) } else { Ok(()) }
        })
    }
}

#[test]
fn hooks_run_around_each_lease() {
    on_paused_time(async {
        let heard = Heard::default();
        let backend = Backend::default();
        let hooked = Hooked::new(backend.clone())
            .after_connect(says(&heard, "connect"))
            .before_acquire(says(&heard, "acquire"))
            .after_release(says(&heard, "release"));
        let pool = Pool::new(hooked, settings(1));
        tokio::spawn(pool.run());
        let told = pool.acquire().await.map(drop).unwrap_err();
        assert!(told.to_string().contains("not this one"), "{told}");
        let mut lease = pool.acquire().await.unwrap();
        lease.has_transaction = true;
        drop(lease);
        assert_eq!((pool.status().idle, pool.status().resetting), (0, 1));
        assert!(!pool.acquire().await.unwrap().has_transaction);
        sleep(Duration::from_millis(5)).await;
        let heard = heard.lock().unwrap().clone();
        let steps = ["connect", "acquire", "release", "acquire", "release"].map(|step| (step, 1));
        assert_eq!(heard[..2], [("connect", 0), ("acquire", 0)]);
        assert_eq!(heard[2..], steps);
        assert_eq!(pool.status().resets, 2);
    });
}

#[test]
fn status_counts_waits_dials_and_ages() {
    on_paused_time(async {
        let pool =
            warm(&Backend::default(), Settings { life_max: Duration::from_secs(1_000), ..settings(4) }, 2)
                .await;
        let lease = pool.acquire().await.unwrap();
        sleep(Duration::from_secs(7)).await;
        let status = pool.status();
        assert_eq!((status.connections_max, status.dials, status.in_use), (4, 2, 1));
        assert!((status.utilization() - 0.25).abs() < 1e-9);
        assert_eq!((status.oldest_idle.as_secs(), status.oldest_connection.as_secs()), (7, 7));
        drop(lease);
        pool.resize(1);
        let lease = pool.acquire().await.unwrap();
        let mut waits = Box::pin(Acquire::acquire(&pool));
        tokio::select! { biased; _ = &mut waits => panic!("two lent of one"), () = sleep(Duration::from_secs(3)) => {} }
        assert_eq!((pool.status().waiting, pool.status().oldest_wait.as_secs()), (1, 3));
        drop((waits, lease));
    });
}

#[cfg(feature = "tracing")]
#[test]
fn a_lease_that_is_held_for_long_is_logged_with_the_line_that_took_it() {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    tracing::subscriber::with_default(subscriber, || {
        on_paused_time(async {
            let chosen = Settings { lease_warn_after: Duration::from_secs(5), ..settings(2) };
            let pool = warm(&Backend::default(), chosen, 2).await;
            tokio::spawn(pool.run());
            drop(pool.acquire().await.unwrap());
            let _held = pool.acquire().await.unwrap();
            sleep(Duration::from_secs(30)).await;
        });
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("held for long").count(), 1, "{text}");
    assert!(text.contains("background/main.rs"), "{text}");
}
