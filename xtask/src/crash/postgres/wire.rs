//! As much of PostgreSQL's protocol (version 3) as it takes to see where one message ends and what it is.

use std::io::{self, Read, Write};

/// What one message may hold. A `COPY` sends pieces of 128 KiB; errors and rows are smaller.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// What a start-up message may hold, as the server has it.
const STARTUP_BYTES_MAX: usize = 10_000;

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;

/// One message as it stands on the wire.
#[derive(Default)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// What it is; meaningless before the first read.
    pub(super) fn kind(&self) -> u8 {
        self.bytes.first().copied().unwrap_or_default()
    }

    /// What stands behind kind and length.
    pub(super) fn body(&self) -> &[u8] {
        self.bytes.get(5..).unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A `Q` with this one statement.
    pub(super) fn is_query(&self, statement: &str) -> bool {
        self.kind() == b'Q' && self.body().strip_suffix(b"\0") == Some(statement.as_bytes())
    }

    /// Reads the next one into the memory of this one.
    pub(super) fn read(&mut self, from: &mut impl Read) -> io::Result<()> {
        self.bytes.resize(5, 0);
        from.read_exact(&mut self.bytes)?;
        let length =
            u32::from_be_bytes([self.bytes[1], self.bytes[2], self.bytes[3], self.bytes[4]]) as usize;
        if !(4..=MESSAGE_BYTES_MAX).contains(&length) {
            return Err(invalid("the length of a message"));
        }
        self.bytes.resize(1 + length, 0);
        from.read_exact(&mut self.bytes[5..])
    }
}

/// Passes the start-up message on. Whoever asks for TLS is told that there is none.
pub(super) fn start(client: &mut (impl Read + Write), server: &mut impl Write) -> io::Result<()> {
    loop {
        let mut length = [0; 4];
        client.read_exact(&mut length)?;
        let bytes = u32::from_be_bytes(length) as usize;
        if !(8..=STARTUP_BYTES_MAX).contains(&bytes) {
            return Err(invalid("the length of the start-up message"));
        }
        let mut body = vec![0; bytes - 4];
        client.read_exact(&mut body)?;
        let code = u32::from_be_bytes([body[0], body[1], body[2], body[3]]);
        if matches!(code, SSL_REQUEST | GSS_REQUEST) {
            client.write_all(b"N")?;
            continue;
        }
        server.write_all(&length)?;
        return server.write_all(&body);
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn query(text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len() + 5).unwrap().to_be_bytes();
        [b"Q".as_slice(), &length, text.as_bytes(), b"\0"].concat()
    }

    #[test]
    fn messages_are_read_one_by_one() {
        let bytes = [query("BEGIN"), query("COMMIT")].concat();
        let mut from = &bytes[..];
        let mut message = Message::default();
        message.read(&mut from).unwrap();
        assert!(message.is_query("BEGIN") && !message.is_query("COMMIT"));
        message.read(&mut from).unwrap();
        assert!(message.is_query("COMMIT"));
        assert_eq!(message.bytes(), query("COMMIT"));
        assert!(message.read(&mut from).is_err());
    }

    #[test]
    fn lengths_are_not_believed() {
        let mut message = Message::default();
        assert!(message.read(&mut &b"Q\xff\xff\xff\xff"[..]).is_err());
        assert!(message.read(&mut &b"Q\0\0\0\x03"[..]).is_err());
    }
}
