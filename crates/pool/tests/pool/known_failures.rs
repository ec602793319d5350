use std::{
    future::poll_fn,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    task::Poll,
    thread,
    time::Duration,
};

use standpipe_core::{Acquire, Error, ErrorKind, Lease};
use standpipe_pool::{Pool, Settings};
use standpipe_testkit::Random;
use tokio::task::yield_now;

use crate::{
    Acquiring, acquiring,
    backend::{Backend, Wire, advance},
    lease_of, poll_times, settings,
    wrong::{Fault, WrongPool},
};

const LIFE_MAX: Duration = Duration::from_secs(60);

/// A pool that says how many places are in use, and how many connections are idle.
trait Counted: Acquire<Connection = Wire> + Clone {
    fn in_use(&self) -> usize;
    fn idle(&self) -> usize;
}

impl Counted for Pool<Backend> {
    fn in_use(&self) -> usize {
        self.status().in_use
    }
    fn idle(&self) -> usize {
        self.status().idle
    }
}

impl Counted for WrongPool {
    fn in_use(&self) -> usize {
        WrongPool::in_use(self)
    }
    fn idle(&self) -> usize {
        WrongPool::idle(self)
    }
}

/// Our pool; it checks whatever was idle.
fn right(places: usize) -> (Pool<Backend>, Backend) {
    let backend = Backend::default();
    let settings = Settings { check_after_idle: Duration::ZERO, life_max: LIFE_MAX, ..settings(places) };
    (Pool::new(backend.clone(), settings), backend)
}

fn wrong(places: usize, fault: Fault) -> (WrongPool, Backend) {
    let backend = Backend::default();
    (WrongPool::new(&backend, places, LIFE_MAX, fault), backend)
}

#[test]
fn k1_never_more_are_lent_than_the_limit() {
    assert_eq!(most_lent(&right(4).0), 4);
    assert_eq!(most_lent(&wrong(4, Fault::None).0), 4);
    assert!(most_lent(&wrong(4, Fault::PermitDropped).0) > 4);
    let (pool, backend) = right(4);
    most_lent(&pool);
    assert!(backend.open_peak.load(SeqCst) <= 4);
    assert_eq!((pool.in_use(), pool.idle(), pool.status().waiting), (0, backend.open(), 0));
}

