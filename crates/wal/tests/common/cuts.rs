//! A machine with a log on it, watched at every call: before each call that changes the disk the power goes in many ways,
//! and the log is opened on what is left.

use std::{
    collections::HashSet,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use standpipe_log::Storage;
use standpipe_testkit::{Call, CallKind, Cut, MemStorage};
use standpipe_wal::{Log, LogError, Lsn, Record, Settings, Ticket, Wal, WalTicket};

use super::{
    append, counting, open, read_all, small,
    truth::{Truth, set},
};

/// How long a sync is held so that another group may be written meanwhile. Nothing fails when none is.
const HELD: Duration = Duration::from_millis(20);
/// Of this many images one is opened with the power going at every call of that opening.
const RECOVERED: usize = 120;

type Batch = Vec<Vec<u8>>;

#[derive(Default)]
pub struct Tally {
    pub points: usize,
    /// Distinct ones.
    pub images: HashSet<u64>,
    pub opened: usize,
    /// Cuts during an opening.
    pub recoveries: usize,
    /// Points at which a write came while a sync was in flight.
    pub overlapping: usize,
    pub wrong: Vec<String>,
    /// The disk is full on purpose.
    is_full: bool,
}

/// One machine.
pub struct World<S: Storage> {
    pub disk: MemStorage,
    pub truth: Arc<Mutex<Truth>>,
    pub tally: Arc<Mutex<Tally>>,
    wrap: fn(MemStorage) -> S,
    gate: Arc<Gate>,
    log: Option<Wal<S>>,
    settings: Settings,
    most: usize,
    /// Calls that changed disks which are no longer.
    changes: usize,
    opened: u64,
}

impl<S: Storage> World<S> {
    /// At most `most` images at each point.
    pub fn new(wrap: fn(MemStorage) -> S, segment_bytes: u64, most: usize) -> Self {
        let mut world = World {
            disk: MemStorage::new(),
            truth: Arc::default(),
            tally: Arc::default(),
            wrap,
            gate: Arc::default(),
            log: None,
            settings: Settings { segment_bytes, ..small() },
            most,
            changes: 0,
            opened: 0,
        };
        world.watch();
        world
    }

    /// Segments are made ahead of their time, by a thread of the log.
    pub fn ahead(mut self) -> Self {
        self.settings.segment_ahead = true;
        self
    }

    fn watch(&mut self) {
        let (disk, truth, tally) = (self.disk.clone(), self.truth.clone(), self.tally.clone());
        let (gate, most) = (self.gate.clone(), self.most);
        self.disk.on_call(move |call| {
            if call.kind.changes_disk() {
                // In this order: while somebody looks, nobody else comes as far as to change the disk by more than one call,
                // of which the truth knows.
                let mut tally = tally.lock().unwrap();
                let truth = truth.lock().unwrap().clone();
                tally.overlapping += usize::from(call.kind == CallKind::WriteAt && gate.is_held());
                survey(&disk, &truth, &mut tally, most, &format!("before call {call:?}"));
            }
            gate.pass(call);
        });
    }

    pub fn open(&mut self) {
        self.log = None;
        self.opened += 1;
        let settings = Settings { entropy: counting(self.opened << 20), ..self.settings.clone() };
        let log = Wal::open_in((self.wrap)(self.disk.clone()), settings).unwrap();
        let left = read_all(&log).unwrap();
        let pins = log.pinned().into_iter().collect();
        let mut truth = self.truth.lock().unwrap();
        truth.check(&left, &pins).unwrap();
        let floor = truth.floor;
        let kept = left.into_iter().collect();
        *truth = Truth { id: Some(log.identity()), kept, floor, pins, ..Truth::default() };
        self.log = Some(log);
    }

    pub fn log(&self) -> &Wal<S> {
        self.log.as_ref().unwrap()
    }

    pub fn close(&mut self) {
        self.log = None;
    }

    /// The process dies; what it wrote and did not sync stays in the cache.
    pub fn kill(&mut self) {
        let left = self.disk.process_killed();
        self.changes += self.changes_of_disk();
        self.disk.power_off();
        self.log = None;
        self.disk = left;
        self.watch();
    }

    fn changes_of_disk(&self) -> usize {
        self.disk.trace().iter().filter(|call| call.kind.changes_disk()).count()
    }

    /// Appends batches at once and waits for all of them. Whether all were acknowledged.
    pub fn append(&self, batches: &[Batch]) -> bool {
        self.queue(batches).into_iter().map(|coming| self.settle(coming)).fold(true, |all, one| all & one)
    }

    /// Appends group after group, each while the one before is being synced. Whether all were acknowledged.
    pub fn pipelined(&self, groups: &[Vec<Batch>]) -> bool {
        self.gate.arm(true);
        std::thread::scope(|scope| {
            let waiters: Vec<_> = groups
                .iter()
                .map(|group| {
                    let seen = self.gate.syncs();
                    let coming = self.queue(group);
                    let waiter = scope.spawn(move || {
                        coming.into_iter().map(|coming| self.settle(coming)).fold(true, |all, one| all & one)
                    });
                    self.gate.await_sync(seen);
                    waiter
                })
                .collect();
            self.gate.arm(false);
            waiters.into_iter().map(|waiter| waiter.join().unwrap()).fold(true, |all, one| all & one)
        })
    }

    fn queue(&self, batches: &[Batch]) -> Vec<(u64, Batch, Result<WalTicket, LogError>)> {
        let mut out = Vec::new();
        for payloads in batches {
            let first = self.log().end().number();
            self.truth.lock().unwrap().coming.push((first, payloads.clone()));
            let parts: Vec<[&[u8]; 1]> = payloads.iter().map(|payload| [payload.as_slice()]).collect();
            let records: Vec<Record<'_>> = parts.iter().map(|parts| Record::new(parts)).collect();
            out.push((first, payloads.clone(), self.log().append_batch(&records)));
        }
        out
    }

    fn settle(&self, (first, payloads, ticket): (u64, Batch, Result<WalTicket, LogError>)) -> bool {
        let was_refused_at_once = ticket.is_err();
        let outcome = ticket.and_then(Ticket::wait);
        let mut truth = self.truth.lock().unwrap();
        // A call that was refused took no number: the next one has the same.
        let same = |coming: &(u64, Batch)| coming.0 == first && coming.1 == payloads;
        let at = truth.coming.iter().position(same).unwrap();
        match outcome {
            Ok(last) => {
                assert_eq!(last.number() + 1 - payloads.len() as u64, first);
                truth.coming.remove(at);
                truth.kept.extend((first..).zip(payloads));
                true
            }
            Err(LogError::Full { .. }) => {
                truth.coming.remove(at);
                false
            }
            Err(LogError::Poisoned { .. }) => {
                if was_refused_at_once {
                    truth.coming.remove(at);
                }
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub fn pin(&self, key: &[u8], value: &[u8]) {
        self.truth.lock().unwrap().coming_pins.push((key.to_vec(), value.to_vec()));
        self.log().pin(key, value).unwrap().wait().unwrap();
        let mut truth = self.truth.lock().unwrap();
        let (key, value) = truth.coming_pins.remove(0);
        set(&mut truth.pins, &key, &value);
    }

    pub fn truncate(&self, lsn: Lsn) {
        self.truth.lock().unwrap().floor = lsn.number();
        self.log().truncate_before(lsn).unwrap();
    }

    /// Leaves this much room on the disk, or all the room there is.
    pub fn room(&self, bytes: Option<u64>) {
        self.disk.capacity(bytes.map_or(u64::MAX, |bytes| self.disk.used_bytes() + bytes));
        self.tally.lock().unwrap().is_full = bytes.is_some();
    }

    /// The last point, and whether every point was tried.
    pub fn finish(mut self) -> Tally {
        self.close();
        let truth = self.truth.lock().unwrap().clone();
        let mut tally = std::mem::take(&mut *self.tally.lock().unwrap());
        survey(&self.disk, &truth, &mut tally, self.most, "at the end");
        let changes = self.changes + self.changes_of_disk() + 1;
        assert!(tally.points >= changes, "{} of {changes} points were tried", tally.points);
        tally
    }
}

/// Tries every way in which the power can go now.
fn survey(disk: &MemStorage, truth: &Truth, tally: &mut Tally, most: usize, what: &str) {
    tally.points += 1;
    if !tally.wrong.is_empty() {
        return;
    }
    for (cut, image) in disk.images(most) {
        if !tally.images.insert(fingerprint(&image)) {
            continue;
        }
        let what = format!("{what}, {cut:?}");
        if tally.is_full {
            tally.wrong.extend(examine_full(&image, truth, &what).err());
        }
        image.capacity(u64::MAX);
        if tally.images.len() % RECOVERED == 1 {
            tally.recover(&image, truth, &what);
        }
        tally.wrong.extend(examine(&image, truth, &what).err());
        tally.opened += 1;
    }
}

impl Tally {
    /// Lets the power go again at every call of the recovery itself.
    fn recover(&mut self, image: &MemStorage, truth: &Truth, what: &str) {
        let whole = image.process_killed();
        let Ok(log) = open(&whole) else { return };
        let calls = whole.calls();
        drop(log);
        for last in 0..calls {
            let half = image.process_killed();
            half.stop_after(last);
            let _ = open(&half);
            for cut in half.cuts(4) {
                let cut_again = half.power_cut(cut);
                self.recoveries += 1;
                self.images.insert(fingerprint(&cut_again));
                let what = format!("{what}, again after call {last} of opening, {cut:?}");
                self.wrong.extend(examine(&cut_again, truth, &what).err());
            }
        }
    }
}

/// Opens what is left, checks it, goes on with it, and checks that too.
pub fn examine(image: &MemStorage, truth: &Truth, what: &str) -> Result<(), String> {
    let said = |error: LogError| format!("{what}: {error}");
    let log = open(image).map_err(said)?;
    if truth.id.is_some_and(|id| id != log.identity()) {
        return Err(format!("{what}: another identity"));
    }
    let left = read_all(&log).map_err(said)?;
    truth.check(&left, &log.pinned().into_iter().collect()).map_err(|wrong| format!("{what}: {wrong}"))?;
    let highest = left.last().map_or(0, |record| record.0);
    let next = append(&log, b"after the cut").map_err(said)?;
    if next.number() <= highest.max(truth.floor.saturating_sub(1)) {
        return Err(format!("{what}: number {next} was given again"));
    }
    let mut expected = left;
    expected.push((next.number(), b"after the cut".to_vec()));
    // Once more, without a close, and with all that the last opening did not sync lost.
    let again = open(&image.power_cut(Cut::LoseUnsynced)).map_err(said)?;
    if read_all(&again).map_err(said)? != expected {
        return Err(format!("{what}: opening twice gives something else"));
    }
    Ok(())
}

/// On a full disk opening may be refused for want of room, and for nothing else; what it shows is right.
fn examine_full(image: &MemStorage, truth: &Truth, what: &str) -> Result<(), String> {
    let log = match open(&image.process_killed()) {
        Ok(log) => log,
        Err(LogError::Full { .. }) => return Ok(()),
        Err(LogError::Io { error, .. }) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
        Err(error) => return Err(format!("{what}, still full: {error}")),
    };
    let left = read_all(&log).map_err(|error| format!("{what}, still full: {error}"))?;
    truth
        .check(&left, &log.pinned().into_iter().collect())
        .map_err(|wrong| format!("{what}, still full: {wrong}"))
}

/// Tells images apart.
pub fn fingerprint(image: &MemStorage) -> u64 {
    image.names().iter().fold(0, |print: u64, name| {
        let contents = image.contents(name).unwrap_or_default();
        let sum = u64::from(crc32c::crc32c(name.as_bytes())) << 32 | u64::from(crc32c::crc32c(&contents));
        print.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ sum
    })
}

/// Holds a sync until another write comes, so that groups overlap where the log can overlap them.
#[derive(Default)]
struct Gate {
    state: Mutex<Passing>,
    moved: Condvar,
}

#[derive(Default)]
struct Passing {
    is_armed: bool,
    syncs: u64,
    writes: u64,
    held: usize,
}

impl Gate {
    fn arm(&self, armed: bool) {
        self.state.lock().unwrap().is_armed = armed;
        self.moved.notify_all();
    }

    fn syncs(&self) -> u64 {
        self.state.lock().unwrap().syncs
    }

    fn is_held(&self) -> bool {
        self.state.lock().unwrap().held > 0
    }

    fn await_sync(&self, seen: u64) {
        let state = self.state.lock().unwrap();
        let _ = self.moved.wait_timeout_while(state, 5 * HELD, |state| state.syncs == seen).unwrap();
    }

    fn pass(&self, call: &Call) {
        let mut state = self.state.lock().unwrap();
        match call.kind {
            CallKind::WriteAt => state.writes += 1,
            CallKind::SyncData if state.is_armed => {
                state.syncs += 1;
                state.held += 1;
                let writes = state.writes;
                self.moved.notify_all();
                let waits = |state: &mut Passing| state.is_armed && state.writes == writes;
                state = self.moved.wait_timeout_while(state, HELD, waits).unwrap().0;
                state.held -= 1;
            }
            _ => {}
        }
        drop(state);
        self.moved.notify_all();
    }
}
