//! Stands between a client and the server: counts answers, and cuts or freezes connections where it is told to.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use standpipe_postgres::{Address, Postgres, Settings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

use crate::server::Database;

/// What happens to what the client says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rule {
    Pass,
    /// The connection is cut when the client says this; the server does not hear it.
    CutBefore(&'static str),
    /// The connection is cut when the server has answered this; the client does not hear that.
    CutBehind(&'static str),
    /// The connection is cut behind so many bytes of the client from now on.
    CutAfter(u64),
    /// Nothing goes either way any more.
    Freeze,
}

pub(crate) struct Proxy {
    pub(crate) url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    server: String,
    rule: Mutex<Rule>,
    /// Answers of the server that a client waits for: one for each trip.
    trips: AtomicU64,
    /// Bytes that clients sent.
    bytes: AtomicU64,
    cuts: AtomicU64,
    frozen: watch::Sender<bool>,
}

impl Proxy {
    pub(crate) async fn new(database: &Database) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (before, place) = database.url.rsplit_once('@').unwrap();
        let (server, name) = place.split_once('/').unwrap();
        let url = format!("{before}@{}/{name}?sslmode=disable", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            rule: Mutex::new(Rule::Pass),
            trips: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            frozen: watch::channel(false).0,
        });
        let task = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(serve(Arc::clone(&shared), client));
                }
            }
        });
        Proxy { url, shared, task }
    }

    pub(crate) fn open(&self, settings: Settings) -> Postgres {
        Postgres::new(&self.url.parse::<Address>().unwrap(), settings).unwrap()
    }

    pub(crate) fn set(&self, rule: Rule) {
        let _ = self.shared.frozen.send_replace(rule == Rule::Freeze);
        self.shared.bytes.store(0, Ordering::SeqCst);
        *self.shared.rule.lock().unwrap_or_else(PoisonError::into_inner) = rule;
    }

    /// Trips to the server and back so far.
    pub(crate) fn trips(&self) -> u64 {
        self.shared.trips.load(Ordering::SeqCst)
    }

    /// Bytes that clients sent since the rule was set.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::SeqCst)
    }

    pub(crate) fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn rule(&self) -> Rule {
        self.rule.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One cut, and all is well again.
    fn cut(&self) {
        self.cuts.fetch_add(1, Ordering::SeqCst);
        *self.rule.lock().unwrap_or_else(PoisonError::into_inner) = Rule::Pass;
    }

    async fn thawed(&self) {
        let _ = self.frozen.subscribe().wait_for(|frozen| !frozen).await;
    }
}

async fn serve(shared: Arc<Shared>, client: TcpStream) {
    let Ok(server) = TcpStream::connect(&shared.server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // Set when the server's next answer is the last thing that is read of it.
    let (silence, mut is_silenced) = watch::channel(false);
    let up = up(&shared, &mut from_client, &mut to_server, &silence);
    let down = down(&shared, &mut from_server, &mut to_client, &mut is_silenced);
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

async fn up(
    shared: &Shared,
    client: &mut OwnedReadHalf,
    server: &mut OwnedWriteHalf,
    silence: &watch::Sender<bool>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(length @ 1..) = client.read(&mut buffer).await else { return };
        shared.thawed().await;
        let mut said = &buffer[..length];
        let before = shared.bytes.fetch_add(length as u64, Ordering::SeqCst);
        let has = |text: &str| said.windows(text.len()).any(|window| window == text.as_bytes());
        match shared.rule() {
            Rule::CutBefore(text) if has(text) => return shared.cut(),
            Rule::CutBehind(text) if has(text) => {
                let _ = silence.send_replace(true);
            }
            Rule::CutAfter(limit) if before + length as u64 > limit => {
                said = &said[..(limit.saturating_sub(before)) as usize];
                let _ = server.write_all(said).await;
                return shared.cut();
            }
            _ => {}
        }
        if server.write_all(said).await.is_err() {
            return;
        }
    }
}

async fn down(
    shared: &Shared,
    server: &mut OwnedReadHalf,
    client: &mut OwnedWriteHalf,
    is_silenced: &mut watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 * 1024];
    let (mut header, mut left) = (Vec::with_capacity(5), 0_usize);
    loop {
        let Ok(length @ 1..) = server.read(&mut buffer).await else { return };
        shared.thawed().await;
        let mut at = 0;
        while at < length {
            let step = if left > 0 { left.min(length - at) } else { (5 - header.len()).min(length - at) };
            if left > 0 {
                left -= step;
            } else {
                header.extend_from_slice(&buffer[at..at + step]);
                if let [kind, a, b, c, d] = header[..] {
                    // `ReadyForQuery`, and `CopyInResponse`.
                    shared.trips.fetch_add(u64::from(matches!(kind, b'Z' | b'G')), Ordering::SeqCst);
                    left = u32::from_be_bytes([a, b, c, d]) as usize - 4;
                    header.clear();
                }
            }
            at += step;
        }
        if *is_silenced.borrow_and_update() {
            return shared.cut();
        }
        if client.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
