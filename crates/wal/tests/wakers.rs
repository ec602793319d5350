//! Wakers, which the log calls on the thread that writes: what they may do, and what harms nobody.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task, thread,
    time::Instant,
};

use common::{PATIENCE, append, open_with, small};
use standpipe_testkit::MemStorage;
use standpipe_wal::{Durability, Log, LogError, Lsn, Record, Settings, Ticket, Wal};

/// Waits for the log that calls it.
struct Waits {
    log: Arc<Wal<MemStorage>>,
    refused: AtomicUsize,
}

impl task::Wake for Waits {
    fn wake(self: Arc<Self>) {
        let inside = |outcome: Result<(), LogError>| {
            if matches!(outcome, Err(LogError::Invalid(_))) {
                self.refused.fetch_add(1, Ordering::SeqCst);
            }
        };
        inside(self.log.append(Record::new(&[b"from within"])).unwrap().wait().map(drop));
        inside(self.log.sync());
        inside(self.log.advance_to(Lsn::new(1_000)));
    }
}

/// Takes a lock under which somebody polls tickets of the log, as executors do with their lists of what is ready.
struct Locks(Arc<Mutex<u64>>);

impl task::Wake for Locks {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() += 1;
    }
}

#[test]
fn a_waker_may_take_a_lock_under_which_tickets_are_polled() {
    for durability in [Durability::Group, Durability::Os] {
        let log = Arc::new(open_with(&MemStorage::new(), Settings { durability, ..small() }).unwrap());
        let (tell, told) = mpsc::channel();
        let list = Arc::new(Mutex::new(0));
        let waker = task::Waker::from(Arc::new(Locks(list.clone())));
        thread::spawn(move || {
            for round in 0..2_000_u64 {
                let mut tickets: Vec<_> = (0..4)
                    .map(|_| Box::pin(log.append(Record::new(&[&round.to_le_bytes()])).unwrap()))
                    .collect();
                while !tickets.is_empty() {
                    let _held = list.lock().unwrap();
                    let mut context = task::Context::from_waker(&waker);
                    tickets.retain_mut(|ticket| ticket.as_mut().poll(&mut context).is_pending());
                }
                log.truncate_before(log.end()).unwrap();
            }
            tell.send(()).unwrap();
        });
        told.recv_timeout(4 * PATIENCE).expect("the log waits for the waker, which waits for whoever polls");
    }
}

struct Panics;

impl task::Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker of somebody else's");
    }
}

#[test]
fn a_waker_that_waits_is_refused_and_one_that_panics_harms_nobody() {
    for durability in [Durability::Group, Durability::Os] {
        let disk = MemStorage::new();
        let log = Arc::new(open_with(&disk, Settings { durability, ..small() }).unwrap());
        let waits = Arc::new(Waits { log: log.clone(), refused: AtomicUsize::new(0) });
        let wakers = [task::Waker::from(waits.clone()), task::Waker::from(Arc::new(Panics))];
        let mut polled = wakers.map(|waker| {
            let mut ticket = Box::pin(log.append(Record::new(&[b"polled"])).unwrap());
            assert!(ticket.as_mut().poll(&mut task::Context::from_waker(&waker)).is_pending());
            ticket
        });
        let deadline = Instant::now() + PATIENCE;
        while waits.refused.load(Ordering::SeqCst) < 3 {
            assert!(Instant::now() < deadline, "the waker waits for the log, which waits for the waker");
            thread::yield_now();
        }
        append(&*log, b"the log goes on").unwrap();
        for ticket in &mut polled {
            let mut context = task::Context::from_waker(task::Waker::noop());
            assert!(matches!(ticket.as_mut().poll(&mut context), task::Poll::Ready(Ok(_))));
        }
    }
}
