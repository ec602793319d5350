//! The server's protocol, as much of it as is needed: simple queries, each one round trip, and COPY from us.
//! <https://www.postgresql.org/docs/current/protocol-flow.html>
//!
//! Messages and authentication are `postgres-protocol`'s. Why no driver: `docs/decisions/0012-postgres-driver-and-merge.md`.

mod inbox;
mod startup;
mod stream;
mod tls;

use std::io;

use bytes::{Buf, BytesMut};
use postgres_protocol::message::{
    backend::{DataRowBody, Message},
    frontend,
};
use standpipe_core::{Error, ErrorKind};
use tokio::io::AsyncWriteExt;

use crate::{
    address::Address,
    error::{Failure, Refusal},
};
use inbox::Inbox;
use stream::Stream;

/// Bytes of rows that are one message of a copy.
const COPY_BYTES: usize = 128 * 1024;
/// Reads at most, to hear why a connection ended.
const LAST_READS_MAX: u32 = 16;

/// A connection on which a server answers.
pub(crate) struct Wire {
    stream: Stream,
    /// What the server said, as far as it was not looked at.
    inbox: Inbox,
    /// What is about to be said, beside the rows.
    outbox: BytesMut,
}

/// What the statements of a text came to.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Rows of all statements; values as text.
    pub(crate) rows: Vec<Vec<Option<String>>>,
    /// Rows that each statement touched, in order.
    pub(crate) touched: Vec<u64>,
    /// The last statement was a rollback, whatever it was asked to be.
    pub(crate) is_rolled_back: bool,
}

impl Wire {
    /// Connects and says who we are.
    pub(crate) async fn open(address: &Address) -> Result<Self, Failure> {
        let stream = startup::connect(address).await?;
        let mut wire = Wire { stream, inbox: Inbox::new(), outbox: BytesMut::new() };
        startup::authenticate(&mut wire, address).await?;
        wire.inbox.trust();
        Ok(wire)
    }

    /// Runs the statements of a text, in order, until one fails.
    pub(crate) async fn ask(&mut self, sql: &str) -> Result<Answer, Failure> {
        self.outbox.clear();
        frontend::query(sql, &mut self.outbox).map_err(unsayable)?;
        self.stream.write_all(&self.outbox).await.map_err(lost)?;
        self.stream.flush().await.map_err(lost)?;
        self.settle().await
    }

    /// Runs a `COPY .. FROM STDIN` with these pieces of data. Returns the rows that it took.
    ///
    /// Nothing is waited for before the data: a server that refuses the statement passes over what follows. While rows are
    /// sent the server is listened to, for one that has much to say would not listen itself; when it refuses, the rest stays.
    pub(crate) async fn copy<'a>(
        &mut self,
        statement: &str,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> Result<u64, Failure> {
        self.outbox.clear();
        frontend::query(statement, &mut self.outbox).map_err(unsayable)?;
        let mut refused = false;
        for chunk in pieces.flat_map(|piece| piece.chunks(COPY_BYTES)) {
            let length = chunk.len() as u32 + 4;
            self.outbox.extend_from_slice(b"d");
            self.outbox.extend_from_slice(&length.to_be_bytes());
            self.send(chunk).await?;
            refused = self.inbox.has_refused()?;
            if refused {
                break;
            }
        }
        if !refused {
            frontend::copy_done(&mut self.outbox);
            self.send(&[]).await?;
        }
        Ok(self.settle().await?.touched.last().copied().unwrap_or(0))
    }

    /// Sends the outbox and then `rows`, which are not copied for it, to their last byte. What the server says meanwhile is read.
    async fn send(&mut self, rows: &[u8]) -> Result<(), Failure> {
        let Wire { stream, inbox, outbox } = self;
        let mut out = Buf::chain(&outbox[..], rows);
        let (mut reader, mut writer) = tokio::io::split(stream);
        loop {
            let is_last = !out.has_remaining();
            let step = async {
                if is_last { writer.flush().await.map(|()| 0) } else { writer.write_buf(&mut out).await }
            };
            let ended = tokio::select! {
                biased;
                written = step => match written {
                    Ok(_) if is_last => break,
                    Ok(1..) => continue,
                    Ok(0) => io::ErrorKind::WriteZero.into(),
                    Err(error) => error,
                },
                read = inbox.read(&mut reader) => match read {
                    Ok(()) => continue,
                    Err(error) => error,
                },
            };
            for _ in 0..LAST_READS_MAX {
                if inbox.read(&mut reader).await.is_err() {
                    break;
                }
            }
            return Err(self.last_words(ended));
        }
        outbox.clear();
        Ok(())
    }

