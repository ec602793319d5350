//! Files that are right by every checksum and that no log wrote: refused by name, by all who read them, in bounded memory.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    alloc::{self, Watched},
    mended::mend,
    open, read_all,
};
use standpipe_log::Storage as _;
use standpipe_testkit::MemStorage;
use standpipe_wal::{LogError, Part, Repaired, dump, verify};

#[global_allocator]
static ALLOCATOR: Watched = Watched;

const RESTATES: u8 = 1;
const NO_RECORDS: u8 = 2;
const CLOSED: u8 = 4;
const GROUP_END: u8 = 8;
const LZ4: u8 = 1;

/// A segment, made by hand.
struct Segment {
    disk: MemStorage,
    name: String,
    seed: u32,
    at: u64,
    chain: u32,
}

/// The fields of a header that a test changes.
struct Fields {
    flags: u32,
    sequence: u64,
    length: u64,
    born_end: u64,
    file_bytes: u64,
}

const PLAIN: Fields = Fields { flags: 0, sequence: 1, length: 65_536, born_end: 4096, file_bytes: 65_536 };

impl Segment {
    fn new(disk: &MemStorage, fields: &Fields) -> Self {
        let incarnation = 0x1111 * fields.sequence;
        let mut header = b"standwal".to_vec();
        header.extend(2u32.to_le_bytes());
        header.extend(fields.flags.to_le_bytes());
        header.extend(77u128.to_le_bytes());
        let before = fields.sequence - 1;
        for field in
            [fields.sequence, incarnation, 0, fields.length, fields.born_end, before, before * 0x1111]
        {
            header.extend(field.to_le_bytes());
        }
        header.resize(4092, 0);
        header.extend(crc32c::crc32c(&header).to_le_bytes());
        let name = format!("{:020}.wal", fields.sequence);
        disk.create(&name).unwrap();
        header.resize(fields.file_bytes as usize, 0);
        disk.damage(&name, 0, &header);
        let seed = crc32c::crc32c(&incarnation.to_le_bytes());
        Segment { disk: disk.clone(), name, seed, at: 4096, chain: seed }
    }

    fn frame(&mut self, codec: u8, flags: u8, records: u32, base: u64, payload: &[u8]) {
        let mut bytes = vec![0xa3, 0xf7, codec, flags, 0, 0, 0, 0];
        bytes.extend((payload.len() as u32).to_le_bytes());
        bytes.extend(records.to_le_bytes());
        bytes.extend(base.to_le_bytes());
        bytes.extend(self.chain.to_le_bytes());
        bytes.extend(((self.at / 8) as u32).to_le_bytes());
        bytes.extend(payload);
        self.chain = crc32c::crc32c_append(crc32c::crc32c_append(self.seed, &bytes[..4]), &bytes[8..]);
        bytes[4..8].copy_from_slice(&self.chain.to_le_bytes());
        self.disk.damage(&self.name, self.at, &bytes);
        let unit = if flags & GROUP_END == 0 { 8 } else { 4096 };
        self.at = (self.at + bytes.len() as u64).next_multiple_of(unit);
    }

    /// One record.
    fn record(&mut self, lsn: u64) {
        self.frame(0, GROUP_END, 1, lsn, &record(1, b"good"));
    }

    fn first_frame(&mut self) {
        self.frame(0, RESTATES | GROUP_END, 0, 1, &[]);
    }

    /// The first frame of a segment that says where the one before it ends.
    fn link(&mut self, end: u64, lsn: u64, chain: u32) {
        self.frame(0, RESTATES | GROUP_END, 1, lsn, &link(end, lsn, chain));
    }
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u32).to_le_bytes().to_vec();
    out.extend([kind, 0, 0, 0]);
    out.extend(body);
    out
}

fn link(end: u64, lsn: u64, chain: u32) -> Vec<u8> {
    let mut body = end.to_le_bytes().to_vec();
    body.extend(lsn.to_le_bytes());
    body.extend(chain.to_le_bytes());
    body.extend([0; 4]);
    record(4, &body)
}

