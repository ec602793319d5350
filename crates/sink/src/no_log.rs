use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use standpipe_log::{Entry, Log, LogError, LogId, Lsn, Reader, Record, Ticket};

/// The log of a sink without one: there is no value of this type.
#[derive(Clone, Copy, Debug)]
pub struct NoLog(Infallible);

impl Log for NoLog {
    type Ticket = NoLog;
    type Reader = NoLog;

    fn identity(&self) -> LogId {
        match self.0 {}
    }
    fn append(&self, _: Record<'_>) -> Result<NoLog, LogError> {
        match self.0 {}
    }
    fn append_batch(&self, _: &[Record<'_>]) -> Result<NoLog, LogError> {
        match self.0 {}
    }
    fn pin(&self, _: &[u8], _: &[u8]) -> Result<NoLog, LogError> {
        match self.0 {}
    }
    fn pinned(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        match self.0 {}
    }
    fn start(&self) -> Lsn {
        match self.0 {}
    }
    fn end(&self) -> Lsn {
        match self.0 {}
    }
    fn durable_end(&self) -> Lsn {
        match self.0 {}
    }
    fn follow(&self, _: Lsn) -> Result<NoLog, LogError> {
        match self.0 {}
    }
    fn truncate_before(&self, _: Lsn) -> Result<(), LogError> {
        match self.0 {}
    }
    fn advance_to(&self, _: Lsn) -> Result<(), LogError> {
        match self.0 {}
    }
    fn size_bytes(&self) -> u64 {
        match self.0 {}
    }
    fn close(&self) -> Result<(), LogError> {
        match self.0 {}
    }
}

impl Ticket for NoLog {
    fn lsn(&self) -> Lsn {
        match self.0 {}
    }
    fn wait(self) -> Result<Lsn, LogError> {
        match self.0 {}
    }
}

impl Future for NoLog {
    type Output = Result<Lsn, LogError>;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match self.0 {}
    }
}

impl Reader for NoLog {
    fn next(&mut self, _: Duration) -> Result<Option<Entry<'_>>, LogError> {
        match self.0 {}
    }
    fn position(&self) -> Lsn {
        match self.0 {}
    }
}
