//! Rows into blocks, by each way there is, and out of them again.

use std::{
    hint::black_box,
    io::{self, Read},
    sync::Arc,
};

use bytes::Bytes;
use standpipe_harness::Outcome;
use standpipe_row::{
    BlockBuilder, CsvEncoder, CsvRows, CsvSettings, JsonEncoder, Tuples, UnknownField, decode, encode_header,
};

use super::{
    Hot, Prepared,
    flight::{CYCLE, Flight, sum_of, sum_over},
};

/// Where a block is cut.
const BLOCK_BYTES: u64 = 256 << 10;

pub(super) const ENCODE_ROW: Hot = Hot {
    name: "encode_row",
    measures: "a row of 10 columns through the typed writers, blocks cut at 256 KiB",
    quick: true,
    prepare: || {
        let flights = Flight::cycle()?;
        encoded(move |place, builder| Ok(flights[place].write(flights[place].id(), builder)?))
    },
};

pub(super) const SERIALIZE_ROW: Hot = Hot {
    name: "serialize_row",
    measures: "a struct of 10 columns through serde, its time as text, blocks cut at 256 KiB",
    quick: false,
    prepare: || {
        let flights = Flight::cycle()?;
        encoded(move |place, builder| Ok(builder.serialize(&flights[place])?))
    },
};

pub(super) const ENCODE_JSON_ROW: Hot = Hot {
    name: "encode_json_row",
    measures: "a JSON object of 10 fields, parsed and encoded, blocks cut at 256 KiB",
    quick: false,
    prepare: || {
        let lines: Vec<Vec<u8>> =
            Flight::cycle()?.iter().map(serde_json::to_vec).collect::<Result<_, _>>()?;
        let mut encoder = JsonEncoder::new(&Flight::schema()?, UnknownField::Reject);
        encoded(move |place, builder| Ok(encoder.write(&lines[place], builder)?))
    },
};

pub(super) const ENCODE_CSV_ROW: Hot = Hot {
    name: "encode_csv_row",
    measures: "a CSV line of 10 fields, parsed and encoded, blocks cut at 256 KiB",
    quick: true,
    prepare: encode_csv_row,
};

pub(super) const DECODE_BLOCK: Hot = Hot {
    name: "decode_block",
    measures: "a block of 64 rows of 10 columns: its header checked, every value read",
    quick: true,
    prepare: decode_block,
};

/// Encodes row after row of the cycle; the result is the bytes of all blocks.
fn encoded(mut write: impl FnMut(usize, &mut BlockBuilder) -> Outcome<()> + 'static) -> Outcome<Prepared> {
    let flights = Flight::cycle()?;
    let mut builder = BlockBuilder::with_capacity(Arc::new(Flight::schema()?), BLOCK_BYTES as usize + 4096);
    let run = move |rows| {
        let mut bytes = 0;
        for row in 0..rows {
            write((row % CYCLE) as usize, &mut builder)?;
            bytes += cut(&mut builder, BLOCK_BYTES);
        }
        Ok(bytes + cut(&mut builder, 0))
    };
    Ok(Prepared::new(run, move |rows| sum_over(rows, &flights, Flight::tuple_bytes)))
}

/// Hands the block out once it is large enough; returns the bytes of its tuples.
fn cut(builder: &mut BlockBuilder, at_bytes: u64) -> u64 {
    if builder.size_bytes() < at_bytes { 0 } else { black_box(builder.finish()).tuples.len() as u64 }
}

fn encode_csv_row() -> Outcome<Prepared> {
    let flights = Flight::cycle()?;
    let lines: Vec<String> = flights.iter().map(Flight::csv_line).collect();
    let text: Arc<[u8]> = lines.concat().into_bytes().into();
    let schema = Flight::schema()?;
    let names: Vec<String> = schema.columns().iter().map(|column| column.name.clone()).collect();
    let encoder = CsvEncoder::new(&schema, &names, &CsvSettings::default())?;
    let mut builder = BlockBuilder::with_capacity(Arc::new(schema), BLOCK_BYTES as usize + 4096);
    let run = move |rows: u64| {
        let rest: usize = lines.iter().take((rows % CYCLE) as usize).map(String::len).sum();
        let left = (rows / CYCLE) * text.len() as u64 + rest as u64;
        let mut records = CsvRows::new(Again { text: text.clone(), at: 0, left }, CsvSettings::default())?;
        let mut bytes = 0;
        while let Some(entry) = records.read()? {
            encoder.encode(&entry, &mut builder);
            bytes += cut(&mut builder, BLOCK_BYTES);
        }
        Ok(bytes + cut(&mut builder, 0))
    };
    Ok(Prepared::new(run, move |rows| sum_over(rows, &flights, Flight::tuple_bytes)))
}

/// A file that holds one text again and again.
struct Again {
    text: Arc<[u8]>,
    at: usize,
    left: u64,
}

impl Read for Again {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let here = &self.text[self.at..];
        let length = here.len().min(into.len()).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        into[..length].copy_from_slice(&here[..length]);
        self.at = (self.at + length) % self.text.len();
        self.left -= length as u64;
        Ok(length)
    }
}

fn decode_block() -> Outcome<Prepared> {
    let schema = Arc::new(Flight::schema()?);
    let mut builder = BlockBuilder::new(schema.clone());
    let flights = Flight::cycle()?;
    for flight in &flights {
        flight.write(flight.id(), &mut builder)?;
    }
    let block = builder.finish();
    let mut bytes = Vec::new();
    encode_header(&block, &mut bytes);
    bytes.extend_from_slice(&block.tuples);
    let bytes = Bytes::from(bytes);
    let run = move |blocks| {
        let mut sum = 0_u64;
        for _ in 0..blocks {
            let block = decode(black_box(bytes.clone()), |_| Some(schema.clone()))?;
            for tuple in Tuples::new(&block) {
                for field in tuple? {
                    sum = sum.wrapping_add(sum_of(&field.value()?));
                }
            }
        }
        Ok(sum)
    };
    Ok(Prepared::new(run, move |blocks| sum_over(CYCLE, &flights, Flight::sum).wrapping_mul(blocks)))
}
