use std::{
    future::poll_fn,
    pin::pin,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    task::Poll,
    thread,
    time::Duration,
};

use standpipe_core::Error;
use standpipe_pool::{Pool, PoolLease};

use crate::{
    dial::Dial,
    reply::{Reply, reply},
};

/// Borrows the writer's connection in its turn, behind the branches of this handle, but waits no longer than a lock of
/// another process would be waited for: whoever claims while he holds a branch himself would wait for ever.
///
/// # Errors
/// [`Retry`](standpipe_core::ErrorKind::Retry) when its turn did not come.
pub(crate) async fn writer_within(writer: &Pool<Dial>, patience: Duration) -> Result<PoolLease<Dial>, Error> {
    let mut acquiring = pin!(writer.acquire());
    let mut alarm: Option<Alarm> = None;
    poll_fn(|context| {
        if let Poll::Ready(lease) = acquiring.as_mut().poll(context) {
            return Poll::Ready(lease);
        }
        // Most never wait, and need no alarm.
        let alarm = match &mut alarm {
            Some(alarm) => alarm,
            unset => unset.insert(Alarm::set(patience)?),
        };
        pin!(&mut alarm.rings).poll(context).map(|_| {
            Err(Error::retry(format!(
                "the database is locked by a branch of this process for longer than the {patience:?} of busy_timeout; \
                 end it, then the same call succeeds"
            )))
        })
    })
    .await
}

/// A thread that answers after a time; it ends early when the alarm is dropped.
struct Alarm {
    rings: Reply<()>,
    _set: Sender<()>,
}

impl Alarm {
    fn set(after: Duration) -> Result<Self, Error> {
        let (set, unset) = channel();
        let (answer, rings) = reply();
        thread::Builder::new()
            .name("standpipe-sqlite-alarm".to_owned())
            .spawn(move || {
                if unset.recv_timeout(after) == Err(RecvTimeoutError::Timeout) {
                    answer.send(());
                }
            })
            .map_err(|error| {
                Error::retry("no thread could be started to wait for a lock").with_source(error)
            })?;
        Ok(Alarm { rings, _set: set })
    }
}