fn most_lent<P: Counted>(pool: &P) -> usize {
    let (lent, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
    on_64_tasks(async |_| {
        for _ in 0..50 {
            let lease = pool.acquire().await.unwrap();
            peak.fetch_max(lent.fetch_add(1, SeqCst) + 1, SeqCst);
            yield_now().await;
            lent.fetch_sub(1, SeqCst);
            drop(lease);
        }
    });
    peak.load(SeqCst)
}

#[test]
fn p3_a_cancel_at_any_poll_leaves_the_pool_whole() {
    cancel_at_every_poll(|| right(1)).unwrap();
    cancel_at_every_poll(|| wrong(1, Fault::None)).unwrap();
    let complaint = cancel_at_every_poll(|| wrong(1, Fault::SlotLost)).unwrap_err();
    assert!(complaint.contains("in use"), "{complaint}");
}

/// Connecting, checking and waiting, each dropped after every number of polls, many times over on one pool.
fn cancel_at_every_poll<P: Counted>(make: impl Fn() -> (P, Backend)) -> Result<(), String> {
    let (pool, backend) = make();
    backend.connect_pends.store(3, SeqCst);
    backend.check_pends.store(3, SeqCst);
    for round in 0..500 {
        for polls in 0..6 {
            if let Some(lent) = poll_times(&mut acquiring(&pool), polls) {
                lent.map_err(|e| e.to_string())?.discard();
            }
            at_rest(&pool, &format!("round {round}: connecting, dropped after {polls} polls"))?;
        }
        drop(lease_of_some(&pool).map_err(|e| e.to_string())?);
        for polls in 0..6 {
            drop(poll_times(&mut acquiring(&pool), polls));
            at_rest(&pool, &format!("round {round}: checking, dropped after {polls} polls"))?;
        }
        for before in 0..3 {
            for after in 0..6 {
                let lease = lease_of_some(&pool).map_err(|e| e.to_string())?;
                let (mut first, mut second) = (acquiring(&pool), acquiring(&pool));
                let lent_early = poll_times(&mut first, before).or(poll_times(&mut second, 1)).is_some();
                if lent_early {
                    return Err("lent although it was lent".into());
                }
                drop(lease);
                let served = if before > 0 { poll_times(&mut first, after) } else { None };
                drop((first, served));
                if poll_times(&mut second, 20).is_none_or(|lent| lent.is_err()) {
                    return Err(format!("the second waiter is stuck: first polled {before} + {after} times"));
                }
                at_rest(&pool, &format!("round {round}: waiting, dropped after {before} + {after} polls"))?;
            }
        }
    }
    Ok(())
}

fn lease_of_some<P: Counted>(pool: &P) -> Result<P::Lease, Error> {
    poll_times(&mut acquiring(pool), 20).unwrap_or_else(|| Err(Error::retry("wedged: all places in use")))
}

fn at_rest<P: Counted>(pool: &P, when: &str) -> Result<(), String> {
    if pool.in_use() == 0 { Ok(()) } else { Err(format!("{when}: {} in use", pool.in_use())) }
}

#[test]
fn p4_counts_are_exact_after_any_cancels() {
    let cancels: usize = (0..4).map(|seed| cancel_at_random(right(4), 250_000, seed).unwrap()).sum();
    assert!(cancels > 50_000, "{cancels}");
    cancel_at_random(wrong(4, Fault::None), 50_000, 1).unwrap();
    for fault in [Fault::SlotLost, Fault::CheckedDestroyed] {
        cancel_at_random(wrong(4, fault), 50_000, 1).unwrap_err();
    }
}

/// The same across threads, where a lost wake would hang: each task gives up most of its acquires after some polls.
#[test]
fn p4_counts_are_exact_after_cancels_on_many_threads() {
    let (pool, backend) = right(4);
    let cancelled = AtomicUsize::new(0);
    backend.connect_pends.store(1, SeqCst);
    backend.check_pends.store(1, SeqCst);
    on_64_tasks(async |task| {
        let mut random = Random::new(task);
        for _ in 0..500 {
            let polls = random.below(6);
            match give_up_after(polls, pool.acquire()).await {
                Some(lent) => {
                    let lease = lent.unwrap();
                    yield_now().await;
                    drop(lease);
                }
                None => drop(cancelled.fetch_add(1, SeqCst)),
            }
        }
        drop(pool.acquire().await.unwrap());
    });
    assert!(cancelled.load(SeqCst) > 5_000);
    assert_eq!((pool.in_use(), pool.status().waiting, pool.idle()), (0, 0, backend.open()));
    assert!(backend.open_peak.load(SeqCst) <= 4);
    assert_eq!(backend.closed(), 0);
}

async fn give_up_after<F: Future>(mut polls: u64, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        context.waker().wake_by_ref();
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Runs it on 8 threads, 8 tasks on each one's own runtime; the argument is the number of the task.
fn on_64_tasks(work: impl AsyncFn(u64) + Sync) {
    thread::scope(|threads| {
        for thread in 0..8 {
            let work = &work;
            threads.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let mut tasks: Vec<_> = (0..8).map(|task| Some(Box::pin(work(thread * 8 + task)))).collect();
                runtime.block_on(poll_fn(|context| {
                    for task in &mut tasks {
                        if task.as_mut().is_some_and(|task| task.as_mut().poll(context).is_ready()) {
                            *task = None;
                        }
                    }
                    if tasks.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
                }));
            });
        }
    });
}

