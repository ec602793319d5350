use std::{sync::Mutex, thread};

use standpipe_log::{Log, LogError, Lsn, Reader, Record, Ticket};

use super::{
    Crash, LogFixture, Verdict,
    steps::{
        LOSE_UNSYNCED, UNSYNCED, batch, crash, keep, keep_all, ok, open, outcome, payload, power_cuts,
        read_all, read_from, read_to_error, reopen, same, unsynced,
    },
};
use crate::Cut;

const CANNOT_CRASH: Verdict = Verdict::Partly("the fixture cannot let the log die");

/// Duty 1 of `Log`: dense numbers from 1, in the order of the records, with one writer and with several.
pub fn log_duty_1_numbers_follow_order<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Log duty 1 (order: numbers follow the order of the records)";
    let mut fixture = make();
    let patience = fixture.patience();
    let log = open(&mut fixture, DUTY);
    assert_eq!((log.start(), log.end()), (Lsn::FIRST, Lsn::FIRST), "{DUTY}: a new log starts at 1");

    let mut expected = keep_all(&log, 1..3, 30, patience, DUTY);
    let payloads: Vec<Vec<u8>> = (3..7).map(|number| payload(number, 30)).collect();
    let ticket = batch(&log, &payloads, DUTY);
    assert_eq!(ticket.lsn().number(), 6, "{DUTY}: the ticket of a batch carries the last record's number");
    ok(outcome(ticket, patience, DUTY), "the batch", DUTY);
    expected.extend((3..7).zip(payloads));
    let parts: [&[u8]; 3] = [b"joined ", b"", b"parts"];
    let ticket = ok(log.append(Record::new(&parts)), "appending parts", DUTY);
    ok(outcome(ticket, patience, DUTY), "the ticket", DUTY);
    expected.push((7, b"joined parts".to_vec()));
    same(&read_all(&log, DUTY), &expected, &format!("{DUTY}: read back"));

    let written = Mutex::new(expected);
    thread::scope(|scope| {
        for writer in 0..4 {
            let (log, written) = (&log, &written);
            scope.spawn(move || {
                for number in 0..25 {
                    let bytes = payload(1000 * (writer + 1) + number, 20);
                    let lsn = keep(log, &bytes, patience, DUTY);
                    written.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((lsn, bytes));
                }
            });
        }
    });
    let mut expected = written.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    expected.sort();
    let numbers: Vec<u64> = expected.iter().map(|read| read.0).collect();
    assert_eq!(numbers, (1..=107).collect::<Vec<_>>(), "{DUTY}: four writers got dense numbers, each once");
    same(&read_all(&log, DUTY), &expected, &format!("{DUTY}: each record lies at its ticket's number"));
    assert_eq!(log.end().number(), 108, "{DUTY}: the end");
    Verdict::Checked
}

/// Duty 2 of `Log`: numbers go up over closing, truncation, `advance_to` and crashes.
pub fn log_duty_2_no_number_twice<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Log duty 2 (no number twice)";
    let mut fixture = make();
    let patience = fixture.patience();
    let log = open(&mut fixture, DUTY);
    let identity = log.identity();
    keep_all(&log, 1..4, 30, patience, DUTY);
    ok(log.truncate_before(log.end()), "truncating", DUTY);
    let log = reopen(&mut fixture, log, DUTY);
    assert_eq!(log.identity(), identity, "{DUTY}: the identity changed with an opening");
    assert_eq!(keep(&log, b"after truncating all", patience, DUTY), 4, "{DUTY}: after truncating everything");

    ok(log.advance_to(Lsn::new(100)), "advancing", DUTY);
    ok(log.advance_to(Lsn::new(50)), "advancing to a lower number", DUTY);
    let log = reopen(&mut fixture, log, DUTY);
    assert_eq!(keep(&log, b"advanced", patience, DUTY), 100, "{DUTY}: after advance_to(100)");

    for how in power_cuts().into_iter().chain([Crash::Kill]) {
        let mut fixture = make();
        let log = open(&mut fixture, DUTY);
        keep_all(&log, 1..4, 30, patience, DUTY);
        let held = fixture.hold_syncs();
        let tickets = if held { unsynced(&mut fixture, &log, DUTY) } else { Vec::new() };
        let Some(log) = crash(&mut fixture, log, how, DUTY) else { return CANNOT_CRASH };
        drop(tickets);
        let readable = read_all(&log, DUTY).last().map_or(0, |read| read.0).max(3);
        let next = keep(&log, b"after the crash", patience, DUTY);
        assert!(next > readable, "{DUTY}: {next} was given after {how:?}, although {readable} was readable");
    }
    Verdict::Checked
}

