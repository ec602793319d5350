use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::atomic::Ordering::SeqCst,
    task::{Context, Poll, Waker},
    time::Duration,
};

use standpipe_core::Error;
use standpipe_pool::{Pool, PoolLease, Settings};
use standpipe_testkit::Random;
use tokio::time::{advance, sleep};

use super::{
    Checked,
    world::{Backend, Counts, on_paused_time, settings, soon, warm},
};
use crate::hold;

type Acquiring = Pin<Box<dyn Future<Output = Result<PoolLease<Backend>, Error>>>>;

fn acquiring(pool: &Pool<Backend>) -> Acquiring {
    let pool = pool.clone();
    Box::pin(async move { pool.acquire().await })
}

/// Polls so often, letting time pass in between.
async fn poll_times(acquire: &mut Acquiring, polls: usize) -> Option<Result<PoolLease<Backend>, Error>> {
    for _ in 0..polls {
        let polled = poll_fn(|context| Poll::Ready(acquire.as_mut().poll(context))).await;
        if let Poll::Ready(lent) = polled {
            return Some(lent);
        }
        advance(Duration::from_millis(1)).await;
    }
    None
}

pub(crate) fn p3_cancel_at_every_poll() -> Checked {
    on_paused_time(async {
        let mut cancels = 0;
        for runs in [false, true] {
            for (connect_ms, check_ms, reset_ms) in [(0, 0, 0), (3, 0, 0), (0, 3, 0), (0, 0, 3), (3, 3, 3)] {
                let backend = Backend::default();
                let chosen = Settings { check_after_idle: Duration::ZERO, ..settings(1) };
                let pool = Pool::new(backend.clone(), chosen);
                if runs {
                    tokio::spawn(pool.run());
                }
                backend.connect_ms.store(connect_ms, SeqCst);
                backend.check_ms.store(check_ms, SeqCst);
                backend.reset_ms.store(reset_ms, SeqCst);
                for before in 0..8 {
                    for after in 0..8 {
                        let mut lease = soon("a lease", Duration::from_secs(1), pool.acquire())
                            .await?
                            .map_err(|error| error.to_string())?;
                        lease.has_transaction = reset_ms > 0;
                        let mut cancelled = acquiring(&pool);
                        hold!(poll_times(&mut cancelled, before).await.is_none(), "two lent of one");
                        let mut stays = acquiring(&pool);
                        hold!(poll_times(&mut stays, 1).await.is_none(), "two lent of one");
                        if before % 2 == 0 {
                            drop(lease)
                        } else {
                            lease.discard()
                        }
                        drop(poll_times(&mut cancelled, after).await);
                        drop(cancelled);
                        cancels += 1;
                        let when = format!("run {runs}, cancelled after {before} and {after} polls");
                        let lent = soon(&when, Duration::from_secs(1), stays).await?;
                        lent.map_err(|error| format!("{when}: {error}"))?;
                        let open = Counts::of(&backend.open_most);
                        hold!(open <= 1, "{when}: {open} open at once");
                    }
                }
                sleep(Duration::from_secs(1)).await;
                let status = pool.status();
                hold!((status.size, status.idle, status.waiting) == (1, 1, 0), "{status:?}");
            }
        }
        Ok(format!("{cancels} cancels, each followed by one who was served"))
    })
}

