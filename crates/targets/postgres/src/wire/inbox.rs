//! What the server has said, message by message. What it says beside an answer is passed over and takes no memory, and no
//! length that it names sizes anything before it is looked at.

use std::io;

use bytes::{Buf, BytesMut};
use postgres_protocol::message::backend::Message;
use standpipe_core::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::lost;
use crate::error::Failure;

/// Bytes that are asked of the socket at a time.
const READ_BYTES: usize = 8 * 1024;
/// The longest message of who has not shown yet that it is a server.
const STRANGER_BYTES_MAX: usize = 64 * 1024;
/// The longest message of a server: a page of dead letters, or an error that a trigger raised.
const MESSAGE_BYTES_MAX: usize = 256 << 20;
/// A message's kind, and its length without that.
const HEADER_BYTES: usize = 5;

pub(super) struct Inbox {
    bytes: BytesMut,
    /// Bytes to come of a message that is passed over.
    passing: usize,
    bytes_max: usize,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Inbox { bytes: BytesMut::new(), passing: 0, bytes_max: STRANGER_BYTES_MAX }
    }

    /// Who is there is a server, and knows us.
    pub(super) fn trust(&mut self) {
        self.bytes_max = MESSAGE_BYTES_MAX;
    }

    /// Takes in what comes, at least a byte. Dropped midway, nothing is lost.
    pub(super) async fn read(&mut self, from: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        self.bytes.reserve(READ_BYTES);
        match from.read_buf(&mut self.bytes).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The next message that is an answer, if it is here whole.
    pub(super) fn next(&mut self) -> Result<Option<Message>, Failure> {
        self.pass(is_aside)?;
        match self.header()? {
            Some((_, length)) if length <= self.bytes.len() => Message::parse(&mut self.bytes).map_err(lost),
            _ => Ok(None),
        }
    }

    /// Between the data of a copy: whether the server has refused something. Everything else that it says by then is passed
    /// over: also the end of the statements before the copy, and that it may begin.
    pub(super) fn has_refused(&mut self) -> Result<bool, Failure> {
        self.pass(|kind| is_aside(kind) || matches!(kind, b'C' | b'G'))?;
        Ok(self.bytes.first() == Some(&b'E'))
    }

    /// Passes over messages of these kinds, as far as they are here.
    fn pass(&mut self, is_passed: impl Fn(u8) -> bool) -> Result<(), Failure> {
        loop {
            let here = self.passing.min(self.bytes.len());
            self.bytes.advance(here);
            self.passing -= here;
            match self.header()? {
                Some((kind, length)) if is_passed(kind) => self.passing = length,
                _ => return Ok(()),
            }
        }
    }

    /// The kind of the next message and its bytes, this header included; `None` where that is not here yet.
    fn header(&self) -> Result<Option<(u8, usize)>, Failure> {
        let Some(&[kind, a, b, c, d]) = self.bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let limit = if is_aside(kind) { usize::MAX } else { self.bytes_max };
        if length < 4 || length > limit {
            let what = format!(
                "what answers is no PostgreSQL server, or its answer is damaged: a message of {length} bytes"
            );
            let is_stranger = self.bytes_max == STRANGER_BYTES_MAX;
            return Err(Failure::Connection(if is_stranger {
                Error::invalid(what)
            } else {
                Error::retry(what)
            }));
        }
        Ok(Some((kind, length + 1)))
    }
}

/// Notices, settings that have changed, notifications.
fn is_aside(kind: u8) -> bool {
    matches!(kind, b'N' | b'S' | b'A')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn said(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
    }

    fn inbox(bytes: &[u8]) -> Inbox {
        Inbox { bytes: bytes.into(), ..Inbox::new() }
    }

    #[test]
    fn what_is_said_beside_a_copy_is_passed_over_and_not_kept() {
        for (kind, body) in
            [(b'C', &b"SAVEPOINT\0"[..]), (b'G', b"\x01\0\0"), (b'N', b"\0"), (b'S', b"a\0b\0")]
        {
            let bytes = said(kind, body);
            for cut in 0..=bytes.len() {
                let mut inbox = inbox(&bytes[..cut]);
                assert!(!inbox.has_refused().unwrap());
                inbox.bytes.extend_from_slice(&bytes[cut..]);
                inbox.bytes.extend_from_slice(&said(b'E', b"\0"));
                assert!(inbox.has_refused().unwrap(), "{} {cut}", kind as char);
                assert_eq!(inbox.bytes[..], said(b'E', b"\0"), "whoever waits for the answer reads it");
            }
        }
    }

    #[test]
    fn a_long_notice_takes_no_memory() {
        let mut inbox = Inbox::new();
        inbox.bytes.extend_from_slice(b"N\xff\xff\xff\xff");
        for _ in 0..100 {
            inbox.bytes.extend_from_slice(&[b'x'; READ_BYTES]);
            assert!(inbox.next().unwrap().is_none());
            assert!(inbox.bytes.is_empty());
        }
        assert!(inbox.bytes.capacity() < 64 * READ_BYTES, "{}", inbox.bytes.capacity());
        inbox.passing = 0;
        inbox.bytes.extend_from_slice(&said(b'Z', b"I"));
        assert!(matches!(inbox.next().unwrap(), Some(Message::ReadyForQuery(_))));
    }

    #[test]
    fn a_length_is_looked_at_before_it_is_believed() {
        for header in
            [b"R\xff\xff\xff\xff", b"R\x7f\xff\xff\xff", b"R\0\x01\0\x01", b"R\0\0\0\x03", b"N\0\0\0\0"]
        {
            let error = inbox(header).next().err().unwrap();
            assert!(
                matches!(error, Failure::Connection(error) if error.to_string().contains("no PostgreSQL"))
            );
        }
        let mut trusted = inbox(b"D\0\x01\0\x01");
        trusted.trust();
        assert!(trusted.next().unwrap().is_none());
    }
}
