use std::{
    io::{Read, Write},
    net::TcpStream,
};

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::{
    authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    message::{backend::Message, frontend},
};
use standpipe_harness::Outcome;

use super::clock::Clock;

/// Bytes of a message.
const MESSAGE_BYTES: usize = 64 << 10;

/// COPY BINARY in transactions through a blocking socket: no runtime, no driver, the messages ready too.
pub(crate) fn copy(url: &str, copies: &[Bytes], clock: &mut Clock) -> Outcome<()> {
    let mut socket = Socket::connect(url)?;
    let framed: Vec<_> = copies.iter().map(|bytes| framed(bytes)).collect();
    clock.start()?;
    for bytes in &framed {
        socket.query("BEGIN")?;
        socket.query("COPY flights FROM STDIN (FORMAT binary)")?;
        socket.stream.write_all(bytes)?;
        socket.send(|buffer| {
            frontend::copy_done(buffer);
            Ok(())
        })?;
        socket.until_ready()?;
        socket.query("COMMIT")?;
    }
    clock.stop()
}

/// The messages of a copy.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(bytes.len() + (bytes.len() / MESSAGE_BYTES + 1) * 5);
    for piece in bytes.chunks(MESSAGE_BYTES) {
        framed.push(b'd');
        framed.extend_from_slice(&(piece.len() as u32 + 4).to_be_bytes());
        framed.extend_from_slice(piece);
    }
    framed
}

struct Socket {
    stream: TcpStream,
    read: BytesMut,
}

impl Socket {
    fn connect(url: &str) -> Outcome<Self> {
        let config: tokio_postgres::Config = url.parse()?;
        let (user, password) =
            config.get_user().zip(config.get_password()).ok_or("a URL with user and password")?;
        let database = config.get_dbname().ok_or("a URL with a database")?;
        let place =
            url.rsplit_once('@').and_then(|(_, rest)| rest.split_once('/')).ok_or("a URL with a host")?.0;
        let stream = TcpStream::connect(place)?;
        stream.set_nodelay(true)?;
        let mut socket = Socket { stream, read: BytesMut::new() };
        socket.send(|buffer| frontend::startup_message([("user", user), ("database", database)], buffer))?;
        let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
        loop {
            match socket.message()? {
                Message::AuthenticationSasl(_) => {
                    socket.send(|buffer| {
                        frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), buffer)
                    })?;
                }
                Message::AuthenticationSaslContinue(body) => {
                    scram.update(body.data())?;
                    socket.send(|buffer| frontend::sasl_response(scram.message(), buffer))?;
                }
                Message::AuthenticationSaslFinal(body) => scram.finish(body.data())?,
                Message::ReadyForQuery(_) => return Ok(socket),
                Message::ErrorResponse(_) => return Err("the server refused the connection".into()),
                _ => {}
            }
        }
    }

    fn send(&mut self, message: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) -> Outcome<()> {
        let mut buffer = BytesMut::new();
        message(&mut buffer)?;
        Ok(self.stream.write_all(&buffer)?)
    }

    /// Asks, and waits until the server wants something: the next query, or the rows of a copy.
    fn query(&mut self, sql: &str) -> Outcome<()> {
        self.send(|buffer| frontend::query(sql, buffer))?;
        self.until_ready()
    }

    fn until_ready(&mut self) -> Outcome<()> {
        loop {
            match self.message()? {
                Message::ReadyForQuery(_) | Message::CopyInResponse(_) => return Ok(()),
                Message::ErrorResponse(_) => return Err("the server refused a statement".into()),
                _ => {}
            }
        }
    }

    fn message(&mut self) -> Outcome<Message> {
        loop {
            if let Some(message) = Message::parse(&mut self.read)? {
                return Ok(message);
            }
            let mut piece = [0; 8 << 10];
            let count = self.stream.read(&mut piece)?;
            if count == 0 {
                return Err(format!("the server hung up, with {} bytes unread", self.read.remaining()).into());
            }
            self.read.extend_from_slice(&piece[..count]);
        }
    }
}
