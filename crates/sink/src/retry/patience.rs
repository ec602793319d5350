use std::time::{Duration, Instant};

use standpipe_core::{Error, ErrorKind};

use crate::{Retry, clock};

/// Pages in a row that another may have taken out first before it is waited between them.
const OVERTAKEN_MAX: u32 = 8;
/// How often an error is taken for the table having changed between the look at it and the write.
const CHANGED_MAX: u32 = 2;

/// How a retry of dead letters waits for a target unless it is told otherwise.
pub(crate) fn default_retry() -> Retry {
    Retry { give_up_after: Some(Duration::from_secs(60)), ..Retry::default() }
}

/// What is left of the time for calls that may succeed later.
pub(crate) struct Patience<'a> {
    retry: &'a Retry,
    failing_since: Option<Instant>,
    attempts: u32,
    overtaken: u32,
    changed: u32,
}

impl<'a> Patience<'a> {
    pub(crate) fn new(retry: &'a Retry) -> Self {
        Patience { retry, failing_since: None, attempts: 0, overtaken: 0, changed: 0 }
    }

    /// After a success it begins anew.
    pub(crate) fn renew(&mut self) {
        *self = Patience::new(self.retry);
    }

    /// Waits before the next attempt, or hands the error back: it helps nothing, or it was tried for long enough.
    pub(crate) async fn pause(&mut self, error: Error) -> Result<(), Error> {
        match error.kind() {
            ErrorKind::Retry | ErrorKind::InDoubt => {}
            ErrorKind::Invalid if self.changed < CHANGED_MAX => self.changed += 1,
            _ => return Err(error),
        }
        let since = *self.failing_since.get_or_insert_with(clock::now);
        if self.retry.give_up_after.is_some_and(|limit| clock::since(since) >= limit) {
            return Err(error);
        }
        self.attempts = self.attempts.saturating_add(1);
        let pause = self.retry.pause_before(self.attempts);
        tracing::warn!(%error, ?pause, "the dead letters cannot be worked on now; trying again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Another took letters out that were just read: at once again, but not for ever.
    pub(crate) async fn overtaken(&mut self) -> Result<(), Error> {
        self.overtaken = self.overtaken.saturating_add(1);
        if self.overtaken <= OVERTAKEN_MAX {
            return Ok(());
        }
        self.pause(Error::retry("others take out the same dead letters, again and again")).await
    }
}
