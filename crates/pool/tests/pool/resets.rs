//! Resets: who polls them, and what is counted meanwhile.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Wake, Waker},
    thread::{self, ThreadId},
};

use standpipe_core::{Connect, Error};
use standpipe_pool::{Pool, Status};

use crate::{acquiring, lease_of, poll_times, settings};

/// Says who polls its connects.
#[derive(Default)]
struct Watched {
    polls: Mutex<Vec<ThreadId>>,
}

impl Connect for Watched {
    type Connection = bool;
    async fn connect(&self) -> Result<bool, Error> {
        let is_first = self.polls.lock().unwrap().is_empty();
        std::future::poll_fn(|context| {
            self.polls.lock().unwrap().push(thread::current().id());
            context.waker().wake_by_ref();
            if is_first { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        Ok(false)
    }
    async fn check(&self, _: &mut bool) -> Result<(), Error> {
        Ok(())
    }
    fn is_broken(&self, _: &mut bool) -> bool {
        false
    }
    fn is_clean(&self, is_dirty: &mut bool) -> bool {
        !*is_dirty
    }
}

#[derive(Default)]
struct Shared(Arc<Watched>);

impl Connect for Shared {
    type Connection = bool;
    async fn connect(&self) -> Result<bool, Error> {
        self.0.connect().await
    }
    async fn check(&self, _: &mut bool) -> Result<(), Error> {
        Ok(())
    }
    fn is_broken(&self, _: &mut bool) -> bool {
        false
    }
    fn is_clean(&self, is_dirty: &mut bool) -> bool {
        self.0.is_clean(is_dirty)
    }
    async fn reset(&self, is_dirty: &mut bool) -> Result<(), Error> {
        *is_dirty = false;
        Ok(())
    }
}

/// Looks at the pool when it is woken.
struct Looks {
    pool: Pool<Shared>,
    seen: Mutex<Vec<Status>>,
}

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        self.seen.lock().unwrap().push(self.pool.status());
    }
}

#[test]
fn what_was_reset_is_not_counted_as_reset_when_it_is_handed_over() {
    let pool = Pool::new(Shared::default(), settings(1));
    let mut lease = lease_of(&pool);
    *lease = true;
    let looks = Arc::new(Looks { pool: pool.clone(), seen: Mutex::default() });
    let waker = Waker::from(Arc::clone(&looks));
    let mut waiter = acquiring(&pool);
    assert!(waiter.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(lease);
    let seen = looks.seen.lock().unwrap().pop().unwrap();
    assert_eq!((seen.size, seen.in_use, seen.resetting, seen.idle), (1, 1, 0, 0));
    assert!(poll_times(&mut waiter, 1).is_some());
}

/// That thread may have no runtime, in which the connects of others would panic.
#[test]
fn who_gives_one_back_polls_its_reset_and_not_the_connects_of_others() {
    let watched = Arc::new(Watched::default());
    let pool = Pool::new(Shared(Arc::clone(&watched)), settings(2));
    let mut lease = lease_of(&pool);
    *lease = true;
    let mut waiter = acquiring(&pool);
    assert!(poll_times(&mut waiter, 2).is_none());
    thread::spawn(move || drop(lease)).join().unwrap();
    let here = thread::current().id();
    assert!(watched.polls.lock().unwrap().iter().all(|thread| *thread == here), "polled elsewhere");
    assert!(!*poll_times(&mut waiter, 1).unwrap().unwrap(), "reset, and handed over");
}
