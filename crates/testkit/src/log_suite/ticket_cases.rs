use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use standpipe_log::{Log, LogError, Lsn, Record, Ticket};

use super::{
    LogFixture, Verdict,
    steps::{LOSE_UNSYNCED, crash, keep, ok, open, outcome, payload, read_all, same, within},
};

/// Duty 1 of `Ticket`: pending while the sync is held; once it resolved, its record and all below survive a power cut.
pub fn ticket_duty_1_ok_means_durable<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Ticket duty 1 (Ok only when the record and all below are durable)";
    let mut fixture = make();
    let patience = fixture.patience();
    let log = open(&mut fixture, DUTY);
    let mut expected = Vec::new();
    let mut last = None;
    for number in 1..11 {
        let bytes = payload(number, 300);
        let ticket = ok(log.append(Record::new(&[&bytes])), "appending", DUTY);
        assert_eq!(ticket.lsn().number(), number, "{DUTY}: the number is known before the record is durable");
        expected.push((number, bytes));
        last = Some(ticket);
    }
    if let Some(ticket) = last {
        let resolved = ok(outcome(ticket, patience, DUTY), "the last ticket", DUTY);
        assert_eq!(resolved.number(), 10, "{DUTY}: the number that it resolved with");
    }
    assert!(
        log.durable_end() > Lsn::new(10),
        "{DUTY}: resolved, but the durable end is {}",
        log.durable_end()
    );

    if !fixture.hold_syncs() {
        return Verdict::Partly("the fixture cannot hold a sync");
    }
    let appended = log.append(Record::new(&[b"held"]));
    let reached = fixture.sync_reached(patience);
    let early = appended.map(|mut ticket| (poll_once(&mut ticket), ticket));
    fixture.release_syncs();
    let (early, ticket) = ok(early, "appending while a sync is held", DUTY);
    assert!(reached, "{DUTY}: no sync came");
    assert!(early.is_none(), "{DUTY}: resolved before the sync returned");
    ok(outcome(ticket, patience, DUTY), "the ticket after the sync", DUTY);
    expected.push((11, b"held".to_vec()));

    let Some(log) = crash(&mut fixture, log, LOSE_UNSYNCED, DUTY) else {
        return Verdict::Partly("the fixture cannot let the log die");
    };
    same(&read_all(&log, DUTY), &expected, &format!("{DUTY}: after a power cut right after it resolved"));
    Verdict::Checked
}

/// Duty 2 of `Ticket`: it resolves after a good sync, a failed one, a closing, and the death of its log.
pub fn ticket_duty_2_always_resolves<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Ticket duty 2 (it always resolves)";
    let mut fixture = make();
    let patience = fixture.patience();
    let log = open(&mut fixture, DUTY);
    let ticket = ok(log.append(Record::new(&[b"waited for"])), "appending", DUTY);
    let waited = within(patience, move || ticket.wait());
    match waited {
        Some(result) => assert_eq!(ok(result, "waiting", DUTY), Lsn::FIRST, "{DUTY}: wait()"),
        None => panic!("{DUTY}: wait() did not return within {patience:?}"),
    }
    let ticket = ok(log.append(Record::new(&[b"closed over"])), "appending", DUTY);
    ok(log.close(), "closing", DUTY);
    ok(outcome(ticket, patience, DUTY), "the ticket of a record that closing made durable", DUTY);
    drop(log);

    let log = open(&mut fixture, DUTY);
    if !fixture.fail_next_sync() {
        return Verdict::Partly("the fixture cannot fail a sync");
    }
    let ticket = ok(log.append(Record::new(&[b"fails"])), "appending", DUTY);
    match within(patience, move || ticket.wait()) {
        Some(Err(LogError::Poisoned { .. })) => {}
        Some(other) => panic!("{DUTY}: after a failed sync wait() gave {other:?}"),
        None => panic!("{DUTY}: after a failed sync wait() did not return within {patience:?}"),
    }
    drop(log);

    let mut fixture = make();
    let log = open(&mut fixture, DUTY);
    if !fixture.hold_syncs() {
        return Verdict::Partly("the fixture cannot hold a sync");
    }
    let tickets: Vec<_> = (0..3).map(|_| log.append(Record::new(&[b"dies"]))).collect();
    let Some(log) = crash(&mut fixture, log, LOSE_UNSYNCED, DUTY) else {
        return Verdict::Partly("the fixture cannot let the log die");
    };
    for ticket in tickets {
        // Whichever way: that Ok would be a lie here is for duty 1 to find.
        outcome(ok(ticket, "appending while a sync is held", DUTY), patience, DUTY).ok();
    }
    keep(&log, b"usable", patience, DUTY);
    Verdict::Checked
}

/// Duty 3 of `Ticket`: dropped before it resolves, polled or not, it takes nothing away.
pub fn ticket_duty_3_dropping_withdraws_nothing<F: LogFixture>(make: &dyn Fn() -> F) -> Verdict {
    const DUTY: &str = "Ticket duty 3 (dropping it withdraws nothing)";
    let mut fixture = make();
    let patience = fixture.patience();
    let log = open(&mut fixture, DUTY);
    let held = fixture.hold_syncs();
    let mut expected = Vec::new();
    let mut refused = 0;
    for number in 1..31 {
        let bytes = payload(number, 100);
        match log.append(Record::new(&[&bytes])) {
            Ok(mut ticket) if number % 2 == 0 => drop(poll_once(&mut ticket)),
            Ok(ticket) => drop(ticket),
            Err(_) => refused += 1,
        }
        expected.push((number, bytes));
    }
    fixture.release_syncs();
    assert_eq!(refused, 0, "{DUTY}: appending was refused");
    expected.push((keep(&log, b"kept", patience, DUTY), b"kept".to_vec()));
    same(&read_all(&log, DUTY), &expected, &format!("{DUTY}: the records of dropped tickets"));
    if held { Verdict::Checked } else { Verdict::Partly("the fixture cannot hold a sync") }
}

fn poll_once<T: Ticket>(ticket: &mut T) -> Option<Result<Lsn, LogError>> {
    match Pin::new(ticket).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}