/// Duty 3 of `Log`: what a ticket resolved is read back after kill -9, after a power cut, and after a clean close.
pub fn log_duty_3_durable_means_durable<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Log duty 3 (durable means durable)";
    let mut fixture = make();
    let patience = fixture.patience();
    let log = open(&mut fixture, DUTY);
    let mut expected = keep_all(&log, 1..20, 300, patience, DUTY);
    let mut log = reopen(&mut fixture, log, DUTY);
    same(&read_all(&log, DUTY), &expected, &format!("{DUTY}: after a clean close"));
    for (round, how) in [Crash::Kill, LOSE_UNSYNCED, Crash::Kill, LOSE_UNSYNCED].into_iter().enumerate() {
        let from = 100 * (round as u64 + 1);
        expected.extend(keep_all(&log, from..from + 5, 300, patience, DUTY));
        let Some(left) = crash(&mut fixture, log, how, DUTY) else { return CANNOT_CRASH };
        same(&read_all(&left, DUTY), &expected, &format!("{DUTY}: after {how:?}"));
        log = left;
    }
    Verdict::Checked
}

/// Duty 4 of `Log`: after any power cut in the middle of a batch, all of it is read back, or none.
pub fn log_duty_4_all_or_none_of_a_batch<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Log duty 4 (all or none of a batch)";
    for how in power_cuts().into_iter().chain([Crash::Kill]) {
        let mut fixture = make();
        let patience = fixture.patience();
        let log = open(&mut fixture, DUTY);
        let first = keep_all(&log, 1..2, 50, patience, DUTY);
        if !fixture.hold_syncs() {
            return Verdict::Partly("the fixture cannot hold a sync");
        }
        let payloads: Vec<Vec<u8>> = (10..14).map(|number| payload(number, 700)).collect();
        let ticket = batch(&log, &payloads, DUTY);
        let reached = fixture.sync_reached(patience);
        let Some(log) = crash(&mut fixture, log, how, DUTY) else { return CANNOT_CRASH };
        drop(ticket);
        assert!(reached, "{DUTY}: no sync came for a batch");
        let found = read_all(&log, DUTY);
        same(
            &found[..found.len().min(1)],
            &first,
            &format!("{DUTY}: the record before the batch, after {how:?}"),
        );
        let kept = found.len() - 1;
        assert!(kept == 0 || kept == 4, "{DUTY}: {kept} of 4 records are left after {how:?}");
        keep(&log, b"usable", patience, DUTY);
    }
    Verdict::Checked
}

