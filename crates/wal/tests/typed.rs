//! Values instead of bytes.
#![allow(clippy::unwrap_used)]

mod common;

use std::{sync::Arc, time::Duration};

use common::{append, open};
use standpipe_testkit::{MemStorage, VecLog, VecStore};
use standpipe_wal::{Codec, CodecError, Log, LogError, Lsn, Ticket, Typed, TypedError};

/// Text without the letter that no one may write.
struct Text;

impl Codec<String> for Text {
    fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(value.as_bytes());
        if value.contains('\0') { Err(CodecError::unencodable("a zero")) } else { Ok(()) }
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, CodecError> {
        String::from_utf8(bytes.to_vec()).map_err(CodecError::malformed)
    }
}

#[test]
fn values_come_back_in_order() {
    let disk = MemStorage::new();
    let log = Typed::new(Arc::new(open(&disk).unwrap()), Text);
    let texts: Vec<String> = (0..50).map(|number| format!("text {number}")).collect();
    for text in &texts[..20] {
        log.append(text).unwrap().wait().unwrap();
    }
    let last = log.append_batch(&texts[20..]).unwrap().wait().unwrap();
    assert_eq!(last, Lsn::new(50));
    let mut reader = log.follow(Lsn::FIRST).unwrap();
    for (number, text) in (1..).zip(&texts) {
        assert_eq!(reader.next(Duration::ZERO).unwrap(), Some((Lsn::new(number), text.clone())));
    }
    assert_eq!(reader.next(Duration::ZERO).unwrap(), None);
    assert_eq!(reader.position(), Lsn::new(51));
}

#[test]
fn what_cannot_be_encoded_is_not_appended() {
    let disk = MemStorage::new();
    let log = Typed::new(Arc::new(open(&disk).unwrap()), Text);
    let bad = "a\0b".to_owned();
    assert!(matches!(log.append(&bad), Err(TypedError::Encode(CodecError::Unencodable(_)))));
    let several = ["good".to_owned(), bad];
    assert!(matches!(log.append_batch(&several), Err(TypedError::Encode(_))));
    assert!(matches!(log.append_batch(&[]), Err(TypedError::Log(LogError::Invalid(_)))));
    assert!(matches!(log.append(&"x".repeat(1 << 20)), Err(TypedError::Log(LogError::TooLarge { .. }))));
    assert_eq!(log.log().end(), Lsn::FIRST);
    assert_eq!(log.append(&"good".to_owned()).unwrap().wait().unwrap(), Lsn::FIRST);
    assert_eq!(log.follow(Lsn::FIRST).unwrap().next(Duration::ZERO).unwrap().unwrap().1, "good");
}

#[test]
fn a_record_that_is_no_value_is_named_and_passed_over() {
    let disk = MemStorage::new();
    let raw = Arc::new(open(&disk).unwrap());
    let log = Typed::new(raw.clone(), Text);
    log.append(&"one".to_owned()).unwrap().wait().unwrap();
    append(&*raw, &[0xff, 0xfe]).unwrap();
    log.append(&"three".to_owned()).unwrap().wait().unwrap();
    let mut reader = log.follow(Lsn::FIRST).unwrap();
    assert_eq!(reader.next(Duration::ZERO).unwrap().unwrap().1, "one");
    let refused = reader.next(Duration::ZERO).unwrap_err();
    assert!(
        matches!(refused, TypedError::Decode { lsn, error: CodecError::Malformed(_) } if lsn == Lsn::new(2))
    );
    assert_eq!(reader.next(Duration::ZERO).unwrap().unwrap(), (Lsn::new(3), "three".to_owned()));
}

/// Another log inside a codec: the thread's buffer is not handed out twice.
struct Nested(Typed<String, Text, VecLog>);

impl Codec<String> for Nested {
    fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(b"<");
        self.0.append(&format!("inner {value}")).map_err(CodecError::unencodable)?;
        out.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, CodecError> {
        Text.decode(bytes)
    }
}

