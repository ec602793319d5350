//! What an adversary found: each was broken once.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use standpipe_core::ErrorKind;
use standpipe_pool::{Pool, Settings, TokioTimer};
use tokio::time::sleep;

use crate::world::{Backend, Counts, on_paused_time, settings, warm};

#[test]
fn a_pool_made_smaller_closes_no_more_than_are_too_many() {
    on_paused_time(async {
        let backend = Backend::default();
        let pool = warm(&backend, settings(10), 10).await;
        tokio::spawn(pool.run());
        sleep(Duration::from_millis(1)).await;
        let mut leases = Vec::new();
        for _ in 0..10 {
            leases.push(pool.acquire().await.unwrap());
        }
        pool.resize(5);
        // Five are to go; they take leave of the other side, and meanwhile count.
        drop(leases);
        let status = pool.status();
        assert_eq!((status.size, status.idle, status.closing, status.in_use), (10, 5, 5, 0));
        sleep(Duration::from_millis(10)).await;
        assert_eq!((Counts::of(&backend.open), pool.status().idle), (5, 5));
        pool.resize(4);
        pool.resize(3);
        sleep(Duration::from_millis(10)).await;
        assert_eq!((Counts::of(&backend.open), pool.status().size), (3, 3));
    });
}

#[test]
fn what_is_kept_idle_is_lent_and_not_thrown_away() {
    on_paused_time(async {
        let backend = Backend::default();
        let chosen = Settings { idle_min: 3, idle_max: Duration::from_secs(10), ..settings(8) };
        let pool = Pool::new(backend.clone(), chosen);
        tokio::spawn(pool.run());
        sleep(Duration::from_secs(60)).await;
        assert_eq!(pool.status().idle, 3);
        let dials = Counts::of(&backend.dials);
        backend.connect_ms.store(1_000, SeqCst);
        let lease = pool.acquire().await.unwrap();
        assert!(lease.serial < dials, "the warm ones were closed, and a new one made");
        assert_eq!(Counts::of(&backend.checks), 1, "it was idle for too long to be lent unseen");
    });
}

/// A process may have several runtimes, one after the other: each test of a suite that shares a pool has one.
#[test]
fn timeouts_outlive_the_runtime_in_which_they_were_set() {
    let chosen = Settings { acquire_timeout: Duration::from_millis(200), timer: &TokioTimer, ..settings(1) };
    let backend = Backend::default();
    let pool = Pool::new(backend, chosen);
    let lease = on_a_runtime(async {
        let lease = pool.acquire().await.unwrap();
        let waits = tokio::time::timeout(Duration::from_millis(1), pool.acquire());
        assert!(waits.await.is_err());
        lease
    });
    on_a_runtime(async {
        let told = tokio::time::timeout(Duration::from_secs(20), pool.acquire()).await;
        assert_eq!(told.expect("never told").map(drop).unwrap_err().kind(), ErrorKind::Retry);
    });
    // Nor is a runtime needed to give one back that is reset slowly.
    drop(lease);
}

fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}