/// Duty 5 of `Log`: after one failed sync nothing is acknowledged, nothing undurable is shown, and opening anew
/// recovers only what a power cut would leave.
pub fn log_duty_5_one_failed_sync_ends_it<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Log duty 5 (one failed sync ends it)";
    let mut fixture = make();
    let patience = fixture.patience();
    let log = open(&mut fixture, DUTY);
    let kept = keep_all(&log, 1..4, 300, patience, DUTY);
    if !fixture.fail_next_sync() {
        return Verdict::Partly("the fixture cannot fail a sync");
    }
    let refused = |result: Result<<F::Log as Log>::Ticket, LogError>, what: &str| {
        let error = match result {
            Ok(ticket) => outcome(ticket, patience, DUTY).err(),
            Err(error) => Some(error),
        };
        assert!(matches!(error, Some(LogError::Poisoned { .. })), "{DUTY}: {what} got {error:?}");
    };
    refused(log.append(Record::new(&[&payload(4, 300)])), "the record whose sync failed");
    for number in 5..8 {
        refused(log.append(Record::new(&[&payload(number, 300)])), "a later record");
    }
    refused(log.pin(b"key", b"value"), "a later pin");
    assert!(log.durable_end().number() <= 4, "{DUTY}: the durable end is {}", log.durable_end());

    let mut reader = ok(log.follow(log.start()), "following", DUTY);
    for (lsn, bytes) in &kept {
        match reader.next(patience) {
            Ok(Some(entry)) => {
                assert_eq!(
                    (entry.lsn.number(), entry.payload),
                    (*lsn, bytes.as_slice()),
                    "{DUTY}: what was durable"
                );
            }
            other => panic!("{DUTY}: record {lsn} was durable, but a reader got {other:?}"),
        }
    }
    match reader.next(patience) {
        Err(LogError::Poisoned { .. }) => {}
        other => panic!("{DUTY}: at the end a reader got {other:?}"),
    }
    drop(reader);
    match log.close() {
        Err(LogError::Poisoned { .. }) => {}
        other => panic!("{DUTY}: closing gave {other:?}"),
    }
    drop(log);

    let log = ok(fixture.open(), "opening anew", DUTY);
    let recovered = read_all(&log, DUTY);
    same(
        &recovered[..recovered.len().min(3)],
        &kept,
        &format!("{DUTY}: what was durable, after opening anew"),
    );
    let Some(log) = crash(&mut fixture, log, LOSE_UNSYNCED, DUTY) else { return CANNOT_CRASH };
    let left = read_all(&log, DUTY);
    same(
        &left,
        &recovered,
        &format!("{DUTY}: after a power cut, against what was shown (so, durable) after opening anew"),
    );
    keep(&log, b"usable", patience, DUTY);
    Verdict::Checked
}

/// Duty 6 of `Log`: every power cut leaves a log that opens and holds a leading part of what was appended, with all that was
/// acknowledged; damage in the middle is an error.
pub fn log_duty_6_torn_tail_cut_damage_reported<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Log duty 6 (a torn tail is cut, damage is reported)";
    let mut fixture = make();
    let patience = fixture.patience();
    let log = open(&mut fixture, DUTY);
    let records = keep_all(&log, 1..21, 100, patience, DUTY);
    ok(log.close(), "closing", DUTY);
    drop(log);
    if !fixture.damage(&records[4].1) {
        return Verdict::Partly("the fixture cannot damage a record");
    }
    match fixture.open() {
        Err(LogError::Corrupt { .. }) => {}
        Err(error) => panic!("{DUTY}: opening a damaged log gave: {error}"),
        Ok(log) => {
            let error = read_to_error(ok(log.follow(Lsn::FIRST), "following", DUTY), 21);
            assert!(
                matches!(error, Some(LogError::Corrupt { .. })),
                "{DUTY}: damage in the middle was not reported: {error:?}"
            );
        }
    }

    for how in power_cuts() {
        let mut fixture = make();
        let log = open(&mut fixture, DUTY);
        let mut appended = keep_all(&log, 1..4, 100, patience, DUTY);
        if !fixture.hold_syncs() {
            return Verdict::Partly("the fixture cannot hold a sync");
        }
        let tickets = unsynced(&mut fixture, &log, DUTY);
        appended.extend((4..).zip(UNSYNCED.map(|number| payload(number, 900))));
        let Some(log) = crash(&mut fixture, log, how, DUTY) else { return CANNOT_CRASH };
        drop(tickets);
        let found = read_all(&log, DUTY);
        assert!(found.len() >= 3, "{DUTY}: {} of 3 acknowledged records are left after {how:?}", found.len());
        let leading = &appended[..found.len().min(appended.len())];
        same(&found, leading, &format!("{DUTY}: a leading part after {how:?}"));
        keep(&log, b"usable", patience, DUTY);
    }
    Verdict::Checked
}