#[test]
fn a_codec_may_append_elsewhere() {
    let inner = Arc::new(VecLog::open(&VecStore::new()).unwrap());
    let nested = Arc::new(VecLog::open(&VecStore::new()).unwrap());
    let log = Typed::new(nested.clone(), Nested(Typed::new(inner.clone(), Text)));
    log.append(&"value".to_owned()).unwrap().wait().unwrap();
    assert_eq!(common::read_all(&*nested).unwrap()[0].1, b"<value");
    assert_eq!(common::read_all(&*inner).unwrap()[0].1, b"inner value");
}

#[cfg(feature = "bincode")]
mod with_bincode {
    use super::*;
    use bincode::{Decode, Encode};
    use standpipe_testkit::Random;
    use standpipe_wal::Bincode;

    #[derive(Encode, Decode, PartialEq, Debug, Clone)]
    enum Change {
        Set { key: Vec<u8>, value: Option<String>, times: Vec<u64> },
        Remove(u32),
    }

    fn changes() -> Vec<Change> {
        let mut random = Random::new(1);
        (0..200)
            .map(|number| match random.below(3) {
                0 => Change::Remove(number),
                kind => Change::Set {
                    key: common::payload(u64::from(number), random.below(60) as usize),
                    value: (kind == 1).then(|| "ä".repeat(random.below(30) as usize)),
                    times: (0..random.below(40)).map(|_| random.next_u64() >> random.below(64)).collect(),
                },
            })
            .collect()
    }

    #[test]
    fn values_come_back_equal() {
        let disk = MemStorage::new();
        let log = Typed::new(Arc::new(open(&disk).unwrap()), Bincode::default());
        let changes = changes();
        log.append_batch(&changes[..100]).unwrap().wait().unwrap();
        for change in &changes[100..] {
            log.append(change).unwrap().wait().unwrap();
        }
        let mut reader = log.follow(Lsn::FIRST).unwrap();
        for change in &changes {
            assert_eq!(&reader.next(Duration::ZERO).unwrap().unwrap().1, change);
        }
    }

    #[test]
    fn l14_hostile_records_are_refused() {
        let mut random = Random::new(2);
        let (mut refused, mut believed) = (0, 0);
        for change in changes() {
            let mut bytes = Vec::new();
            Bincode::default().encode(&change, &mut bytes).unwrap();
            for cut in 0..bytes.len() {
                assert!(Codec::<Change>::decode(&Bincode::default(), &bytes[..cut]).is_err());
            }
            let mut longer = bytes.clone();
            longer.push(0);
            assert!(matches!(
                Codec::<Change>::decode(&Bincode::default(), &longer),
                Err(CodecError::Malformed(_))
            ));
            for _ in 0..20 {
                let at = random.below(bytes.len() as u64) as usize;
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << random.below(8);
                match Codec::<Change>::decode(&Bincode::default(), &flipped) {
                    Ok(_) => believed += 1,
                    Err(_) => refused += 1,
                }
            }
        }
        println!("flipped: refused {refused}, other values {believed}");
        // A length of 2^60, and one that the limit of the type alone would let through.
        let lengths: [&[u8]; 2] = [&[253, 0, 0, 0, 0, 0, 0, 0, 16], &[252, 0, 0, 0, 16]];
        for hostile in lengths {
            let decoded = Codec::<Vec<u64>>::decode(&Bincode::default(), hostile);
            assert!(matches!(decoded, Err(CodecError::TooLarge { limit_bytes: 4096 })), "{decoded:?}");
        }
        // What expands honestly can be let through.
        let absent: Vec<Option<[u64; 32]>> = vec![None; 1000];
        let mut bytes = Vec::new();
        Bincode::default().encode(&absent, &mut bytes).unwrap();
        let decode = |codec: Bincode| Codec::<Vec<Option<[u64; 32]>>>::decode(&codec, &bytes);
        assert!(matches!(decode(Bincode::default()), Err(CodecError::TooLarge { .. })));
        assert_eq!(decode(Bincode::expanding(300)).unwrap(), absent);
    }
}
