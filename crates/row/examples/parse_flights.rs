//! Parses and encodes a CSV file on one thread, and prints at what rate: `parse_flights FILE [ROUNDS]`.
#![allow(clippy::print_stdout)]

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use standpipe_core::Error;
use standpipe_row::{BlockBuilder, CsvEncoder, CsvEntry, CsvRows, CsvSettings, Inference, Tuples};

const BLOCK_BYTES: u64 = 256 << 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: parse_flights FILE [ROUNDS]")?;
    let rounds: u32 = arguments.next().map_or(Ok(5), |rounds| rounds.parse())?;
    let schema = Arc::new(infer(&path)?);
    for column in schema.columns() {
        print!("{} {}, ", column.name, column.kind);
    }
    println!();
    for _ in 0..rounds {
        let started = Instant::now();
        let mut rows = CsvRows::new(File::open(&path)?, CsvSettings::default())?;
        let header = rows.read_header()?.ok_or("an empty file")?;
        let encoder = CsvEncoder::new(&schema, &header, &CsvSettings::default())?;
        let mut builder = BlockBuilder::with_capacity(Arc::clone(&schema), BLOCK_BYTES as usize + (16 << 10));
        let (mut encoded, mut rejected, mut bytes, mut reading) = (0_u64, 0, 0, 0.0);
        loop {
            let more = match rows.read()? {
                Some(entry) => {
                    encoder.encode(&entry, &mut builder);
                    true
                }
                None => false,
            };
            if builder.size_bytes() >= BLOCK_BYTES || !more {
                let block = builder.finish();
                encoded += u64::from(block.rows);
                rejected += block.rejected.len();
                bytes += block.size_bytes();
                let began = Instant::now();
                Tuples::new(&block).verify()?;
                reading += began.elapsed().as_secs_f64();
            }
            if !more {
                break;
            }
        }
        let seconds = started.elapsed().as_secs_f64() - reading;
        println!(
            "{encoded} rows, {rejected} rejected, {bytes} bytes of blocks: {:.0} rows/s in {seconds:.3} s; \
             reading the tuples back {:.0} rows/s",
            encoded as f64 / seconds,
            encoded as f64 / reading
        );
    }
    Ok(())
}

fn infer(path: &str) -> Result<standpipe_core::Schema, Box<dyn std::error::Error>> {
    let settings = CsvSettings::default();
    let mut rows = CsvRows::new(File::open(path)?, settings.clone())?;
    let header = rows.read_header()?.ok_or("an empty file")?;
    let mut inference = Inference::of_csv(&header, &settings);
    while let Some(entry) = rows.read()? {
        if let CsvEntry::Record(record) = entry {
            inference.observe_csv(&record);
        }
    }
    Ok(inference.finish().map_err(|error: Error| error.to_string())?)
}
