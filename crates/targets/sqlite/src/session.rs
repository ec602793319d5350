use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use standpipe_core::Error;
use standpipe_pool::{Pool, PoolLease};

use crate::{dial::Dial, link::Link, worker::Worker};

/// The writer's connection with a transaction open on it. Dropping it sends the rollback before the connection goes
/// back, so that it is the first thing the connection does behind the jobs already sent.
pub(crate) struct Session {
    lease: PoolLease<Dial>,
    abandoned: Arc<AtomicBool>,
}

impl Session {
    /// Waits for the writer and begins. A connection that turns out to be broken is replaced, once.
    pub(crate) async fn begin(writer: &Pool<Dial>) -> Result<Self, Error> {
        let mut replaced = false;
        loop {
            let session = Session { lease: writer.acquire().await?, abandoned: Arc::default() };
            match session.link().run(Worker::begin).await {
                Ok(()) => return Ok(session),
                Err(_) if session.link().is_broken() && !replaced => {
                    // The pool closes a broken connection when it comes back.
                    replaced = true;
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn link(&self) -> &Link {
        &self.lease
    }

    /// Set when nobody waits for the session's jobs any more; long ones look at it.
    pub(crate) fn abandoned(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.abandoned)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Release);
        self.link().send(|worker| {
            // A connection on which this fails marks itself as broken.
            let _ = worker.roll_back();
        });
    }
}
