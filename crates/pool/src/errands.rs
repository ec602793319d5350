use std::{
    any::Any,
    collections::{BTreeMap, VecDeque},
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Wake, Waker},
    thread,
};

use standpipe_core::Connect;

use crate::shared::Shared;

/// What the pool has to do and nobody's own future does: it settles itself when it ends.
pub(crate) type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Connect,
    Reset,
    Close,
}

/// A job that is to be polled: its number and its bell.
pub(crate) type TakenJob = (u64, Job, Waker);

/// The jobs, polled by whoever is there: [`run`](crate::Pool::run), a close, or the oldest waiter.
#[derive(Default)]
pub(crate) struct Errands {
    all: BTreeMap<u64, Errand>,
    /// Those that were woken, in that order.
    ready: VecDeque<u64>,
    next: u64,
}

struct Errand {
    kind: Kind,
    /// Absent while it is polled.
    job: Option<Job>,
    bell: Waker,
    is_rung: bool,
    /// When it is of no use any more, should nobody be there to poll it.
    expires: u64,
}

impl Errands {
    pub(crate) fn begin<C: Connect>(
        &mut self,
        shared: &Arc<Shared<C>>,
        kind: Kind,
        expires: u64,
        job: Job,
    ) -> u64 {
        let number = self.next;
        self.next += 1;
        let bell = Waker::from(Arc::new(Bell { shared: Arc::downgrade(shared), number }));
        self.all.insert(number, Errand { kind, job: Some(job), bell, is_rung: true, expires });
        self.ready.push_back(number);
        number
    }

    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.all.values().filter(|errand| errand.kind == kind).count()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// All of some kinds, to be dropped outside the lock. Those that are polled now are dropped after that.
    pub(crate) fn cancel(&mut self, is_cancelled: impl Fn(Kind) -> bool) -> Vec<Job> {
        let cancelled: Vec<u64> = self
            .all
            .iter()
            .filter(|(_, errand)| is_cancelled(errand.kind))
            .map(|(number, _)| *number)
            .collect();
        cancelled.into_iter().filter_map(|number| self.all.remove(&number)?.job).collect()
    }

    fn take(&mut self) -> Option<TakenJob> {
        loop {
            let number = self.ready.pop_front()?;
            if let Some(taken) = self.take_job(number) {
                return Some(taken);
            }
        }
    }

    /// That one, out of its turn.
    pub(crate) fn take_ready(&mut self, number: u64) -> Option<TakenJob> {
        self.ready.retain(|ready| *ready != number);
        self.take_job(number)
    }

    fn take_job(&mut self, number: u64) -> Option<TakenJob> {
        let errand = self.all.get_mut(&number)?;
        let job = errand.job.take()?;
        errand.is_rung = false;
        Some((number, job, errand.bell.clone()))
    }

    /// The job comes back when it was cancelled meanwhile.
    fn put_back(&mut self, number: u64, job: Job) -> Option<Job> {
        let Some(errand) = self.all.get_mut(&number) else { return Some(job) };
        errand.job = Some(job);
        if errand.is_rung {
            self.ready.push_back(number);
        }
        None
    }
}

impl<C: Connect> Shared<C> {
    /// Polls each job that was woken before, once. No lock is held meanwhile.
    pub(crate) fn drive(self: &Arc<Self>) {
        let mut steps = Steps::default();
        let rounds = self.with_first(&mut steps, |desk, _| desk.errands.ready.len());
        for _ in 0..rounds {
            let Some(taken) = self.with_first(&mut steps, |desk, _| desk.errands.take()) else { break };
            self.poll_job(&mut steps, taken);
        }
        steps.pass_on();
    }

    pub(crate) fn poll_job(self: &Arc<Self>, steps: &mut Steps, (number, mut job, bell): TakenJob) {
        // A panic of the user's is the end of this job only: what it holds is dropped.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            job.as_mut().poll(&mut Context::from_waker(&bell)).is_pending()
        }));
        let ended = if matches!(polled, Ok(true)) {
            self.with_first(steps, |desk, _| desk.errands.put_back(number, job))
        } else {
            let errand = self.with_first(steps, |desk, _| desk.errands.all.remove(&number));
            drop(errand);
            Some(job)
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(ended))) {
            drop(catch_unwind(AssertUnwindSafe(|| drop(panic))));
        }
    }
}

/// Says that a job can go on, and calls one who polls it.
struct Bell<C: Connect> {
    shared: Weak<Shared<C>>,
    number: u64,
}

impl<C: Connect> Wake for Bell<C> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let Some(shared) = self.shared.upgrade() else { return };
        let now = shared.exact();
        let mut steps = Steps::default();
        let abandoned = shared.with_first(&mut steps, |desk, _| {
            let has_driver = desk.has_driver();
            let errand = desk.errands.all.get_mut(&self.number)?;
            if !has_driver && errand.job.is_some() && now >= errand.expires {
                return desk.errands.all.remove(&self.number);
            }
            if !errand.is_rung {
                errand.is_rung = true;
                if errand.job.is_some() {
                    desk.errands.ready.push_back(self.number);
                }
            }
            None
        });
        // Dropping it closes what it holds, which may be code of the user's.
        drop(catch_unwind(AssertUnwindSafe(|| drop(abandoned))));
        steps.pass_on();
    }
}

/// The first panic of several steps that are each taken, whatever the others do: it is passed on after the last, as a second one
/// while the first unwinds would be an abort.
#[derive(Default)]
pub(crate) struct Steps(Option<Box<dyn Any + Send>>);

impl Steps {
    pub(crate) fn take(&mut self, step: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(step)) {
            self.0.get_or_insert(panic);
        }
    }

    pub(crate) fn pass_on(self) {
        if let Some(panic) = self.0
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

/// Drops them one by one.
pub(crate) fn drop_each(jobs: Vec<Job>) {
    let mut steps = Steps::default();
    for job in jobs {
        steps.take(|| drop(job));
    }
    steps.pass_on();
}

/// What came of a future, or the message of its panic.
pub(crate) async fn caught<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(move |context| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => {
                let message = panic.downcast_ref::<&str>().map(|message| (*message).to_owned());
                let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
                Poll::Ready(Err(message.unwrap_or_else(|| "no message".to_owned())))
            }
        }
    })
    .await
}