/// Duty 7 of `Log`: every record at or above the given number stays, over openings and crashes. (Pins are duty 8.)
pub fn log_duty_7_truncation_keeps_the_rest<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Log duty 7 (truncation keeps what it was told to keep)";
    let mut fixture = make();
    let patience = fixture.patience();
    let mut log = open(&mut fixture, DUTY);
    let records = keep_all(&log, 1..61, 500, patience, DUTY);
    let mut highest = 1;
    for keep_from in [1, 2, 20, 10, 45] {
        highest = keep_from.max(highest);
        ok(log.truncate_before(Lsn::new(keep_from)), "truncating", DUTY);
        assert!(log.start().number() <= highest, "{DUTY}: the log starts at {}", log.start());
        let rest = &records[highest as usize - 1..];
        same(
            &read_from(&log, Lsn::new(highest), DUTY),
            rest,
            &format!("{DUTY}: after truncate_before({keep_from})"),
        );
    }
    log = reopen(&mut fixture, log, DUTY);
    assert!(log.start().number() <= 45, "{DUTY}: the log starts at {}", log.start());
    same(&read_from(&log, Lsn::new(45), DUTY), &records[44..], &format!("{DUTY}: after opening again"));
    ok(log.truncate_before(Lsn::new(50)), "truncating", DUTY);
    for how in [Crash::Power(Cut::KeepAll), LOSE_UNSYNCED] {
        let Some(left) = crash(&mut fixture, log, how, DUTY) else { return CANNOT_CRASH };
        same(&read_from(&left, Lsn::new(50), DUTY), &records[49..], &format!("{DUTY}: after {how:?}"));
        log = left;
    }
    Verdict::Checked
}

/// Duty 8 of `Log`: pins keep their latest value over truncations, openings and crashes, and are there before the
/// records that follow them.
pub fn log_duty_8_pins_stay<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Log duty 8 (pins)";
    let mut fixture = make();
    let patience = fixture.patience();
    let mut log = open(&mut fixture, DUTY);
    for (key, value) in [("b", "1"), ("a", "old"), ("gone", "1"), ("a", "new"), ("gone", "")] {
        let end = log.end();
        let ticket = ok(log.pin(key.as_bytes(), value.as_bytes()), "pinning", DUTY);
        ok(outcome(ticket, patience, DUTY), "the ticket of a pin", DUTY);
        assert_eq!(log.end(), end, "{DUTY}: a pin took a record number");
    }
    let mut expected = vec![(b"a".to_vec(), b"new".to_vec()), (b"b".to_vec(), b"1".to_vec())];
    assert_eq!(log.pinned(), expected, "{DUTY}: latest values, ordered by key");
    for round in 0..3 {
        keep_all(&log, 1..40, 500, patience, DUTY);
        ok(log.truncate_before(log.end()), "truncating", DUTY);
        assert_eq!(log.pinned(), expected, "{DUTY}: after truncation, round {round}");
        log = reopen(&mut fixture, log, DUTY);
        assert_eq!(log.pinned(), expected, "{DUTY}: after opening again, round {round}");
    }
    // Nobody waits for this pin's ticket: the record after it carries it along.
    let ticket = ok(log.pin(b"c", b"before the record"), "pinning", DUTY);
    keep(&log, b"after the pin", patience, DUTY);
    drop(ticket);
    expected.push((b"c".to_vec(), b"before the record".to_vec()));
    for how in [Crash::Kill, LOSE_UNSYNCED] {
        let Some(left) = crash(&mut fixture, log, how, DUTY) else { return CANNOT_CRASH };
        assert_eq!(left.pinned(), expected, "{DUTY}: after {how:?}");
        ok(left.truncate_before(left.end()), "truncating", DUTY);
        log = left;
    }
    assert_eq!(log.pinned(), expected, "{DUTY}: after the last truncation");
    Verdict::Checked
}