/// One record of so many zeros, as an LZ4 block: its header, and a match of all the rest.
fn bomb(bytes: u32) -> Vec<u8> {
    let mut out = (bytes + 8).to_le_bytes().to_vec();
    out.push(0x8f);
    out.extend(bytes.to_le_bytes());
    out.extend([1, 0, 0, 0]);
    out.extend([1, 0]);
    let more = bytes - 5 - 19;
    out.extend(std::iter::repeat_n(0xff, (more / 255) as usize));
    out.push((more % 255) as u8);
    out.extend([0x50, 0, 0, 0, 0, 0]);
    out
}

/// A log of one segment with a record, gone on with by hand.
fn log(fields: &Fields, more: impl FnOnce(&mut Segment)) -> MemStorage {
    let disk = MemStorage::new();
    let mut segment = Segment::new(&disk, fields);
    segment.first_frame();
    segment.record(1);
    more(&mut segment);
    disk
}

/// Opening, `verify` and `dump` refuse it, for a reason with these words in it.
fn refused(disk: &MemStorage, words: &str) -> Repaired {
    match open(&disk.process_killed()) {
        Err(LogError::Corrupt { what, .. }) => assert!(what.contains(words), "{what}"),
        other => panic!("{words}: opening says {other:?}"),
    }
    let found = verify(disk).unwrap();
    let told = found.inspection.damage.iter().any(|damage| damage.what.contains(words));
    assert!(told, "{words}: {:?}", found.inspection.damage);
    let mut last = 0;
    let shown = dump(disk, Part { skips_damage: true, ..Part::default() }, &mut |shown| {
        if let standpipe_wal::Shown::Record { lsn, .. } = shown {
            assert!(lsn.number() > last, "{words}: {lsn} is shown behind {last}");
            last = lsn.number();
        }
        std::ops::ControlFlow::Continue(())
    });
    shown.unwrap();
    let stopped = dump(disk, Part::default(), &mut |_| std::ops::ControlFlow::Continue(()));
    assert!(matches!(stopped, Err(LogError::Corrupt { .. })), "{words}: {stopped:?}");
    let (to, repaired) = mend(disk);
    assert!(verify(&to).unwrap().is_sound());
    repaired.unwrap()
}

#[test]
fn what_a_log_writes_is_read() {
    let disk = log(&PLAIN, |segment| segment.record(2));
    assert!(verify(&disk).unwrap().is_sound());
    assert_eq!(read_all(&open(&disk).unwrap()).unwrap().len(), 2);
}

