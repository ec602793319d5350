use std::{
    io::{self, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::wire::{self, Message};

/// Stands between one client and the server, sees each message, and can stop at a `COMMIT`.
///
/// Dropping it cuts all that goes through it.
pub(super) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// Where at a `COMMIT` the connection is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// The client has sent it, the server has not heard of it.
    Before,
    /// The server has it; what it answers is not waited for.
    Under,
    /// The server has answered; the client has not heard of it.
    Behind,
}

/// How far the transaction of a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    #[default]
    Outside,
    Open,
    Copying,
    Committing,
}

struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    connections: Vec<Connection>,
    /// Numbers connections.
    accepted: u64,
    copied_bytes: u64,
    commits: u64,
    trap: Option<Trap>,
    is_sprung: bool,
    is_released: bool,
    is_closed: bool,
}

struct Connection {
    number: u64,
    phase: Phase,
    client: TcpStream,
    server: TcpStream,
}

struct Trap {
    /// The number of the `COMMIT`, as `State::commits` counts them.
    commit: u64,
    at: At,
    /// Whose answer is awaited, where that is what it is for.
    connection: Option<u64>,
}

impl Proxy {
    /// Before the server on this port of the loopback interface. Blocks no longer than it takes to open a port.
    pub(super) fn start(port: u16) -> Result<Self, String> {
        let failed = |error: io::Error| format!("the proxy: {error}");
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let upstream = SocketAddr::from(([127, 0, 0, 1], port));
        let shared = Arc::new(Shared { upstream, state: Mutex::default(), changed: Condvar::new() });
        let of_thread = Arc::clone(&shared);
        let accepting = thread::spawn(move || accept(&listener, &of_thread));
        Ok(Proxy { address, shared, accepting: Some(accepting) })
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Bytes of rows that the client has sent.
    pub(super) fn copied_bytes(&self) -> u64 {
        self.shared.lock().copied_bytes
    }

    /// How often the client has sent a `COMMIT`.
    pub(super) fn commits(&self) -> u64 {
        self.shared.lock().commits
    }

    /// How far the connection is that is furthest.
    pub(super) fn phase(&self) -> Phase {
        self.shared.lock().connections.iter().map(|connection| connection.phase).max().unwrap_or_default()
    }

    /// Holds the connection that sends the `ahead`-th `COMMIT` from now on (from 1).
    pub(super) fn set_trap(&self, ahead: u64, at: At) {
        let mut state = self.shared.lock();
        let commit = state.commits + ahead;
        (state.is_sprung, state.is_released) = (false, false);
        state.trap = Some(Trap { commit, at, connection: None });
    }

    /// Whether a connection is held.
    pub(super) fn is_sprung(&self) -> bool {
        self.shared.lock().is_sprung
    }

    /// Lets the held connection go on, as if it had only been slow.
    pub(super) fn release(&self) {
        let mut state = self.shared.lock();
        state.trap = None;
        state.is_released = state.is_sprung;
        state.is_sprung = false;
        self.shared.changed.notify_all();
    }

    /// Cuts every connection; new ones are taken.
    pub(super) fn cut(&self) {
        let mut state = self.shared.lock();
        state.trap = None;
        (state.is_sprung, state.is_released) = (false, false);
        state.connections.iter().for_each(Connection::cut);
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_closed = true;
        state.connections.iter().for_each(Connection::cut);
        self.shared.changed.notify_all();
        drop(state);
        // Wakes whoever accepts.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Connection {
    fn cut(&self) {
        // One that has ended by itself is cut already.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_phase(&self, number: u64, phase: Phase) {
        let mut state = self.lock();
        if let Some(connection) = state.connections.iter_mut().find(|known| known.number == number) {
            connection.phase = phase;
        }
    }

    /// Notes a `COMMIT`, and tells where it is to be held.
    fn commit(&self, number: u64) -> Option<At> {
        let mut state = self.lock();
        state.commits += 1;
        let commits = state.commits;
        let trap = state.trap.as_mut().filter(|trap| trap.commit == commits)?;
        trap.connection = Some(number);
        Some(trap.at)
    }

    fn is_answer_awaited(&self, number: u64) -> bool {
        self.lock().trap.as_ref().is_some_and(|trap| trap.at == At::Behind && trap.connection == Some(number))
    }

    /// Says that a connection is held, and holds it until it is released; an error when it is cut.
    fn hold(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.is_sprung = true;
        while state.is_sprung && !state.is_closed {
            state = self
                .changed
                .wait_timeout(state, Duration::from_secs(1))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        if state.is_released && !state.is_closed {
            Ok(())
        } else {
            Err(io::ErrorKind::ConnectionAborted.into())
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().map_while(Result::ok) {
        if shared.lock().is_closed {
            return;
        }
        // A server that is not there looks like one that hangs up.
        let Ok(server) = TcpStream::connect(shared.upstream) else { continue };
        // Messages go on as they come.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        drop(relay(client, server, shared));
    }
}

/// Starts both directions.
fn relay(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let (from_client, from_server) = (client.try_clone()?, server.try_clone()?);
    let (to_client, to_server) = (client.try_clone()?, server.try_clone()?);
    let mut state = shared.lock();
    state.accepted += 1;
    let number = state.accepted;
    state.connections.push(Connection { number, phase: Phase::Outside, client, server });
    drop(state);
    let (there, back) = (Arc::clone(shared), Arc::clone(shared));
    thread::spawn(move || {
        let _ = forward(from_client, to_server, number, &there);
        ended(&there, number);
    });
    thread::spawn(move || {
        let _ = answer(from_server, to_client, number, &back);
        ended(&back, number);
    });
    Ok(())
}

/// Either direction's end is the connection's.
fn ended(shared: &Shared, number: u64) {
    let mut state = shared.lock();
    state.connections.iter().filter(|known| known.number == number).for_each(Connection::cut);
    state.connections.retain(|known| known.number != number);
}

fn forward(mut client: TcpStream, mut server: TcpStream, number: u64, shared: &Shared) -> io::Result<()> {
    wire::start(&mut client, &mut server)?;
    let mut client = BufReader::with_capacity(256 << 10, client);
    let mut message = Message::default();
    loop {
        message.read(&mut client)?;
        if message.kind() == b'd' {
            shared.set_phase(number, Phase::Copying);
            shared.lock().copied_bytes += message.body().len() as u64;
        }
        let at = if message.is_query("COMMIT") {
            shared.set_phase(number, Phase::Committing);
            shared.commit(number)
        } else {
            None
        };
        if at == Some(At::Before) {
            shared.hold()?;
        }
        server.write_all(message.bytes())?;
        if at == Some(At::Under) {
            shared.hold()?;
        }
    }
}

fn answer(server: TcpStream, mut client: TcpStream, number: u64, shared: &Shared) -> io::Result<()> {
    let mut server = BufReader::with_capacity(64 << 10, server);
    let mut message = Message::default();
    let mut held = Vec::new();
    loop {
        message.read(&mut server)?;
        let is_ready = message.kind() == b'Z';
        if shared.is_answer_awaited(number) {
            held.extend_from_slice(message.bytes());
            if !is_ready {
                continue;
            }
            shared.hold()?;
            client.write_all(&held)?;
            held.clear();
            shared.set_phase(number, Phase::Outside);
            continue;
        }
        if is_ready {
            let is_outside = message.body().first() == Some(&b'I');
            shared.set_phase(number, if is_outside { Phase::Outside } else { Phase::Open });
        }
        client.write_all(message.bytes())?;
    }
}
