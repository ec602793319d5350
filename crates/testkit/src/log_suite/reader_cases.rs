use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use standpipe_log::{Log, LogError, Lsn, Reader, Record};

use super::{
    LogFixture, Verdict,
    steps::{keep, keep_all, ok, open, outcome, payload, read_all, read_from, reopen, same},
};

/// Longer than any test: a reader with this patience returns because it was woken.
const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);

/// Duty 1 of `Reader`: from any place, over gaps and openings, every record once and in order.
pub fn reader_duty_1_in_order_none_left_out<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Reader duty 1 (in order, each once, none left out)";
    let mut fixture = make();
    let patience = fixture.patience();
    let log = open(&mut fixture, DUTY);
    let mut records = keep_all(&log, 1..101, 200, patience, DUTY);
    ok(log.advance_to(Lsn::new(200)), "advancing", DUTY);
    records.extend(keep_all(&log, 200..220, 200, patience, DUTY));
    let log = reopen(&mut fixture, log, DUTY);
    for from in [1, 2, 57, 100, 101, 150, 199, 200, 219, 220] {
        let rest: Vec<_> = records.iter().filter(|read| read.0 >= from).cloned().collect();
        same(&read_from(&log, Lsn::new(from), DUTY), &rest, &format!("{DUTY}: from {from}"));
    }
    let mut reader = ok(log.follow(Lsn::new(220)), "following from the end", DUTY);
    assert_eq!(reader.position().number(), 220, "{DUTY}: the place of a new reader");
    for number in 220..240 {
        let bytes = payload(number, 200);
        keep(&log, &bytes, patience, DUTY);
        match ok(reader.next(Duration::ZERO), "reading", DUTY) {
            Some(entry) => {
                assert_eq!(
                    (entry.lsn.number(), entry.payload),
                    (number, bytes.as_slice()),
                    "{DUTY}: at the end"
                );
            }
            None => panic!("{DUTY}: durable record {number} is not there at once"),
        }
        assert_eq!(reader.position().number(), number + 1, "{DUTY}: the place after record {number}");
    }
    Verdict::Checked
}

/// Duty 2 of `Reader`: while a sync is held, the record is not shown and the durable end stays below it.
pub fn reader_duty_2_undurable_never_shown<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Reader duty 2 (what is not durable is never shown)";
    let mut fixture = make();
    let patience = fixture.patience();
    let log = open(&mut fixture, DUTY);
    keep_all(&log, 1..3, 50, patience, DUTY);
    let mut reader = ok(log.follow(Lsn::new(3)), "following", DUTY);
    if !fixture.hold_syncs() {
        return Verdict::Partly("the fixture cannot hold a sync");
    }
    let ticket = log.append(Record::new(&[b"not yet"]));
    let reached = fixture.sync_reached(patience);
    // Nothing may panic before the release: a log that is dropped while its sync is held would wait for ever.
    let early = reader.next(Duration::from_millis(5)).map(|entry| entry.map(|entry| entry.lsn));
    let durable_end = log.durable_end();
    fixture.release_syncs();
    let ticket = ok(ticket, "appending while a sync is held", DUTY);
    assert!(reached, "{DUTY}: no sync came");
    assert_eq!(ok(early, "reading", DUTY), None, "{DUTY}: shown before its sync returned");
    assert_eq!(durable_end.number(), 3, "{DUTY}: the durable end before the sync returned");
    ok(outcome(ticket, patience, DUTY), "the ticket", DUTY);
    let shown = ok(reader.next(patience), "reading", DUTY).map(|entry| entry.payload.to_vec());
    assert_eq!(shown.as_deref(), Some(&b"not yet"[..]), "{DUTY}: after its sync");
    Verdict::Checked
}

