//! Entry points for bytes that no log wrote, shared by the fuzz targets (`crates/wal/fuzz`) and the tests that replay them.
//! They know nothing of the layout: whatever the bytes, a log opens and tells the same twice, or refuses.

use std::{sync::OnceLock, time::Duration};

use standpipe_testkit::MemStorage;
use standpipe_wal::{Entropy, Log, LogError, Reader, Record, Settings, Ticket, Wal, inspect};

/// The most bytes of one input that are looked at.
pub const INPUT_BYTES_MAX: usize = 128 << 10;

type Records = Vec<(u64, Vec<u8>)>;

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Opening or reading said that something is wrong.
    Refused,
    /// It opened, and this many records were read.
    Opened(usize),
}

/// Settings whose incarnations are the same in every process, so that an input means the same wherever it is tried.
pub fn settings(life: u128) -> Settings {
    let next = std::sync::atomic::AtomicU64::new(1);
    let entropy = Entropy::new(move || {
        let number = u128::from(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        (life << 64 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    });
    Settings {
        segment_bytes: 16 << 10,
        record_bytes_max: 64 << 10,
        size_bytes_max: 64 << 20,
        idle_proof: None,
        // The same input, the same calls.
        segment_ahead: false,
        entropy,
        ..Settings::default()
    }
}

/// A valid log of several segments with pins, a batch, a gap, text that compresses and an empty record; closed, or killed.
pub fn valid(closed: bool) -> MemStorage {
    static CLOSED: OnceLock<MemStorage> = OnceLock::new();
    static KILLED: OnceLock<MemStorage> = OnceLock::new();
    let place = if closed { &CLOSED } else { &KILLED };
    place.get_or_init(|| make(closed).unwrap_or_else(|error| panic!("the sample: {error}"))).process_killed()
}

fn make(closed: bool) -> Result<MemStorage, LogError> {
    let disk = MemStorage::new();
    let log = Wal::open_in(disk.clone(), settings(1))?;
    log.pin(b"schema", b"a bigint, b text")?.wait()?;
    let text = |number: u32, len: usize| format!("record {number} says the same; ").repeat(len / 24 + 1);
    for number in 0..9 {
        log.append(Record::new(&[text(number, 40 << (number % 7)).as_bytes()]))?.wait()?;
    }
    let noise: Vec<u8> = (0..9000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for part in noise.chunks(3000) {
        log.append(Record::new(&[part]))?.wait()?;
    }
    let parts: [&[u8]; 3] = [b"one", b"", b"three"];
    let several: Vec<[&[u8]; 1]> = parts.iter().map(|part| [*part]).collect();
    let records: Vec<Record<'_>> = several.iter().map(|parts| Record::new(parts)).collect();
    log.append_batch(&records)?.wait()?;
    log.advance_to(standpipe_wal::Lsn::new(100))?;
    log.pin(b"floor", b"7")?.wait()?;
    log.append(Record::new(&[text(20, 300).as_bytes(), b"and a part"]))?.wait()?;
    if closed {
        log.close()?;
    }
    let image = disk.process_killed();
    disk.power_off();
    Ok(image)
}

/// The segments, oldest first.
pub fn segments(disk: &MemStorage) -> Vec<String> {
    disk.names().into_iter().filter(|name| name.ends_with(".wal")).collect()
}

/// Puts a file in the place of whatever has its name. It is as long as what is reserved at once, for a log takes shorter ones for
/// cut off.
fn put(disk: &MemStorage, name: &str, bytes: &[u8]) {
    if !disk.shorten(name, 0) {
        let _ = standpipe_log::Storage::create(disk, name);
    }
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(16 << 10), 0);
    disk.damage(name, 0, &bytes);
}

/// A valid log whose last segment's file has these bytes.
pub fn last_segment(bytes: &[u8]) -> Seen {
    let disk = valid(false);
    let Some(last) = segments(&disk).pop() else { return Seen::Refused };
    put(&disk, &last, &bytes[..bytes.len().min(INPUT_BYTES_MAX)]);
    read_back(&disk)
}

/// A directory as it is described: for each file a byte for its number, a byte for what kind of name, two bytes for its
/// length, and its contents.
pub fn directory(bytes: &[u8]) -> Seen {
    let disk = MemStorage::new();
    let mut rest = &bytes[..bytes.len().min(INPUT_BYTES_MAX)];
    for _ in 0..8 {
        let Some((head, after)) = rest.split_first_chunk::<4>() else { break };
        let sequence = if head[0] == u8::MAX { u64::MAX } else { u64::from(head[0]) };
        let ending = ["wal", "wal.new", "wal.free", "txt"][usize::from(head[1] % 4)];
        let len = usize::from(u16::from_le_bytes([head[2], head[3]])).min(after.len());
        put(&disk, &format!("{sequence:020}.{ending}"), &after[..len]);
        rest = &after[len..];
    }
    read_back(&disk)
}

/// The description of a directory, for [`directory`].
pub fn describe(disk: &MemStorage) -> Vec<u8> {
    let mut out = Vec::new();
    for name in segments(disk) {
        let sequence = name.trim_start_matches('0').split('.').next().and_then(|digits| digits.parse().ok());
        let mut contents = disk.contents(&name).unwrap_or_default();
        contents.truncate(usize::from(u16::MAX));
        out.extend([sequence.unwrap_or(0_u8), 0]);
        out.extend((contents.len() as u16).to_le_bytes());
        out.extend(contents);
    }
    out
}

/// A valid log with edits: a byte that chooses the log, then eight bytes for each edit.
pub fn mutated(bytes: &[u8]) -> Seen {
    let Some((first, edits)) = bytes.split_first() else { return Seen::Refused };
    let disk = valid(first & 1 == 1);
    let names = segments(&disk);
    for edit in edits.chunks_exact(8).take(64) {
        let [op, file, low, high, a, b, c, d] = *edit else { break };
        let name = &names[usize::from(file) % names.len()];
        let contents = disk.contents(name).unwrap_or_default();
        if contents.is_empty() {
            continue;
        }
        let at = usize::from(u16::from_le_bytes([low, high])) % contents.len();
        let piece = |from: usize, len: usize| contents[from..contents.len().min(from + len)].to_vec();
        let other = usize::from(u16::from_le_bytes([a, b]));
        match op % 9 {
            0 => put_at(&disk, name, at, &[contents[at] ^ a.max(1)]),
            1 => put_at(&disk, name, at / 4 * 4, &[a, b, c, d]),
            2 => put_at(&disk, name, at / 8 * 8, &[a; 8]),
            3 => put_at(&disk, name, at / 512 * 512, &[0; 512]),
            4 => put_at(&disk, name, at / 8 * 8, &piece(other / 8 * 8 % contents.len(), 64 + usize::from(c))),
            5 => put_at(&disk, name, at / 4096 * 4096, &piece(other / 4096 * 4096 % contents.len(), 4096)),
            6 => {
                let from = disk.contents(&names[usize::from(c) % names.len()]).unwrap_or_default();
                let start = (other / 4096 * 4096).min(from.len());
                put_at(&disk, name, at / 4096 * 4096, &from[start..from.len().min(start + 4096)]);
            }
            7 => {
                disk.shorten(name, at as u64);
            }
            // A file that is gone.
            _ if d == 0 => {
                let _ = standpipe_log::Storage::remove(&disk, name);
            }
            _ => {}
        }
    }
    read_back(&disk)
}

fn put_at(disk: &MemStorage, name: &str, at: usize, bytes: &[u8]) {
    disk.damage(name, at as u64, bytes);
}

/// Inspects, opens, reads, appends, and opens again, which must show the same.
pub fn read_back(disk: &MemStorage) -> Seen {
    let _ = inspect(disk);
    let Ok(log) = Wal::open_in(disk.clone(), settings(2)) else { return Seen::Refused };
    let Ok(mut records) = read(&log) else { return Seen::Refused };
    let seen = Seen::Opened(records.len());
    let pins = log.pinned();
    // Hostile numbers may leave no room for one more.
    let Ok(lsn) = log.append(Record::new(&[b"one more"])).and_then(Ticket::wait) else { return seen };
    records.push((lsn.number(), b"one more".to_vec()));
    drop(log);
    let log = match Wal::open_in(disk.clone(), settings(3)) {
        Ok(log) => log,
        Err(error) => panic!("it opened, and does not open again: {error}"),
    };
    let again = match read(&log) {
        Ok(again) => again,
        Err(error) => panic!("{} records were read, and another opening says: {error}", records.len()),
    };
    let brief = |records: &Records| {
        let of = |record: &(u64, Vec<u8>)| (record.0, record.1.len());
        records.iter().map(of).collect::<Vec<_>>()
    };
    assert!(again == records, "another opening shows {:?}, not {:?}", brief(&again), brief(&records));
    assert_eq!(log.pinned(), pins, "another opening has other pins");
    seen
}

fn read(log: &Wal<MemStorage>) -> Result<Records, LogError> {
    let mut reader = log.follow(log.start())?;
    let mut out = Records::new();
    while let Some(entry) = reader.next(Duration::ZERO)? {
        let number = entry.lsn.number();
        assert!(out.last().is_none_or(|last| last.0 < number), "numbers out of order");
        out.push((number, entry.payload.to_vec()));
    }
    Ok(out)
}