    /// Reads until the server is ready for the next question.
    async fn settle(&mut self) -> Result<Answer, Failure> {
        let mut answer = Answer::default();
        let mut refusal = None;
        loop {
            let message = match self.next().await {
                Ok(message) => message,
                // What ends a connection is said before it ends.
                Err(failure) => {
                    return Err(refusal.map_or(failure, |refusal| Failure::Server(Box::new(refusal))));
                }
            };
            match message {
                Message::DataRow(row) => answer.rows.push(texts(&row)?),
                Message::CommandComplete(done) => {
                    let tag = done.tag().map_err(lost)?;
                    answer.touched.push(touched(tag));
                    answer.is_rolled_back = tag == "ROLLBACK";
                }
                Message::ErrorResponse(error) => {
                    let said = Refusal::of(error.fields()).map_err(lost)?;
                    refusal.get_or_insert(said);
                }
                Message::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        match refusal {
            None => Ok(answer),
            Some(refusal) => Err(Failure::Server(Box::new(refusal))),
        }
    }

    /// The next message that is an answer.
    async fn next(&mut self) -> Result<Message, Failure> {
        loop {
            if let Some(message) = self.inbox.next()? {
                return Ok(message);
            }
            self.inbox.read(&mut self.stream).await.map_err(lost)?;
        }
    }

    /// The connection ended while something was said: what the server ended it with, if that came.
    fn last_words(&mut self, ended: io::Error) -> Failure {
        while let Ok(Some(message)) = self.inbox.next() {
            if let Message::ErrorResponse(error) = message
                && let Ok(refusal) = Refusal::of(error.fields())
            {
                return Failure::Server(Box::new(Refusal { is_fatal: true, ..refusal }));
            }
        }
        lost(ended)
    }

    /// Takes leave of the server.
    pub(crate) async fn close(mut self) {
        self.outbox.clear();
        frontend::terminate(&mut self.outbox);
        // The server notices a connection that is gone by itself, later.
        let _ = self.stream.write_all(&self.outbox).await;
        let _ = self.stream.shutdown().await;
    }
}

fn texts(row: &DataRowBody) -> Result<Vec<Option<String>>, Failure> {
    use postgres_protocol::message::backend::DataRowRanges;
    let (buffer, mut ranges): (&[u8], DataRowRanges<'_>) = (row.buffer(), row.ranges());
    let mut values = Vec::new();
    loop {
        use fallible_iterator::FallibleIterator as _;
        match ranges.next().map_err(lost)? {
            None => return Ok(values),
            Some(None) => values.push(None),
            Some(Some(range)) => {
                let text = buffer.get(range).and_then(|bytes| std::str::from_utf8(bytes).ok());
                let text = text.ok_or_else(|| lost(io::ErrorKind::InvalidData.into()))?;
                values.push(Some(text.to_owned()));
            }
        }
    }
}

/// The rows of `INSERT 0 5`, `COPY 5`, `UPDATE 5`; none where the tag names none.
fn touched(tag: &str) -> u64 {
    tag.rsplit(' ').next().and_then(|rows| rows.parse().ok()).unwrap_or(0)
}

/// A text with a NUL in it, which no message can hold.
fn unsayable(error: io::Error) -> Failure {
    Failure::Connection(Error::invalid(format!("a text that cannot be sent: {error}")))
}

/// The connection cannot be used any more.
pub(super) fn lost(error: io::Error) -> Failure {
    let said = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
        _ => format!("the connection failed: {error}"),
    };
    Failure::Connection(Error::new(ErrorKind::Retry, said).with_source(error))
}

impl Answer {
    /// The text in a row's column, which is not NULL.
    pub(crate) fn text(row: &[Option<String>], column: usize) -> Result<&str, Error> {
        row.get(column).and_then(Option::as_deref).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("the server's answer has no column {column}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::touched;

    #[test]
    fn a_tag_says_how_many_rows_were_touched() {
        for (tag, rows) in
            [("INSERT 0 5", 5), ("COPY 12", 12), ("UPDATE 1", 1), ("BEGIN", 0), ("CREATE TABLE", 0)]
        {
            assert_eq!(touched(tag), rows, "{tag}");
        }
    }
}
