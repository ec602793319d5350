//! Alarms that ring when a test says so.

use std::{
    cell::RefCell,
    task::Waker,
    time::{Duration, Instant},
};

use standpipe_pool::{Alarm, Settings, Timer};

use crate::{backend::clock, settings};

thread_local! {
    static SET: RefCell<Vec<(u64, Instant, Waker)>> = const { RefCell::new(Vec::new()) };
    static NEXT: RefCell<u64> = const { RefCell::new(0) };
}

/// The clock of this thread, and alarms that ring when [`ring`] is called.
#[derive(Debug)]
pub(crate) struct Rung;

impl Timer for Rung {
    fn now(&self) -> Instant {
        clock()
    }

    fn wake_at(&self, at: Instant, waker: Waker) -> Alarm {
        let number = NEXT.with_borrow_mut(|next| {
            *next += 1;
            *next
        });
        SET.with_borrow_mut(|set| set.push((number, at, waker)));
        Alarm::new(move || {
            let dropped: Vec<_> =
                SET.with_borrow_mut(|set| set.extract_if(.., |one| one.0 == number).collect());
            drop(dropped);
        })
    }
}

/// Wakes whose time is up.
pub(crate) fn ring() {
    loop {
        let due: Vec<_> = SET.with_borrow_mut(|set| set.extract_if(.., |one| one.1 <= clock()).collect());
        if due.is_empty() {
            return;
        }
        due.into_iter().for_each(|(_, _, waker)| waker.wake());
    }
}

pub(crate) fn timed(connections_max: usize, acquire_timeout: Duration) -> Settings {
    Settings { timer: &Rung, acquire_timeout, ..settings(connections_max) }
}

pub(crate) const S: Duration = Duration::from_secs(1);