/// Any of what acquirers and holders can do, in any order; counted exactly after each step and at rest.
fn cancel_at_random<P: Counted>(
    (pool, backend): (P, Backend),
    steps: usize,
    seed: u64,
) -> Result<usize, String> {
    let mut random = Random::new(seed);
    let (mut acquires, mut leases): (Vec<Acquiring<P>>, Vec<P::Lease>) = (Vec::new(), Vec::new());
    let (mut closed, mut cancels) = (0, 0);
    for step in 0..steps {
        backend.connect_pends.store(random.below(3) as usize, SeqCst);
        backend.check_pends.store(random.below(3) as usize, SeqCst);
        backend.refuses.store(random.below(16) == 0, SeqCst);
        match random.below(8) {
            0 | 1 if acquires.len() < 16 => acquires.push(acquiring(&pool)),
            2..=4 if !acquires.is_empty() => {
                let chosen = random.below(acquires.len() as u64) as usize;
                if let Some(lent) = poll_times(&mut acquires[chosen], 1) {
                    drop(acquires.swap_remove(chosen));
                    leases.extend(lent);
                }
            }
            5 if !acquires.is_empty() => {
                cancels += 1;
                drop(acquires.swap_remove(random.below(acquires.len() as u64) as usize));
            }
            _ if !leases.is_empty() => {
                let mut lease = leases.swap_remove(random.below(leases.len() as u64) as usize);
                match random.below(6) {
                    0 => {
                        lease.discard();
                        closed += 1;
                    }
                    1 => {
                        lease.is_broken = true;
                        closed += 1;
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        let (in_use, idle, open) = (pool.in_use(), pool.idle(), backend.open());
        if in_use < leases.len() || in_use > 4 || idle > open || open > 4 {
            return Err(format!(
                "step {step}: {in_use} in use, {idle} idle, {open} open, {} lent",
                leases.len()
            ));
        }
        if backend.closed() != closed {
            return Err(format!("step {step}: {} closed, {closed} had a reason", backend.closed()));
        }
    }
    acquires.clear();
    leases.clear();
    at_rest(&pool, "at the end")?;
    if pool.idle() != backend.open() || backend.closed() != closed {
        return Err(format!("{} idle, {} open, {} closed", pool.idle(), backend.open(), backend.closed()));
    }
    backend.refuses.store(false, SeqCst);
    for _ in 0..4 {
        leases.push(lease_of_some(&pool).map_err(|e| e.to_string())?);
    }
    if poll_times(&mut acquiring(&pool), 20).is_some() { Err("a fifth was lent".into()) } else { Ok(cancels) }
}

#[test]
fn p5_the_true_error_reaches_whoever_waited() {
    assert_eq!(error_of(right(1)), (Some("28P01".to_owned()), ErrorKind::Invalid, 2));
    assert_eq!(error_of(wrong(1, Fault::None)), (Some("28P01".to_owned()), ErrorKind::Invalid, 2));
    assert_eq!(error_of(wrong(1, Fault::ErrorHidden)).1, ErrorKind::Retry);
}

/// What a waiter is told when the connection before him broke and the backend refuses; and the dials made.
fn error_of<P: Counted>((pool, backend): (P, Backend)) -> (Option<String>, ErrorKind, usize) {
    let mut lease = lease_of(&pool);
    let mut waiter = acquiring(&pool);
    assert!(poll_times(&mut waiter, 1).is_none());
    backend.refuses.store(true, SeqCst);
    lease.is_broken = true;
    drop(lease);
    let error = poll_times(&mut waiter, 100).unwrap().map(drop).unwrap_err();
    at_rest(&pool, "after the error").unwrap();
    (error.code().map(str::to_owned), error.kind(), backend.dials())
}

#[test]
fn p7_a_busy_connection_past_its_life_is_closed_on_return() {
    assert_eq!(idle_after_life(right(2)), (1, 1));
    assert_eq!(idle_after_life(wrong(2, Fault::None)), (1, 1));
    assert_eq!(idle_after_life(wrong(2, Fault::LifeIgnored)), (2, 2));
}

/// How many are idle, and open, when one comes back past its life to a younger one that is idle.
fn idle_after_life<P: Counted>((pool, backend): (P, Backend)) -> (usize, usize) {
    let lease = lease_of(&pool);
    advance(LIFE_MAX / 2);
    drop(lease_of(&pool));
    advance(LIFE_MAX / 2);
    assert_eq!(backend.open(), 2, "not while it is lent");
    drop(lease);
    (pool.idle(), backend.open())
}

#[test]
fn p10_nobody_barges_past_a_waiter() {
    let in_order: Vec<usize> = (0..10).collect();
    assert_eq!(order_of_grants(&right(1).0), in_order);
    assert_eq!(order_of_grants(&wrong(1, Fault::None).0), in_order);
    assert_ne!(order_of_grants(&wrong(1, Fault::Barging).0), in_order);
}

/// Who is served, by the order of coming, when each return is followed first by a newcomer and then by the waiters,
/// the youngest first.
fn order_of_grants<P: Counted>(pool: &P) -> Vec<usize> {
    let mut lease = Some(lease_of(pool));
    let mut waiters: Vec<(usize, Acquiring<P>)> = Vec::new();
    let mut order = Vec::new();
    for came in 0..5 {
        waiters.push((came, acquiring(pool)));
        assert!(poll_times(&mut waiters[came].1, 1).is_none());
    }
    for came in 5..15 {
        drop(lease.take());
        waiters.push((came, acquiring(pool)));
        for index in (0..waiters.len()).rev() {
            if let Some(lent) = poll_times(&mut waiters[index].1, 1) {
                assert!(lease.replace(lent.unwrap()).is_none(), "two were lent of one");
                order.push(waiters.remove(index).0);
            }
        }
    }
    order
}

#[test]
fn p11_a_connection_under_check_survives_a_cancel() {
    assert_eq!(cancelled_checks(right(1)), Checked { closed: 0, checks: 6 });
    assert_eq!(cancelled_checks(wrong(1, Fault::None)), Checked { closed: 0, checks: 6 });
    assert_ne!(cancelled_checks(wrong(1, Fault::CheckedDestroyed)).closed, 0);
}

#[derive(Debug, PartialEq, Eq)]
struct Checked {
    closed: usize,
    checks: usize,
}

/// Five checks that are cancelled, each one poll later, and one that is not: a check that was cut short is made again.
fn cancelled_checks<P: Counted>((pool, backend): (P, Backend)) -> Checked {
    drop(lease_of(&pool));
    backend.check_pends.store(5, SeqCst);
    for polls in 1..=5 {
        drop(poll_times(&mut acquiring(&pool), polls));
    }
    drop(lease_of(&pool));
    Checked { closed: backend.closed(), checks: backend.checks.load(SeqCst) }
}
