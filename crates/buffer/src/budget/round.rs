use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;
use std::thread;

const ROUND: usize = 16;

/// Wakers taken under a lock, to be called outside of it. Of a fixed size, so that waking allocates nothing.
pub(super) struct Round {
    wakers: [Option<Waker>; ROUND],
    len: usize,
}

impl Round {
    pub(super) fn new() -> Self {
        Self { wakers: [const { None }; ROUND], len: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.len == ROUND
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, waker: Option<Waker>) {
        self.wakers[self.len] = waker;
        self.len += 1;
    }

    /// Calls them all, whichever panics; the first panic is returned.
    pub(super) fn wake(self, panicked: &mut Panicked) {
        for waker in self.wakers.into_iter().flatten() {
            panicked.catch(|| waker.wake());
        }
    }
}

/// A panic out of somebody else's waker or item: it goes on when what had to be done is done.
#[derive(Default)]
pub(crate) struct Panicked(Option<Box<dyn std::any::Any + Send>>);

impl Panicked {
    /// Runs code of others; the first panic is kept.
    pub(crate) fn catch(&mut self, run: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            self.0.get_or_insert(panic);
        }
    }

    pub(crate) fn go_on(self) {
        if let Some(panic) = self.0
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}
