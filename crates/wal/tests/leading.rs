//! Threads that write for all: what must not happen to them.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, mpsc},
    task, thread,
    time::{Duration, Instant},
};

use common::{PATIENCE, open, open_with, read_all, small};
use standpipe_testkit::{CallKind, MemStorage};
use standpipe_wal::{Durability, Log, LogError, Record, Settings, Ticket, Wal, inspect};

/// Drops the log when it is called.
struct Drops(Mutex<Option<Arc<Wal<MemStorage>>>>);

impl task::Wake for Drops {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().unwrap().take());
    }
}

#[test]
fn the_last_owner_may_be_dropped_on_a_thread_that_leads() {
    let disk = MemStorage::new();
    let log = Arc::new(open(&disk).unwrap());
    let (reached, reaches) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    disk.on_call(move |call| {
        if call.kind == CallKind::SyncData {
            let _ = reached.send(());
            let _ = released.lock().unwrap().recv_timeout(PATIENCE);
        }
    });
    let first = log.append(Record::new(&[b"first"])).unwrap();
    let mut second = pin!(log.append(Record::new(&[b"second"])).unwrap());
    let (tell, told) = mpsc::channel();
    let leader = thread::spawn(move || tell.send(first.wait().map(|lsn| lsn.number())).unwrap());
    reaches.recv_timeout(PATIENCE).unwrap();
    // The leader syncs; whoever it wakes then has the last handle of the log.
    let waker = task::Waker::from(Arc::new(Drops(Mutex::new(Some(log)))));
    assert!(second.as_mut().poll(&mut task::Context::from_waker(&waker)).is_pending());
    drop(release);
    assert_eq!(
        told.recv_timeout(PATIENCE)
            .expect("the leader waits for the log's thread, which waits for it")
            .unwrap(),
        1
    );
    leader.join().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let again = loop {
        match open(&disk) {
            Err(LogError::InUse { .. }) => assert!(Instant::now() < deadline, "it never ended"),
            other => break other.unwrap(),
        }
        thread::yield_now();
    };
    assert_eq!(read_all(&again).unwrap().len(), 2);
}

#[test]
fn l16_what_is_synced_late_is_proven_after_that() {
    let disk = MemStorage::new();
    let settings = Settings {
        durability: Durability::Periodic(Duration::from_millis(30)),
        idle_proof: Some(Duration::from_millis(1)),
        segment_bytes: 64 << 10,
        ..small()
    };
    let log = open_with(&disk, settings).unwrap();
    log.append(Record::new(&[b"the only record"])).unwrap().wait().unwrap();
    // Its sync comes after the log has been idle for long: the frame that proves it comes after the sync.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let image = disk.process_killed();
        let name = image.names()[0].clone();
        let contents = image.contents(&name).unwrap();
        let at = contents.windows(4).position(|bytes| bytes == b"only").unwrap();
        image.damage(&name, at as u64, b"0");
        if matches!(open(&image), Err(LogError::Corrupt { .. })) {
            break;
        }
        assert!(Instant::now() < deadline, "never proven: {:?}", inspect(&disk).unwrap().segments);
        thread::yield_now();
    }
}