#[test]
fn numbers_that_go_back_are_refused() {
    let disk = MemStorage::new();
    let mut first = Segment::new(&disk, &PLAIN);
    first.first_frame();
    first.record(50);
    let mut second = Segment::new(&disk, &Fields { sequence: 2, ..PLAIN });
    second.link(first.at, 7, first.chain);
    second.record(7);
    // Opening tells it by the first record that is beyond the end.
    assert!(matches!(open(&disk.process_killed()), Err(LogError::Corrupt { .. })));
    let found = verify(&disk).unwrap();
    assert!(found.inspection.damage[0].what.contains("does not end as its successor says"));
    let mut shown = Vec::new();
    let part = Part { skips_damage: true, ..Part::default() };
    dump(&disk, part, &mut |what| {
        if let standpipe_wal::Shown::Record { lsn, .. } = what {
            shown.push(lsn.number());
        }
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(shown, [50]);
    let (_, repaired) = mend(&disk);
    assert!(!repaired.unwrap().is_lossless(), "a record is left out");
}

#[test]
fn a_link_that_says_what_cannot_be_is_refused() {
    for (end, words) in [(0, "cannot end"), (4096, "cannot end"), (4100, "cannot end"), (8200, "")] {
        let disk = MemStorage::new();
        let mut first = Segment::new(&disk, &PLAIN);
        first.first_frame();
        first.record(1);
        let mut second = Segment::new(&disk, &Fields { sequence: 2, ..PLAIN });
        second.link(end, 2, 0);
        second.record(2);
        assert!(matches!(open(&disk.process_killed()), Err(LogError::Corrupt { .. })), "{end}");
        let found = verify(&disk).unwrap().inspection;
        assert!(found.damage.iter().any(|damage| damage.what.contains(words)), "{end}: {:?}", found.damage);
        if end <= 4100 {
            assert_eq!(mend(&disk).1.unwrap().records, 2, "{end}: the records themselves are sound");
        }
    }
    let late = |segment: &mut Segment| segment.frame(0, GROUP_END, 1, 2, &link(8192, 2, 0));
    refused(&log(&PLAIN, late), "not in the first frame");
    let inner = |segment: &mut Segment| {
        let payload = [record(1, b"good"), link(8192, 2, 0)].concat();
        segment.frame(0, GROUP_END, 2, 2, &payload);
    };
    refused(&log(&PLAIN, inner), "not the first record");
}

#[test]
fn nothing_follows_the_close() {
    let more = |segment: &mut Segment| {
        segment.frame(0, NO_RECORDS | CLOSED | GROUP_END, 0, 2, &[]);
        segment.record(2);
    };
    refused(&log(&PLAIN, more), "the log was closed");
    let with_records = |segment: &mut Segment| {
        segment.frame(0, CLOSED | GROUP_END, 1, 2, &record(1, b"good"));
    };
    refused(&log(&PLAIN, with_records), "flags make no sense");
}

#[test]
fn headers_that_no_log_writes_are_refused() {
    for fields in [
        Fields { length: 65_537, ..PLAIN },
        Fields { born_end: 4104, ..PLAIN },
        Fields { length: 17 << 30, ..PLAIN },
        Fields { born_end: 65_536 + 4096, ..PLAIN },
    ] {
        let disk = log(&fields, |_| {});
        assert!(matches!(open(&disk.process_killed()), Err(LogError::Corrupt { .. })));
        assert!(!verify(&disk).unwrap().is_sound());
    }
    // More is reserved, it says, than there is.
    let repaired = refused(&log(&Fields { length: 16 << 30, ..PLAIN }, |_| {}), "shorter than the space");
    assert!(repaired.records == 1 && repaired.next.number() > 1 << 31, "{repaired:?}");
    // Flags of a later version are named as such: this version's number is one that is read.
    let flagged = log(&Fields { flags: 4, ..PLAIN }, |_| {});
    let says = |error: Option<LogError>| match error {
        Some(LogError::Invalid(what)) => assert!(what.contains("flags in its header (0x4)"), "{what}"),
        other => panic!("{other:?}"),
    };
    says(open(&flagged).err());
    says(verify(&flagged).err());
    says(mend(&flagged).1.err());
    // There is no segment behind the last number.
    let last = MemStorage::new();
    let mut segment = Segment::new(&last, &PLAIN);
    segment.first_frame();
    let mut header = last.contents(&segment.name).unwrap()[..4092].to_vec();
    header[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
    header.extend(crc32c::crc32c(&header).to_le_bytes());
    last.damage(&segment.name, 0, &header);
    last.rename(&segment.name, "18446744073709551615.wal").unwrap();
    assert!(matches!(open(&last), Err(LogError::Corrupt { what, .. }) if what.contains("number is none")));
}

#[test]
fn a_segment_that_was_zeroed_has_lost_what_was_in_it() {
    // Its header proves no frame, as that of a segment that was made ahead of time, and it is the only one.
    let disk = MemStorage::new();
    Segment::new(&disk, &PLAIN);
    let repaired = refused(&disk, "no frame starts here");
    assert!(!repaired.is_lossless() && repaired.next.number() > 7000, "{repaired:?}");
}

#[test]
fn l14_a_small_file_that_decompresses_to_much_costs_no_memory() {
    let length = 1 << 20;
    let fields = Fields { length, file_bytes: length, ..PLAIN };
    // Sound in all else: a sixteenth of the limit is read.
    let sound = log(&fields, |segment| segment.frame(LZ4, GROUP_END, 1, 2, &bomb(4 << 20)));
    assert!(verify(&sound).unwrap().is_sound());
    let records = read_all(&open(&sound).unwrap()).unwrap();
    assert_eq!(records[1].1.len(), 4 << 20);
    drop((sound, records));
    let disk = log(&fields, |segment| segment.frame(LZ4, GROUP_END, 1, 2, &bomb(200 << 20)));
    alloc::forget();
    let repaired = refused(&disk, "longer than its segment");
    assert_eq!(repaired.records, 1);
    // The other tests of this file take up to 64 MiB, for a segment in memory.
    assert!(alloc::largest() < 128 << 20, "{} bytes at once", alloc::largest());
}
