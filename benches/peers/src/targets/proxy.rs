use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use standpipe_harness::Outcome;

/// Bytes that are passed on at a time.
const PIECE: usize = 64 << 10;

/// A far server: what it answers comes so much later, and how often both sides have taken turns is counted. It ends with the process.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    turns: Arc<AtomicU64>,
}

impl Proxy {
    /// In front of `place`, host and port. The delay is of each answer: however much is sent one way, nothing more is added.
    pub(crate) fn start(place: &str, delay: Duration) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (port, turns, place) = (listener.local_addr()?.port(), Arc::default(), place.to_owned());
        let proxy = Proxy { port, turns: Arc::clone(&turns) };
        thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            for client in listener.incoming().flatten() {
                // Whoever connected sees that the connection is closed.
                let _ = serve(client, &place, delay, &turns);
            }
        })?;
        Ok(proxy)
    }

    /// Round trips so far: how often the server answered after the client had said something.
    pub(crate) fn round_trips(&self) -> u64 {
        self.turns.load(Ordering::Acquire)
    }
}

fn serve(client: TcpStream, place: &str, delay: Duration, turns: &Arc<AtomicU64>) -> Outcome<()> {
    let server = TcpStream::connect(place)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    // One for each connection, whose sides take turns with each other: true while the client spoke last.
    let spoke = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (mut from, mut to, asked) = (client.try_clone()?, server.try_clone()?, Arc::clone(&spoke));
    thread::Builder::new().name("proxy-there".to_owned()).spawn(move || {
        let mut piece = vec![0; PIECE];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            asked.store(true, Ordering::Release);
            if to.write_all(&piece[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    })?;
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    let (mut from, turns) = (server, Arc::clone(turns));
    thread::Builder::new().name("proxy-back".to_owned()).spawn(move || {
        let mut piece = vec![0; PIECE];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            if spoke.swap(false, Ordering::AcqRel) {
                turns.fetch_add(1, Ordering::AcqRel);
            }
            if sender.send((Instant::now() + delay, piece[..count].to_vec())).is_err() {
                break;
            }
        }
    })?;
    let mut to = client;
    thread::Builder::new().name("proxy-later".to_owned()).spawn(move || {
        for (due, piece) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    })?;
    Ok(())
}