/// Duty 3 of `Reader`: a reader that waits returns with the record that becomes durable, and when the log closes.
pub fn reader_duty_3_waiting_reader_wakes<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Reader duty 3 (a waiting reader wakes)";
    let mut fixture = make();
    let patience = fixture.patience();
    let log = open(&mut fixture, DUTY);
    for number in 1..6 {
        let mut reader = ok(log.follow(log.end()), "following", DUTY);
        let woken = waiting(move || reader.next(FOR_EVER).map(|entry| entry.map(|entry| entry.lsn)));
        // Also gives the reader time to fall asleep; one that has not is served all the same.
        let early = woken.wait(Duration::from_millis(20));
        assert!(early.is_none(), "{DUTY}: with nothing to read a waiting reader got {early:?}");
        keep(&log, &payload(number, 50), patience, DUTY);
        match woken.wait(patience) {
            Some(result) => {
                assert_eq!(
                    ok(result, "reading", DUTY).map(Lsn::number),
                    Some(number),
                    "{DUTY}: what woke it"
                );
            }
            None => {
                panic!("{DUTY}: record {number} became durable and the reader sleeps on after {patience:?}")
            }
        }
    }
    let mut reader = ok(log.follow(log.end()), "following", DUTY);
    let woken = waiting(move || reader.next(FOR_EVER).map(|entry| entry.map(|entry| entry.lsn)));
    ok(log.close(), "closing", DUTY);
    match woken.wait(patience) {
        Some(Err(LogError::Closed)) => Verdict::Checked,
        Some(other) => panic!("{DUTY}: when the log closed the reader got {other:?}"),
        None => panic!("{DUTY}: the log closed and the reader sleeps on after {patience:?}"),
    }
}

/// Duty 4 of `Reader`: damage is an error that names the record; the reader never goes past it.
pub fn reader_duty_4_damage_has_a_place<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Reader duty 4 (damage is reported with its place, never skipped, never shown)";
    for damaged in [1, 7, 15] {
        let mut fixture = make();
        let patience = fixture.patience();
        let log = open(&mut fixture, DUTY);
        let records = keep_all(&log, 1..21, 100, patience, DUTY);
        ok(log.close(), "closing", DUTY);
        drop(log);
        if !fixture.damage(&records[damaged - 1].1) {
            return Verdict::Partly("the fixture cannot damage a record");
        }
        let log = match fixture.open() {
            Ok(log) => log,
            // Found even before a reader came: the same report, earlier.
            Err(LogError::Corrupt { segment, .. }) => {
                assert!(!segment.is_empty(), "{DUTY}: no file is named");
                continue;
            }
            Err(error) => panic!("{DUTY}: opening gave: {error}"),
        };
        let mut reader = ok(log.follow(Lsn::FIRST), "following", DUTY);
        for (lsn, bytes) in &records[..damaged - 1] {
            match reader.next(Duration::ZERO) {
                Ok(Some(entry)) => assert_eq!(entry.payload, bytes, "{DUTY}: record {lsn} before the damage"),
                // A frame that holds several records is damaged as a whole.
                Err(LogError::Corrupt { .. }) => break,
                other => panic!("{DUTY}: before the damage, at {lsn}, a reader got {other:?}"),
            }
        }
        for _ in 0..3 {
            match reader.next(Duration::ZERO) {
                Err(LogError::Corrupt { segment, lsn, .. }) => {
                    assert!(!segment.is_empty(), "{DUTY}: no file is named");
                    assert!(lsn.number() <= damaged as u64, "{DUTY}: {damaged} is damaged, {lsn} is named");
                }
                other => panic!("{DUTY}: at damaged record {damaged} a reader got {other:?}"),
            }
        }
    }
    Verdict::Checked
}

/// Duty 5 of `Reader`: readers that stand still or wait hold up no append.
pub fn reader_duty_5_never_blocks_a_writer<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Reader duty 5 (a reader never blocks a writer)";
    let mut fixture = make();
    let patience = fixture.patience();
    let log = open(&mut fixture, DUTY);
    keep(&log, b"first", patience, DUTY);
    let mut lagging = ok(log.follow(Lsn::FIRST), "following", DUTY);
    let borrowed = ok(lagging.next(patience), "reading", DUTY).map(|entry| entry.payload);
    let mut following = ok(log.follow(Lsn::FIRST), "following", DUTY);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = &stop;
        let read = scope.spawn(move || {
            let mut count = 0;
            while !stop.load(Ordering::Acquire) || count < 301 {
                match following.next(Duration::from_millis(20)) {
                    Ok(Some(_)) => count += 1,
                    Ok(None) if !stop.load(Ordering::Acquire) => {}
                    _ => break,
                }
            }
            count
        });
        let _stop = StopOnDrop(stop);
        for number in 1..301 {
            keep(&log, &payload(number, 200), patience, DUTY);
        }
        stop.store(true, Ordering::Release);
        let count = read.join().unwrap_or(0);
        assert_eq!(count, 301, "{DUTY}: the reader beside the writer saw {count} of 301 records");
    });
    assert_eq!(borrowed, Some(&b"first"[..]), "{DUTY}: what a reader lent out changed under it");
    Verdict::Checked
}

