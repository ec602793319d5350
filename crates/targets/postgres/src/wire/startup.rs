//! From nothing to a connection that takes questions.

use std::{io, time::Duration};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    },
    message::{backend::Message, frontend},
};
use socket2::{SockRef, TcpKeepalive};
use standpipe_core::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use super::{Wire, lost, stream::Stream, tls, unsayable};
use crate::{
    address::{Address, Host, TlsMode},
    error::{Failure, Refusal},
};

pub(super) async fn connect(address: &Address) -> Result<Stream, Failure> {
    let host = match &address.host {
        Host::Unix(directory) => {
            let path = directory.join(format!(".s.PGSQL.{}", address.port));
            return Ok(Stream::Unix(UnixStream::connect(path).await.map_err(lost)?));
        }
        Host::Tcp(host) => host,
    };
    let mut stream =
        TcpStream::connect((address.host_address.as_ref().unwrap_or(host).as_str(), address.port))
            .await
            .map_err(lost)?;
    // Without it each COPY waits for the 40 ms after which the server says that it has heard us.
    stream.set_nodelay(true).map_err(lost)?;
    notice_when_gone(&stream).map_err(lost)?;
    if address.tls == TlsMode::Disable {
        return Ok(Stream::Tcp(stream));
    }
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request).await.map_err(lost)?;
    match stream.read_u8().await.map_err(lost)? {
        b'S' => Ok(Stream::Tls(Box::new(tls::wrap(stream, host, address).await?))),
        b'N' if address.tls == TlsMode::Prefer => Ok(Stream::Tcp(stream)),
        _ => Err(Failure::Connection(Error::invalid(
            "the server takes no TLS, which sslmode asks for; turn it on there (ssl = on), or use sslmode=disable on a \
             network that nobody else can read",
        ))),
    }
}

/// A peer that fell silent is asked whether it is there after so long, and then this often.
const IDLE_MAX: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_secs(10);
const ASKED_MAX: u32 = 3;
/// For so long nothing of what was sent may be acknowledged by the other machine.
const UNHEARD_MAX: Duration = Duration::from_secs(60);

/// Without it a network that is cut ends nothing: nobody says that the connection is gone.
fn notice_when_gone(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let asking = TcpKeepalive::new().with_time(IDLE_MAX).with_interval(ASK_EVERY).with_retries(ASKED_MAX);
    socket.set_tcp_keepalive(&asking)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNHEARD_MAX))?;
    Ok(())
}

pub(super) async fn authenticate(wire: &mut Wire, address: &Address) -> Result<(), Failure> {
    let mut parameters = vec![
        ("user", address.user.as_str()),
        ("database", address.database.as_str()),
        ("application_name", address.application_name.as_str()),
        ("client_encoding", "UTF8"),
    ];
    if let Some(options) = &address.options {
        parameters.push(("options", options));
    }
    wire.outbox.clear();
    frontend::startup_message(parameters, &mut wire.outbox).map_err(unsayable)?;
    say(wire).await?;
    loop {
        match wire.next().await? {
            Message::AuthenticationOk => break,
            Message::AuthenticationCleartextPassword => {
                let password = password(address)?;
                answer(wire, |out| frontend::password_message(password, out)).await?;
            }
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(address.user.as_bytes(), password(address)?, body.salt());
                answer(wire, |out| frontend::password_message(hash.as_bytes(), out)).await?;
            }
            Message::AuthenticationSasl(body) => {
                let mut mechanisms = body.mechanisms();
                let mut known = false;
                while let Some(mechanism) = mechanisms.next().map_err(lost)? {
                    known |= mechanism == SCRAM_SHA_256;
                }
                if !known {
                    return Err(unsupported("SASL with none of our mechanisms"));
                }
                scram(wire, password(address)?).await?;
            }
            Message::ErrorResponse(error) => {
                return Err(Failure::Server(Box::new(Refusal::of(error.fields()).map_err(lost)?)));
            }
            _ => {
                return Err(unsupported(
                    "a way to authenticate that this program does not know (GSSAPI, SSPI)",
                ));
            }
        }
    }
    loop {
        match wire.next().await? {
            Message::ReadyForQuery(_) => return Ok(()),
            Message::ErrorResponse(error) => {
                return Err(Failure::Server(Box::new(Refusal::of(error.fields()).map_err(lost)?)));
            }
            _ => {}
        }
    }
}

async fn scram(wire: &mut Wire, password: &[u8]) -> Result<(), Failure> {
    let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
    answer(wire, |out| frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), out)).await?;
    loop {
        match wire.next().await? {
            Message::AuthenticationSaslContinue(body) => {
                scram.update(body.data()).map_err(distrusted)?;
                answer(wire, |out| frontend::sasl_response(scram.message(), out)).await?;
            }
            Message::AuthenticationSaslFinal(body) => return scram.finish(body.data()).map_err(distrusted),
            Message::ErrorResponse(error) => {
                return Err(Failure::Server(Box::new(Refusal::of(error.fields()).map_err(lost)?)));
            }
            _ => return Err(unsupported("an answer that does not belong to SCRAM")),
        }
    }
}

fn password(address: &Address) -> Result<&[u8], Failure> {
    address.password.as_deref().map(str::as_bytes).ok_or_else(|| {
        Failure::Connection(
            Error::invalid(format!(
                "the server asks for the password of {}, and none was given: set PGPASSWORD, or write it to ~/.pgpass (or \
                 PGPASSFILE) with the rights 0600",
                address.user
            ))
            .with_code("28P01"),
        )
    })
}

async fn answer(wire: &mut Wire, write: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<(), Failure> {
    wire.outbox.clear();
    write(&mut wire.outbox).map_err(unsayable)?;
    say(wire).await
}

async fn say(wire: &mut Wire) -> Result<(), Failure> {
    wire.stream.write_all(&wire.outbox).await.map_err(lost)?;
    wire.stream.flush().await.map_err(lost)
}

fn unsupported(what: &str) -> Failure {
    Failure::Connection(Error::invalid(format!(
        "the server asks for {what}; use a password (scram-sha-256 or md5)"
    )))
}

/// The server does not know the password itself: it is another than it says, or in between is somebody else.
fn distrusted(error: io::Error) -> Failure {
    Failure::Connection(Error::invalid(format!(
        "the server could not show that it knows the password: {error}"
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_peer_that_is_gone_is_noticed() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = server.local_addr().unwrap();
        let address: Address = format!("postgres://u@{place}/d?sslmode=disable").parse().unwrap();
        let Stream::Tcp(stream) = connect(&address).await.unwrap() else { panic!("not over TCP") };
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), IDLE_MAX);
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNHEARD_MAX));
    }
}