/// So many acquires that are dropped, at every number of polls through waiting, connecting, checking and resetting.
pub(crate) fn p4_exact_counts(cancels_wanted: usize) -> Checked {
    let settings =
        Settings { check_after_idle: Duration::ZERO, timer: &standpipe_pool::ThreadTimer, ..settings(4) };
    let backend = Backend::default();
    let pool = Pool::new(backend.clone(), settings);
    let mut random = Random::new(4);
    let mut context = Context::from_waker(Waker::noop());
    let (mut acquires, mut leases): (Vec<Acquiring>, Vec<PoolLease<Backend>>) = (Vec::new(), Vec::new());
    let (mut cancels, mut closed, mut polls_most) = (0_usize, 0, 0);
    let mut sweep = 0;
    while cancels < cancels_wanted {
        while acquires.len() < 8 {
            acquires.push(acquiring(&pool));
        }
        // The depth of polls sweeps over 0 to 7, whatever state the pool is in.
        sweep = (sweep + 1) % 8;
        let chosen = random.below(acquires.len() as u64) as usize;
        let mut lent = None;
        for poll in 0..sweep {
            polls_most = polls_most.max(poll + 1);
            if let Poll::Ready(outcome) = acquires[chosen].as_mut().poll(&mut context) {
                lent = Some(outcome.map_err(|error| error.to_string())?);
                break;
            }
        }
        // Some stay as they are, so that others leave after they were given something.
        if lent.is_none() && random.below(2) == 0 {
            continue;
        }
        drop(acquires.swap_remove(chosen));
        match lent {
            Some(lease) => leases.push(lease),
            None => cancels += 1,
        }
        if !leases.is_empty() && random.below(3) > 0 {
            let mut lease = leases.swap_remove(random.below(leases.len() as u64) as usize);
            match random.below(8) {
                0 => {
                    lease.discard();
                    closed += 1;
                }
                1 => lease.has_transaction = true,
                _ => {}
            }
        }
        let status = pool.status();
        let (open, gone) = (Counts::of(&backend.open), Counts::of(&backend.closed));
        hold!(gone == closed, "after {cancels} cancels: {gone} closed, {closed} had a reason");
        hold!(open <= 4 && status.size <= 4, "after {cancels} cancels: {open} open, {status:?}");
        hold!(
            status.idle + status.in_use + status.resetting == open && status.in_use >= leases.len(),
            "after {cancels} cancels: {open} open, {} lent, {status:?}",
            leases.len()
        );
    }
    drop(acquires);
    drop(leases);
    let status = pool.status();
    hold!(
        (status.in_use, status.waiting, status.resetting) == (0, 0, 0)
            && status.idle == Counts::of(&backend.open),
        "at rest after {cancels} cancels: {status:?}"
    );
    Ok(format!(
        "{cancels} cancels at 0 to {polls_most} polls: 0 places leaked, {closed} connections closed, all by request"
    ))
}

pub(crate) fn p11_under_check() -> Checked {
    on_paused_time(async {
        let backend = Backend::default();
        let pool = warm(&backend, Settings { check_after_idle: Duration::ZERO, ..settings(1) }, 1).await;
        backend.check_ms.store(10, SeqCst);
        for polls in 1..=5 {
            let mut acquire = acquiring(&pool);
            hold!(poll_times(&mut acquire, polls).await.is_none(), "not checked");
            drop(acquire);
            let status = pool.status();
            hold!(
                (status.idle, Counts::of(&backend.closed)) == (1, 0),
                "after a cancelled check: {status:?}"
            );
        }
        let lease = pool.acquire().await.map_err(|error| error.to_string())?;
        let checks = Counts::of(&backend.checks);
        hold!(lease.serial == 0 && checks == 6, "connection {} after {checks} checks", lease.serial);
        Ok("5 cancelled checks, the connection kept and checked again".to_owned())
    })
}

/// Whoever gets a connection finds no transaction open; what cannot be reset is closed.
pub(crate) fn an_open_transaction_reaches_nobody() -> Checked {
    on_paused_time(async {
        for runs in [false, true] {
            for reset_ms in [0, 5, 60_000] {
                for refuses in [false, true] {
                    let backend = Backend::default();
                    let pool = warm(&backend, settings(2), 2).await;
                    if runs {
                        tokio::spawn(pool.run());
                    }
                    backend.reset_ms.store(reset_ms, SeqCst);
                    backend.refuses_resets.store(refuses, SeqCst);
                    for _ in 0..4 {
                        let mut leases = Vec::new();
                        for _ in 0..2 {
                            let lent = soon("a clean one", Duration::from_secs(20), pool.acquire()).await?;
                            leases.push(lent.map_err(|error| error.to_string())?);
                        }
                        hold!(
                            leases.iter().all(|lease| !lease.has_transaction),
                            "lent with a transaction open"
                        );
                        leases.iter_mut().for_each(|lease| lease.has_transaction = true);
                    }
                    sleep(Duration::from_secs(1)).await;
                    let kept = Counts::of(&backend.dials) == 2;
                    hold!(
                        kept != (refuses || reset_ms > 5_000),
                        "run {runs}, {reset_ms} ms, refuses {refuses}: kept {kept}"
                    );
                }
            }
        }
        Ok("4 rounds of 2, resets at once, in 5 ms, too slow, refused".to_owned())
    })
}
