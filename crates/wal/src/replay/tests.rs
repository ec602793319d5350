//! What only forged frames show: whole by their checksums, and wrong all the same.

use std::{convert::Infallible, sync::Arc};

use standpipe_log::{Log, LogError, Lsn, Record, Storage, Ticket};
use standpipe_testkit::MemStorage;

use super::{Recovering, ReplayError};
use crate::{
    Entropy, Settings, Wal,
    cursor::{Cursor, Step},
    frame::{self, Stamp},
    segment::{self, Header},
};

type Read = (Vec<(Lsn, Vec<u8>)>, Result<(), ReplayError<Infallible>>);

/// Several segments of small frames, ready to be replayed.
fn recovering() -> (MemStorage, Recovering<MemStorage>) {
    let disk = MemStorage::new();
    let numbers = Arc::new(std::sync::atomic::AtomicU64::new(1));
    let entropy = Entropy::new(move || {
        let number = numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    });
    let settings = Settings {
        segment_bytes: 256 << 10,
        segment_ahead: false,
        idle_proof: None,
        entropy,
        ..Settings::default()
    };
    let log = Wal::open_in(disk.clone(), settings.clone()).unwrap();
    log.advance_to(Lsn::new(100)).unwrap();
    while disk.names().len() < 2 || log.end().number() < 380 {
        let payload = [log.end().number() as u8; 300];
        log.append(Record::new(&[&payload])).unwrap().wait().unwrap();
    }
    drop(log);
    let recovering = Wal::recover_in(disk.clone(), settings).unwrap();
    (disk, recovering)
}

/// Everything, by so many threads; and whether they had no doubts.
fn read(recovering: &Recovering<MemStorage>, workers: usize) -> (Read, bool) {
    let (mut records, mut is_ahead) = (Vec::new(), false);
    let replay = recovering.replay(recovering.start()).workers(workers).block(4096);
    let ended = replay.run(|_, feed, _| {
        let ended = loop {
            let mut frame = match feed.frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break Ok(()),
                Err(error) => break Err(ReplayError::Log(error)),
            };
            while let Some(Ok(item)) = frame.walk.next(frame.payload) {
                if let crate::record::Item::Data { lsn, bytes } = item {
                    records.push((lsn, frame.payload[bytes].to_vec()));
                }
            }
        };
        is_ahead = feed.is_ahead();
        ended
    });
    ((records, ended.map(|_| ())), is_ahead)
}

/// Writes the frames of a segment anew from the `at`th on, the first of them with what `change` makes of it, and each
/// with the checksum that is then right. Returns how many frames there are.
fn forge(disk: &MemStorage, name: &str, at: usize, change: impl Fn(&mut Stamp, &mut [u8])) -> usize {
    let header = Header::decode(&disk.contents(name).unwrap()).unwrap();
    let file = disk.open(name).unwrap();
    let mut cursor = Cursor::new(header.incarnation, Lsn::new(0));
    let mut frames = Vec::new();
    loop {
        let offset = cursor.offset;
        let Ok(Step::Frame(frame)) = cursor.step(&file, header.length) else { break };
        frames.push((offset, frame, cursor.payload().to_vec()));
    }
    let mut chain = segment::seed(header.incarnation);
    for (number, (offset, header_of, payload)) in frames.iter().enumerate() {
        let mut bytes = vec![0; frame::HEADER_BYTES];
        bytes.extend_from_slice(payload);
        let mut stamp = Stamp {
            codec: header_of.codec,
            flags: header_of.flags,
            records: header_of.records,
            base: header_of.base,
            previous: chain,
            proven: header_of.proven,
        };
        if number == at {
            change(&mut stamp, &mut bytes[frame::HEADER_BYTES..]);
        }
        chain = frame::seal(&mut bytes, header.seed(), stamp, *offset);
        if number >= at {
            disk.damage(name, *offset, &bytes);
        }
    }
    frames.len()
}

fn corrupt(read: &Read) -> (String, u64, Lsn, String) {
    match &read.1 {
        Err(ReplayError::Log(LogError::Corrupt { segment, offset, lsn, what })) => {
            (segment.clone(), *offset, *lsn, what.clone())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sound_log_raises_no_doubts() {
    let (_, recovering) = recovering();
    let (alone, _) = read(&recovering, 1);
    for workers in [2, 3, 8] {
        let (ahead, is_ahead) = read(&recovering, workers);
        assert!(is_ahead, "{workers} workers came to doubt a sound log");
        assert!(alone.0 == ahead.0 && ahead.1.is_ok());
    }
    assert_eq!(alone.0.len(), 280);
}

#[test]
fn numbers_that_go_back_are_found_wherever_a_block_ends() {
    let (disk, sound) = recovering();
    let name = disk.names()[0].clone();
    let frames = forge(&disk, &name, usize::MAX, |_, _| {});
    assert!(frames > 40);
    drop(sound);
    // Behind the first frame, the end of its page, and the gap.
    for at in 3..frames - 1 {
        let (disk, recovering) = recovering();
        forge(&disk, &name, at, |stamp, _| stamp.base = Lsn::new(stamp.base.number() - 3));
        let (alone, _) = read(&recovering, 1);
        let (ahead, is_ahead) = read(&recovering, 3);
        assert_eq!(corrupt(&alone), corrupt(&ahead), "frame {at}");
        assert!(corrupt(&alone).3.contains("numbers") && alone.0 == ahead.0 && !is_ahead);
    }
}

#[test]
fn a_segment_that_ends_otherwise_than_its_successor_says_is_found() {
    let (disk, recovering) = recovering();
    let name = disk.names()[0].clone();
    forge(&disk, &name, 5, |_, payload| payload[100] ^= 1);
    let (alone, _) = read(&recovering, 1);
    let (ahead, is_ahead) = read(&recovering, 3);
    assert_eq!(corrupt(&alone), corrupt(&ahead));
    assert!(corrupt(&alone).3.contains("successor") && alone.0 == ahead.0 && !is_ahead);
}