/// Duty 6 of `Reader`: a reader whose next record was truncated gets it all the same, or `Truncated`; never a jump.
pub fn reader_duty_6_truncation_is_noticed<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Reader duty 6 (truncation is not unnoticed)";
    let mut fixture = make();
    let patience = fixture.patience();
    let mut log = open(&mut fixture, DUTY);
    let records = keep_all(&log, 1..101, 500, patience, DUTY);
    let mut reader = ok(log.follow(Lsn::FIRST), "following", DUTY);
    ok(reader.next(patience), "reading", DUTY);
    ok(log.truncate_before(Lsn::new(91)), "truncating", DUTY);
    for expected in &records[1..] {
        match reader.next(patience) {
            Ok(Some(entry)) => {
                assert_eq!(
                    (entry.lsn.number(), entry.payload.to_vec()),
                    *expected,
                    "{DUTY}: after truncation"
                );
            }
            Err(LogError::Truncated { wanted, start }) => {
                assert_eq!(wanted.number(), expected.0, "{DUTY}: what the error says was wanted");
                assert!(start > wanted, "{DUTY}: the error says that {wanted} is gone and {start} is there");
                break;
            }
            other => panic!("{DUTY}: at {} a reader got {other:?}", expected.0),
        }
    }
    for round in 0..2 {
        let start = log.start();
        match log.follow(Lsn::FIRST) {
            Err(LogError::Truncated { wanted, .. }) => {
                assert_eq!(wanted, Lsn::FIRST, "{DUTY}: what was wanted")
            }
            Err(error) => panic!("{DUTY}: following from 1 gave: {error}"),
            Ok(_) => {
                assert_eq!(start, Lsn::FIRST, "{DUTY}: round {round}: 1 is gone, but a reader starts there")
            }
        }
        same(
            &read_all(&log, DUTY),
            &records[start.number() as usize - 1..],
            &format!("{DUTY}: from the start"),
        );
        log = reopen(&mut fixture, log, DUTY);
    }
    Verdict::Checked
}

/// Duty 7 of `Reader`: after `close`, the durable rest, then `Closed`, again and again.
pub fn reader_duty_7_delivers_then_closed<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Reader duty 7 (after closing, what was durable, then Closed)";
    let mut fixture = make();
    let patience = fixture.patience();
    let log = open(&mut fixture, DUTY);
    let mut reader = ok(log.follow(Lsn::FIRST), "following", DUTY);
    let mut records = keep_all(&log, 1..30, 200, patience, DUTY);
    // Not waited for: closing makes it durable.
    let ticket = ok(log.append(Record::new(&[b"the last"])), "appending", DUTY);
    ok(log.close(), "closing", DUTY);
    ok(log.close(), "closing again", DUTY);
    drop(ticket);
    records.push((30, b"the last".to_vec()));
    for expected in &records {
        match reader.next(patience) {
            Ok(Some(entry)) => {
                assert_eq!((entry.lsn.number(), entry.payload.to_vec()), *expected, "{DUTY}: after closing");
            }
            other => panic!("{DUTY}: durable record {} was not delivered, but {other:?}", expected.0),
        }
    }
    for _ in 0..2 {
        match reader.next(patience) {
            Err(LogError::Closed) => {}
            other => panic!("{DUTY}: at the end a reader got {other:?}"),
        }
    }
    match log.append(Record::new(&[b"too late"])) {
        Err(LogError::Closed) => Verdict::Checked,
        other => panic!("{DUTY}: a closed log gave an append {:?}", other.map(drop)),
    }
}

/// A call that runs on a thread of its own.
struct Waiting<T>(std::sync::mpsc::Receiver<T>);

fn waiting<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Waiting<T> {
    let (done, result) = std::sync::mpsc::channel();
    thread::spawn(move || done.send(work()).ok());
    Waiting(result)
}

impl<T> Waiting<T> {
    fn wait(&self, patience: Duration) -> Option<T> {
        self.0.recv_timeout(patience).ok()
    }
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
