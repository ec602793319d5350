//! What is dropped may run code of its owner's, which may panic or ask the pool.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
};

use standpipe_core::{Connect, Error};
use standpipe_pool::Pool;

use crate::{acquiring, alarm::S, lease_of, poll_times, settings};

/// Always panics when it is dropped.
struct Bomb(Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
        std::panic::resume_unwind(Box::new("dropped"));
    }
}

struct Bombs(Arc<AtomicUsize>);

impl Connect for Bombs {
    type Connection = Bomb;
    async fn connect(&self) -> Result<Bomb, Error> {
        self.0.fetch_add(1, SeqCst);
        Ok(Bomb(Arc::clone(&self.0)))
    }
    async fn check(&self, _: &mut Bomb) -> Result<(), Error> {
        Ok(())
    }
    fn is_broken(&self, _: &mut Bomb) -> bool {
        false
    }
}

/// A second panic while the first unwinds would abort the process.
#[test]
fn connections_that_all_panic_as_they_are_closed_are_all_closed() {
    let open = Arc::new(AtomicUsize::new(0));
    let pool = Pool::new(Bombs(Arc::clone(&open)), settings(4));
    let lend = || (0..4).map(|_| lease_of(&pool)).collect::<Vec<_>>();
    lend().into_iter().for_each(drop);
    assert!(catch_unwind(AssertUnwindSafe(|| pool.resize(1))).is_err());
    assert_eq!((open.load(SeqCst), pool.status().size), (1, 1));
    pool.resize(4);
    lend().into_iter().for_each(drop);
    assert_eq!(open.load(SeqCst), 4);
    assert!(catch_unwind(AssertUnwindSafe(move || drop(pool))).is_err());
    assert_eq!(open.load(SeqCst), 0);
}

/// The cause of an error, which looks at the pool when it is dropped.
struct Cause(Arc<Mutex<Option<Pool<Refuses>>>>);

impl Drop for Cause {
    fn drop(&mut self) {
        let pool = self.0.lock().unwrap().clone();
        let _ = pool.map(|pool| pool.status());
    }
}

impl std::fmt::Debug for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cause")
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cause")
    }
}

impl std::error::Error for Cause {}

struct Refuses(Arc<Mutex<Option<Pool<Refuses>>>>, AtomicUsize);

impl Connect for Refuses {
    type Connection = u8;
    async fn connect(&self) -> Result<u8, Error> {
        match self.1.fetch_add(1, SeqCst) {
            0 | 1 => Err(Error::retry("refused").with_source(Cause(Arc::clone(&self.0)))),
            _ => Ok(0),
        }
    }
    async fn check(&self, _: &mut u8) -> Result<(), Error> {
        Ok(())
    }
    fn is_broken(&self, _: &mut u8) -> bool {
        false
    }
}

#[test]
fn an_error_that_asks_the_pool_as_it_is_dropped_does_not_lock_up() {
    let (done, finished) = mpsc::channel();
    thread::spawn(move || {
        let asked = Arc::default();
        let pool = Pool::new(Refuses(Arc::clone(&asked), AtomicUsize::new(0)), settings(1));
        *asked.lock().unwrap() = Some(pool.clone());
        for _ in 0..2 {
            assert!(poll_times(&mut acquiring(&pool), 1).unwrap().is_err());
        }
        drop(lease_of(&pool));
        *asked.lock().unwrap() = None;
        done.send(()).unwrap();
    });
    finished.recv_timeout(30 * S).expect("locked up or failed");
}
