//! What a recovering log allows, and that every way out leaves the log whole.

use std::panic::{AssertUnwindSafe, catch_unwind};

use standpipe_testkit::MemStorage;
use standpipe_wal::{Log, LogError, Lsn, ReplayError};

use crate::{
    common::{append, fill, open, read_all},
    recover, replayed,
};

#[test]
fn finishing_gives_the_log_where_the_replay_ended() {
    let disk = MemStorage::new();
    let log = open(&disk).unwrap();
    let records = fill(&log, 0..30, 900);
    let _pinned = log.pin(b"key", b"value").unwrap();
    let id = log.identity();
    drop(log);
    let recovering = recover(&disk);
    assert_eq!((recovering.identity(), recovering.recovery().torn_tail.clone()), (id, None));
    assert_eq!(recovering.pinned(), [(b"key".to_vec(), b"value".to_vec())]);
    assert!(matches!(open(&disk), Err(LogError::InUse { .. })));
    let (delivered, end) = replayed(&recovering, 1);
    assert_eq!((delivered, end.unwrap()), (records, recovering.end()));
    let end = recovering.end();
    let log = recovering.finish();
    assert_eq!(append(&log, b"next").unwrap(), end);
    assert_eq!(read_all(&log).unwrap().len(), 31);
}

#[test]
fn dropping_closes_the_log() {
    let disk = MemStorage::new();
    drop(recover(&disk));
    let recovering = recover(&disk);
    assert_eq!((recovering.start(), recovering.end()), (Lsn::FIRST, Lsn::FIRST));
}

#[test]
fn an_error_of_a_callback_leaves_the_log_as_it_was() {
    let disk = MemStorage::new();
    let records = fill(&open(&disk).unwrap(), 0..50, 900);
    let recovering = recover(&disk);
    for workers in [1, 3] {
        let mut applied = 0;
        let replay = recovering.replay(Lsn::FIRST).workers(workers).block(4096);
        let ended = replay.each(|entry| {
            if entry.lsn == Lsn::new(20) {
                return Err("no room");
            }
            applied += 1;
            Ok(())
        });
        let Err(ReplayError::Apply { lsn, error }) = ended else { panic!("{ended:?}") };
        assert_eq!((applied, lsn, error), (19, Lsn::new(20), "no room"));
        assert_eq!(replayed(&recovering, workers).0, records);
    }
    assert_eq!(read_all(&recovering.finish()).unwrap(), records);
}

#[test]
fn a_panic_of_a_callback_leaves_the_log_as_it_was() {
    let disk = MemStorage::new();
    let records = fill(&open(&disk).unwrap(), 0..50, 900);
    for workers in [1, 3] {
        let recovering = recover(&disk);
        let replay = || {
            recovering.replay(Lsn::FIRST).workers(workers).block(4096).each(|entry| {
                assert_ne!(entry.lsn, Lsn::new(20), "planted");
                Ok::<(), &str>(())
            })
        };
        let panic = catch_unwind(AssertUnwindSafe(replay)).unwrap_err();
        assert!(panic.downcast_ref::<String>().unwrap().contains("planted"));
        assert_eq!(replayed(&recovering, workers).0, records);
        // And where the panic takes the recovering log with it.
        let taken = catch_unwind(AssertUnwindSafe(move || {
            let recovering = recovering;
            recovering.replay(Lsn::FIRST).batches(|_| -> Result<(), &str> { panic!("planted") })
        }));
        assert!(taken.is_err());
        assert_eq!(read_all(&open(&disk).unwrap()).unwrap(), records);
    }
}

#[test]
fn a_log_that_starts_later_says_so() {
    let disk = MemStorage::new();
    let log = open(&disk).unwrap();
    fill(&log, 0..50, 900);
    log.truncate_before(Lsn::new(30)).unwrap();
    drop(log);
    let recovering = recover(&disk);
    assert!(recovering.start() > Lsn::FIRST);
    let ended = recovering.replay(Lsn::FIRST).each(|_| Ok::<(), &str>(()));
    assert!(matches!(ended, Err(ReplayError::Log(LogError::Truncated { wanted: Lsn::FIRST, .. }))));
}
