//! The pool's atomic protocols in every order that there is, with every value that a weak memory may show: the real rack, desk,
//! queue, waits and leases, over connections that are made at once.
//! `RUSTFLAGS="--cfg loom" cargo test -p standpipe-pool --release --lib loom`

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc as StdArc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use loom::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};
use standpipe_core::{Connect, Error};

use crate::{
    Pool, Settings,
    rack::{Dates, Rack, Taken},
};

struct Toy;

impl Connect for Toy {
    type Connection = u8;
    async fn connect(&self) -> Result<u8, Error> {
        Ok(0)
    }
    async fn check(&self, _: &mut u8) -> Result<(), Error> {
        Ok(())
    }
    fn is_broken(&self, _: &mut u8) -> bool {
        false
    }
}

fn pool(connections_max: usize) -> Pool<Toy> {
    Pool::new(
        Toy,
        Settings {
            connections_max,
            acquire_timeout: Duration::MAX,
            idle_max: Duration::MAX,
            life_max: Duration::MAX,
            check_after_idle: Duration::MAX,
            seed: Some(1),
            ..Settings::default()
        },
    )
}

/// Blocks a thread of the model.
struct Parker {
    is_woken: Mutex<bool>,
    woken: Condvar,
}

impl Wake for Parker {
    fn wake(self: StdArc<Self>) {
        *self.is_woken.lock().unwrap() = true;
        self.woken.notify_one();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let parker = StdArc::new(Parker { is_woken: Mutex::new(false), woken: Condvar::new() });
    let waker = Waker::from(StdArc::clone(&parker));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let mut is_woken = parker.is_woken.lock().unwrap();
        while !*is_woken {
            is_woken = parker.woken.wait(is_woken).unwrap();
        }
        *is_woken = false;
    }
}

fn check(preemptions_max: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions_max);
    builder.check(model);
}

const DATES: Dates = Dates { born: 0, since: 0, dies: 0 };

/// What stands in a place is had by one at a time, and nothing is lost.
#[test]
fn loom_the_rack_gives_each_item_to_one() {
    check(3, || {
        let rack = Arc::new(Rack::new());
        assert!(!rack.put(0, 7_u32, DATES) && !rack.put(1, 8, DATES));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let rack = Arc::clone(&rack);
                thread::spawn(move || {
                    for _ in 0..2 {
                        let Taken::Item(item) = rack.take() else { panic!("two items for two threads") };
                        assert!(!rack.put(item as usize - 7, item, DATES));
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(rack.count(), 2);
    });
}

/// Who closes the way sees what was put before, and who puts after that sees that the way is closed.
#[test]
fn loom_a_put_and_a_closed_way_do_not_miss_each_other() {
    check(3, || {
        let rack = Arc::new(Rack::new());
        let putter = {
            let rack = Arc::clone(&rack);
            thread::spawn(move || rack.put(0, 7_u32, DATES))
        };
        rack.set_desk(true);
        let seen = rack.take_at_desk().is_some();
        let told = putter.join().unwrap();
        assert!(seen || told, "what stands there is seen by neither");
    });
}

/// Two share one connection: a return and a wait do not miss each other, and never have both.
#[test]
fn loom_two_tasks_share_one_connection() {
    check(2, || {
        let pool = pool(1);
        let lent = Arc::new(AtomicUsize::new(0));
        let turn = |pool: Pool<Toy>, lent: Arc<AtomicUsize>| {
            move || {
                let lease = block_on(pool.acquire()).unwrap();
                assert_eq!(lent.fetch_add(1, SeqCst), 0, "lent to two");
                lent.fetch_sub(1, SeqCst);
                drop(lease);
            }
        };
        let other = thread::spawn(turn(pool.clone(), Arc::clone(&lent)));
        turn(pool.clone(), lent)();
        other.join().unwrap();
        let status = pool.status();
        assert_eq!((status.size, status.idle, status.in_use, status.waiting), (1, 1, 0, 0));
    });
}

/// One gives up at the same time as the connection comes back: the next gets it.
#[test]
fn loom_a_cancel_races_a_return() {
    check(2, || {
        let pool = pool(1);
        let lease = block_on(pool.acquire()).unwrap();
        let mut waits: Pin<Box<dyn Future<Output = _> + Send>> = {
            let pool = pool.clone();
            Box::pin(async move { pool.acquire().await.map(drop) })
        };
        assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let gives_up = thread::spawn(move || drop(waits));
        drop(lease);
        gives_up.join().unwrap();
        drop(block_on(pool.acquire()).unwrap());
        let status = pool.status();
        assert_eq!((status.size, status.idle, status.in_use, status.waiting), (1, 1, 0, 0));
    });
}

/// A close at the same time as a return: nothing stays open.
#[test]
fn loom_a_close_races_a_return() {
    check(2, || {
        let pool = pool(1);
        let lease = block_on(pool.acquire()).unwrap();
        let closes = {
            let pool = pool.clone();
            thread::spawn(move || block_on(pool.close()))
        };
        drop(lease);
        closes.join().unwrap();
        assert_eq!(pool.status().size, 0);
        assert!(block_on(pool.acquire()).is_err());
    });
}
