use std::{
    cell::Cell,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use standpipe_core::{Connect, Error, ErrorKind};
use standpipe_pool::{Alarm, Timer};

/// Counts what is dialled, open and closed, and fails when told.
#[derive(Clone, Default)]
pub(crate) struct Backend(Arc<Dials>);

#[derive(Default)]
pub(crate) struct Dials {
    pub(crate) dials: AtomicUsize,
    pub(crate) checks: AtomicUsize,
    pub(crate) open: AtomicUsize,
    pub(crate) open_peak: AtomicUsize,
    pub(crate) closed: AtomicUsize,
    /// How often a connect, a check, is pending before it is ready.
    pub(crate) connect_pends: AtomicUsize,
    pub(crate) check_pends: AtomicUsize,
    pub(crate) refuses: AtomicBool,
    pub(crate) fails_checks: AtomicBool,
    pub(crate) panics: AtomicUsize,
}

/// Values of [`Dials::panics`]; 0 is nowhere.
pub(crate) const IN_CONNECT_CALL: usize = 1;
pub(crate) const IN_CONNECT: usize = 2;
pub(crate) const IN_CHECK: usize = 3;
pub(crate) const IN_IS_BROKEN: usize = 4;
pub(crate) const IN_CLOSE: usize = 5;

pub(crate) struct Wire {
    pub(crate) serial: usize,
    pub(crate) is_broken: bool,
    dials: Arc<Dials>,
}

impl std::ops::Deref for Backend {
    type Target = Dials;
    fn deref(&self) -> &Dials {
        &self.0
    }
}

impl Dials {
    pub(crate) fn open(&self) -> usize {
        self.open.load(SeqCst)
    }

    pub(crate) fn closed(&self) -> usize {
        self.closed.load(SeqCst)
    }

    pub(crate) fn dials(&self) -> usize {
        self.dials.load(SeqCst)
    }

    fn panic_if(&self, place: usize) {
        assert!(
            self.panics.compare_exchange(place, 0, SeqCst, SeqCst).is_err(),
            "the panic that the test asked for"
        );
    }
}

impl Connect for Backend {
    type Connection = Wire;

    fn connect(&self) -> impl Future<Output = Result<Wire, Error>> + Send {
        self.panic_if(IN_CONNECT_CALL);
        async {
            let serial = self.dials.fetch_add(1, SeqCst);
            pend(self.connect_pends.load(SeqCst)).await;
            self.panic_if(IN_CONNECT);
            if self.refuses.load(SeqCst) {
                let refused = Error::new(ErrorKind::Invalid, "password authentication failed");
                return Err(refused.with_code("28P01"));
            }
            self.open_peak.fetch_max(self.open.fetch_add(1, SeqCst) + 1, SeqCst);
            Ok(Wire { serial, is_broken: false, dials: Arc::clone(&self.0) })
        }
    }

    async fn check(&self, _: &mut Wire) -> Result<(), Error> {
        self.checks.fetch_add(1, SeqCst);
        pend(self.check_pends.load(SeqCst)).await;
        self.panic_if(IN_CHECK);
        if self.fails_checks.load(SeqCst) { Err(Error::retry("gone")) } else { Ok(()) }
    }

    fn is_broken(&self, wire: &mut Wire) -> bool {
        self.panic_if(IN_IS_BROKEN);
        wire.is_broken
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.dials.open.fetch_sub(1, SeqCst);
        self.dials.closed.fetch_add(1, SeqCst);
        self.dials.panic_if(IN_CLOSE);
    }
}

async fn pend(mut times: usize) {
    poll_fn(|context| {
        if times == 0 {
            return Poll::Ready(());
        }
        times -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

thread_local! {
    static STARTED: Instant = Instant::now();
    static ADVANCED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Has the clock of this thread, and never wakes anybody.
#[derive(Debug)]
pub(crate) struct Still;

impl Timer for Still {
    fn now(&self) -> Instant {
        clock()
    }

    fn wake_at(&self, _: Instant, _: Waker) -> Alarm {
        Alarm::new(|| {})
    }
}

/// A clock of this thread that only [`advance`] moves.
pub(crate) fn clock() -> Instant {
    STARTED.with(|started| *started) + ADVANCED.get()
}

pub(crate) fn advance(by: Duration) {
    ADVANCED.set(ADVANCED.get() + by);
}
