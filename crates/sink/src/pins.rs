//! What the sink pins in the log, so that it can be read by itself for ever: streams, schemas, floors.
//!
//! | key | value |
//! |---|---|
//! | `stream/` number (4 bytes) | origin `u64`, lanes `u32`, mode `u8`, then texts (`u32` length and UTF-8): id, table's schema (empty: none), table, key columns |
//! | `schema/` id (8 bytes) | the schema, as `Schema::encode` lays it down |
//! | `floor/` number (4 bytes) lane (4 bytes) | two `u64`, a position and an end: no record of the lane lies between them |
//!
//! Integers are big-endian.

use standpipe_core::{Destination, Error, ErrorKind, Mode, Schema, SchemaId, StreamId, TableName};

/// A stream as the log remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamPin {
    pub(crate) id: StreamId,
    pub(crate) origin: u64,
    pub(crate) lanes: u32,
    pub(crate) destination: Destination,
}

/// The log has no record of a lane from `position` to `end`: whoever stands between them misses nothing below `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Floor {
    pub(crate) position: u64,
    pub(crate) end: u64,
}

impl Floor {
    pub(crate) fn encode(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.position.to_be_bytes());
        bytes[8..].copy_from_slice(&self.end.to_be_bytes());
        bytes
    }
}

/// One pin, read back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pin {
    Stream(u32, StreamPin),
    Schema(SchemaId, Schema),
    Floor { stream: u32, lane: u32, floor: Floor },
}

pub(crate) fn stream_key(number: u32) -> Vec<u8> {
    [b"stream/".as_slice(), &number.to_be_bytes()].concat()
}

pub(crate) fn schema_key(id: SchemaId) -> Vec<u8> {
    [b"schema/".as_slice(), &id.0.to_be_bytes()].concat()
}

pub(crate) fn floor_key(stream: u32, lane: u32) -> Vec<u8> {
    [b"floor/".as_slice(), &stream.to_be_bytes(), &lane.to_be_bytes()].concat()
}

impl StreamPin {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.origin.to_be_bytes().to_vec();
        out.extend_from_slice(&self.lanes.to_be_bytes());
        out.push(mode_code(self.destination.mode));
        let table = &self.destination.table;
        let texts = [self.id.as_str(), table.schema.as_deref().unwrap_or(""), &table.name];
        for text in texts.into_iter().chain(self.destination.key.iter().map(String::as_str)) {
            out.extend_from_slice(&(text.len() as u32).to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        out
    }

    fn decode(mut bytes: &[u8]) -> Option<StreamPin> {
        let origin = u64::from_be_bytes(take(&mut bytes)?);
        let lanes = u32::from_be_bytes(take(&mut bytes)?);
        let mode = mode_of(take::<1>(&mut bytes)?[0])?;
        let mut texts = Vec::new();
        while !bytes.is_empty() {
            let length = u32::from_be_bytes(take(&mut bytes)?) as usize;
            let (text, rest) = bytes.split_at_checked(length)?;
            texts.push(std::str::from_utf8(text).ok()?.to_owned());
            bytes = rest;
        }
        let key = texts.split_off_checked(3)?;
        let [id, schema, name] = <[String; 3]>::try_from(texts).ok()?;
        let table = TableName { schema: Some(schema).filter(|schema| !schema.is_empty()), name };
        let destination = Destination { table, mode, key };
        Some(StreamPin { id: StreamId::new(id).ok()?, origin, lanes, destination })
    }
}

/// Reads a pin back.
pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Pin, Error> {
    let pin = if let Some(mut number) = key.strip_prefix(b"stream/") {
        take(&mut number)
            .zip(StreamPin::decode(value))
            .map(|(number, stream)| Pin::Stream(u32::from_be_bytes(number), stream))
    } else if let Some(mut id) = key.strip_prefix(b"schema/") {
        take(&mut id)
            .zip(Schema::decode(value).ok())
            .map(|(id, schema)| Pin::Schema(SchemaId(u64::from_be_bytes(id)), schema))
    } else if let Some(mut numbers) = key.strip_prefix(b"floor/") {
        decode_floor(&mut numbers, value)
    } else {
        None
    };
    pin.ok_or_else(|| {
        let key = String::from_utf8_lossy(key).into_owned();
        Error::new(
            ErrorKind::Corrupt,
            format!("the log's pin {key:?} is none of a sink's: is it another program's log?"),
        )
    })
}

fn decode_floor(numbers: &mut &[u8], mut value: &[u8]) -> Option<Pin> {
    let stream = u32::from_be_bytes(take(numbers)?);
    let lane = u32::from_be_bytes(take(numbers)?);
    let position = u64::from_be_bytes(take(&mut value)?);
    let end = u64::from_be_bytes(take(&mut value)?);
    value.is_empty().then_some(Pin::Floor { stream, lane, floor: Floor { position, end } })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

fn mode_code(mode: Mode) -> u8 {
    match mode {
        Mode::Upsert => 2,
        Mode::Replace => 3,
        Mode::Ignore => 4,
        _ => 1,
    }
}

fn mode_of(code: u8) -> Option<Mode> {
    Some(match code {
        1 => Mode::Append,
        2 => Mode::Upsert,
        3 => Mode::Replace,
        4 => Mode::Ignore,
        _ => return None,
    })
}

trait SplitOffChecked<T> {
    fn split_off_checked(&mut self, at: usize) -> Option<Vec<T>>;
}

impl<T> SplitOffChecked<T> for Vec<T> {
    fn split_off_checked(&mut self, at: usize) -> Option<Vec<T>> {
        (at <= self.len()).then(|| self.split_off(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use standpipe_core::{Column, Type};

    fn stream() -> StreamPin {
        StreamPin {
            id: StreamId::new("s").unwrap(),
            origin: 7,
            lanes: 3,
            destination: Destination {
                table: TableName { schema: Some("main".into()), name: "t".into() },
                mode: Mode::Upsert,
                key: vec!["a".into(), "".into()],
            },
        }
    }

    #[test]
    fn pins_are_read_back() {
        let pin = stream();
        assert_eq!(decode(&stream_key(9), &pin.encode()).unwrap(), Pin::Stream(9, pin));
        let schema = Schema::new(vec![Column::new("a", Type::Int8)]).unwrap();
        assert_eq!(
            decode(&schema_key(schema.id()), &schema.encode()).unwrap(),
            Pin::Schema(schema.id(), schema)
        );
        let floor = Floor { position: 5, end: 9 };
        let read = decode(&floor_key(1, 2), &floor.encode()).unwrap();
        assert_eq!(read, Pin::Floor { stream: 1, lane: 2, floor });
    }

    #[test]
    fn l14_pins_that_are_cut_are_refused() {
        let bytes = stream().encode();
        for cut in 0..bytes.len() {
            // A cut between two key columns leaves a whole, shorter pin; the log's checksum is what tells that apart.
            if let Ok(Pin::Stream(_, read)) = decode(&stream_key(1), &bytes[..cut]) {
                assert!(read.destination.key.len() < 2, "cut at {cut}");
            }
        }
        assert!(decode(b"other/1234", &bytes).is_err());
    }
}