/// Duty 9 of `Log`: a second opener is refused with `InUse` that names the place; the place is free after the first.
pub fn log_duty_9_one_owner<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Log duty 9 (one owner)";
    let mut fixture = make();
    let patience = fixture.patience();
    let log = open(&mut fixture, DUTY);
    keep(&log, b"mine", patience, DUTY);
    match fixture.open() {
        Ok(_) => panic!("{DUTY}: a second opener was let in"),
        Err(LogError::InUse { place }) => assert!(!place.is_empty(), "{DUTY}: InUse names no place"),
        Err(error) => panic!("{DUTY}: a second opener got: {error}"),
    }
    keep(&log, b"still mine", patience, DUTY);
    let log = reopen(&mut fixture, log, DUTY);
    assert_eq!(read_all(&log, DUTY).len(), 2, "{DUTY}: the refused opener changed the log");
    drop(log);
    drop(ok(fixture.open(), "opening after the owner was dropped without closing", DUTY));
    Verdict::Checked
}

/// Duty 10 of `Log`: a record above the limit and an empty batch are refused; a full disk refuses appends until there is room,
/// and then the log goes on with all that it acknowledged.
pub fn log_duty_10_limits<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Log duty 10 (limits)";
    let mut fixture = make();
    let patience = fixture.patience();
    let log = open(&mut fixture, DUTY);
    let mut expected = keep_all(&log, 1..3, 100, patience, DUTY);
    match log.append_batch(&[]) {
        Err(LogError::Invalid(_)) => {}
        other => panic!("{DUTY}: an empty batch got {:?}", other.map(|ticket| ticket.lsn())),
    }
    let limit = fixture.record_limit_bytes();
    if let Some(limit) = limit {
        let too_large = vec![b'x'; limit as usize + 1];
        let single = log.append(Record::new(&[&too_large]));
        let batched = log.append_batch(&[Record::new(&[b"small"]), Record::new(&[&too_large])]);
        for (what, result) in [("a record", single), ("a batch", batched)] {
            match result {
                Err(LogError::TooLarge { size_bytes, limit_bytes }) => {
                    assert!(size_bytes > limit, "{DUTY}: {what} is said to have {size_bytes} bytes");
                    assert!(limit_bytes >= limit, "{DUTY}: the limit is said to be {limit_bytes} bytes");
                }
                other => panic!("{DUTY}: {what} above the limit got {:?}", other.map(|ticket| ticket.lsn())),
            }
        }
        assert_eq!(log.end().number(), 3, "{DUTY}: a refused record took a number");
        expected.push((keep(&log, &too_large[..limit as usize], patience, DUTY), too_large[1..].to_vec()));
    }
    if !fixture.fill_disk() {
        return Verdict::Partly("the fixture cannot fill the disk");
    }
    let mut refusals = 0;
    // 16 MiB of records: more than a log may have reserved in advance in a test's settings.
    for number in 10..10 + 4096 {
        let bytes = payload(number, 4096);
        match log.append(Record::new(&[&bytes])).and_then(|ticket| outcome(ticket, patience, DUTY)) {
            Ok(lsn) => expected.push((lsn.number(), bytes)),
            Err(LogError::Full { .. }) => refusals += 1,
            Err(error) => panic!("{DUTY}: on a full disk an append got: {error}"),
        }
        if refusals == 3 {
            break;
        }
    }
    same(&read_all(&log, DUTY), &expected, &format!("{DUTY}: what was acknowledged, on the full disk"));
    fixture.make_room();
    for number in 1..4 {
        let bytes = payload(number, 1000);
        expected.push((keep(&log, &bytes, patience, DUTY), bytes));
    }
    let log = reopen(&mut fixture, log, DUTY);
    same(&read_all(&log, DUTY), &expected, &format!("{DUTY}: what was acknowledged, with room again"));
    match (limit, refusals) {
        (None, _) => Verdict::Partly("the fixture names no record limit"),
        (_, 0) => Verdict::Partly("the disk was never full: the log had reserved 16 MiB"),
        _ => Verdict::Checked,
    }
}
