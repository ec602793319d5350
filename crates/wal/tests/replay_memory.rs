//! What a replay and a typed append allocate. Alone in its file: allocations are counted for the whole process.
#![allow(clippy::unwrap_used)]

mod common;

use common::small;
use standpipe_harness::{Allocations, Counting};
use standpipe_wal::{Codec, CodecError, Durability, Key, Log, Lsn, Record, Settings, Ticket, Typed, Wal};
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RECORDS: u64 = 20_000;

struct Numbers;

impl Codec<[u64; 8]> for Numbers {
    fn encode(&self, value: &[u64; 8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        value.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        Ok(())
    }

    fn decode(&self, _: &[u8]) -> Result<[u64; 8], CodecError> {
        Err(CodecError::malformed("not wanted here"))
    }
}

#[test]
fn neither_replaying_nor_a_typed_append_allocates_for_each_record() {
    let place = tempfile::tempdir().unwrap();
    let settings =
        Settings { segment_bytes: 64 << 20, size_bytes_max: 1 << 30, durability: Durability::Os, ..small() };
    let log = Wal::open(place.path(), settings.clone()).unwrap();
    let mut last = None;
    for _ in 0..RECORDS {
        last = Some(log.append(Record::new(&[&[7; 200]])).unwrap());
    }
    last.take().unwrap().wait().unwrap();
    drop(log);

    let recovering = Wal::recover(place.path(), settings).unwrap();
    let counted = |replay: &dyn Fn() -> u64| {
        let before = Allocations::so_far();
        assert_eq!(replay(), RECORDS);
        before.since().count
    };
    let replay = |workers| recovering.replay(Lsn::FIRST).workers(workers);
    let each = |workers| counted(&|| replay(workers).each(|_| Ok::<(), &str>(())).unwrap().records);
    let (alone, ahead) = (each(1), each(3));
    let batches = counted(&|| replay(1).batches(|_| Ok::<(), &str>(())).unwrap().records);
    let keyed = counted(&|| {
        let key_of = |entry: &standpipe_wal::Entry<'_>| Some(Key::from(entry.lsn.number()));
        replay(3).by_key(key_of, |_| Ok::<(), &str>(())).unwrap().records
    });
    println!(
        "allocations for {RECORDS} records: each {alone}, with helpers {ahead}, batches {batches}, by key {keyed}"
    );
    assert!(alone < 40 && ahead < 400 && batches < 80 && keyed < 1000, "{alone} {ahead} {batches} {keyed}");

    let typed = Typed::new(Arc::new(recovering.finish()), Numbers);
    let append = |count: u64| {
        let before = Allocations::so_far();
        for number in 0..count {
            typed.append(&[number; 8]).unwrap().wait().unwrap();
        }
        before.since().count
    };
    append(1000);
    let typed = append(5000);
    println!("allocations for 5000 typed appends: {typed}");
    assert!(typed < 500, "{typed}");
}
