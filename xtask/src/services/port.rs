use std::{fs::File, io::Read, net::TcpListener};

use super::Unavailable;

/// Below what systems give to outgoing connections, so that a server that was killed finds its port free again.
const FIRST: u16 = 15_000;
const COUNT: u16 = 15_000;

/// A port of the loopback interface that nobody listens on. Somebody may take it before the server does: try again then.
pub(super) fn free() -> Result<u16, Unavailable> {
    let start = u16::from_le_bytes(random()?) % COUNT;
    let mut ports = (0..COUNT).map(|step| FIRST + (start + step) % COUNT);
    ports
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .ok_or_else(|| Unavailable::new("no port of the loopback interface is free"))
}

/// A password nobody guesses: others on this machine can reach the port.
pub(super) fn password() -> Result<String, Unavailable> {
    Ok(random::<12>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn random<const COUNT: usize>() -> Result<[u8; COUNT], Unavailable> {
    let mut bytes = [0; COUNT];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error| Unavailable::new(format!("/dev/urandom: {error}")))?;
    Ok(bytes)
}
