#![allow(clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
};

use super::{
    proxy::{At, Phase, Proxy},
    wire::Message,
};

const READY: &[u8] = b"Z\0\0\0\x05I";
const DONE: &[u8] = b"C\0\0\0\x0bCOMMIT\0";

/// A server that tells which queries it hears, and answers each as done.
fn server() -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heard, queries) = mpsc::channel();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut start = [0; 8];
        client.read_exact(&mut start).unwrap();
        client.write_all(READY).unwrap();
        let mut message = Message::default();
        while message.read(&mut client).is_ok() {
            let _ = heard.send(String::from_utf8_lossy(message.body()).trim_end_matches('\0').to_owned());
            client.write_all(&[DONE, READY].concat()).unwrap();
        }
    });
    (port, queries)
}

fn connect(proxy: &Proxy) -> TcpStream {
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    // TLS is asked for, and there is none; then version 3.0.
    client.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
    let mut no = [0];
    client.read_exact(&mut no).unwrap();
    assert_eq!(no, *b"N");
    client.write_all(&[0, 0, 0, 8, 0, 3, 0, 0]).unwrap();
    let mut ready = [0; 6];
    client.read_exact(&mut ready).unwrap();
    client
}

fn ask(client: &mut TcpStream, text: &str) {
    let length = u32::try_from(text.len() + 5).unwrap().to_be_bytes();
    client.write_all(&[b"Q".as_slice(), &length, text.as_bytes(), b"\0"].concat()).unwrap();
}

fn await_trap(proxy: &Proxy) {
    while !proxy.is_sprung() {
        thread::yield_now();
    }
}

/// Whoever asks waits for the whole answer, which comes in two pieces.
fn hear(client: &mut TcpStream) {
    let mut answer = vec![0; DONE.len() + READY.len()];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [DONE, READY].concat());
}

#[test]
fn a_commit_that_is_cut_before_it_never_reaches_the_server() {
    let (port, queries) = server();
    let proxy = Proxy::start(port).unwrap();
    let mut client = connect(&proxy);
    proxy.set_trap(1, At::Before);
    ask(&mut client, "SELECT 1");
    hear(&mut client);
    ask(&mut client, "COMMIT");
    await_trap(&proxy);
    assert_eq!(proxy.phase(), Phase::Committing);
    proxy.cut();
    client.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(queries.into_iter().collect::<Vec<_>>(), ["SELECT 1"]);
}

#[test]
fn a_commit_that_is_cut_behind_it_was_heard_and_its_answer_is_not() {
    let (port, queries) = server();
    let proxy = Proxy::start(port).unwrap();
    let mut client = connect(&proxy);
    proxy.set_trap(2, At::Behind);
    ask(&mut client, "COMMIT");
    hear(&mut client);
    ask(&mut client, "COMMIT");
    await_trap(&proxy);
    proxy.cut();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "{rest:?}");
    assert_eq!(queries.into_iter().collect::<Vec<_>>(), ["COMMIT", "COMMIT"]);
    assert_eq!(proxy.commits(), 2);
}

#[test]
fn what_is_released_goes_on_as_if_it_had_been_slow() {
    for at in [At::Before, At::Under, At::Behind] {
        let (port, queries) = server();
        let proxy = Proxy::start(port).unwrap();
        let mut client = connect(&proxy);
        proxy.set_trap(1, at);
        ask(&mut client, "COMMIT");
        await_trap(&proxy);
        proxy.release();
        hear(&mut client);
        drop(client);
        assert_eq!(queries.into_iter().collect::<Vec<_>>(), ["COMMIT"], "{at:?}");
    }
}
