//! A consumer of partitions that can be read again (here files of NDJSON, one row a line, which stand for a topic's
//! partitions): `cargo run -p standpipe --example partitions -- URL TABLE DIR`.
//!
//! It keeps no offsets of its own. The target's ledger has them, moved in the transaction of the rows: whenever it is
//! killed, the next run begins where the table ends, and each row is there exactly once, in its partition's order.
//! Each partition is a stream: where another consumer takes one over, this one is fenced and stops.
//! `tests/partitions.rs` kills it, again and again.

use serde::{Deserialize, Serialize};
use standpipe::{Column, Schema, Settings, Sink, SourceId, StreamId, StreamSpec, Type, Window, open_target};
use std::{fs::File, io::*, time::Duration};

#[derive(Serialize, Deserialize)]
struct Event {
    partition: i32,
    number: i64,
    text: String,
}

type Outcome<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Up to 500 whole records from `offset` on, and the offset behind them. What is not whole yet comes later.
fn poll(file: &mut BufReader<File>, mut offset: u64) -> Outcome<(Vec<Event>, u64)> {
    let (mut events, mut line) = (Vec::new(), String::new());
    file.seek(SeekFrom::Start(offset))?;
    while events.len() < 500 && file.read_line(&mut line)? > 0 && line.ends_with('\n') {
        events.push(serde_json::from_str(&line)?);
        offset += line.len() as u64;
        line.clear();
    }
    Ok((events, offset))
}

#[tokio::main]
pub(crate) async fn main() -> Outcome<()> {
    let [url, table, dir] = <[String; 3]>::try_from(std::env::args().skip(1).collect::<Vec<_>>())
        .map_err(|_| "usage: partitions URL TABLE DIR")?;
    let columns = [("partition", Type::Int4), ("number", Type::Int8), ("text", Type::Text)];
    let schema = Schema::new(columns.map(|(name, kind)| Column::new(name, kind)).to_vec())?;
    let target = open_target(&url.parse()?, true).await?;
    let flush_after = Duration::from_millis(20);
    let settings = Settings { flush_after, batch_rows_max: 1000, ..Settings::default() };
    let sink = Sink::builder().shared_target(target).settings(settings).open().await?;
    let mut partitions = Vec::new();
    for entry in std::fs::read_dir(&dir)? {
        let path = entry?.path();
        let name = path.file_stem().ok_or("a partition has a name")?.display();
        let id = StreamId::new(format!("{table}/{name}"))?;
        let spec = StreamSpec { id, ..StreamSpec::append(&table, schema.clone())? };
        let source = SourceId::new(format!("topic:{name}"))?;
        let Some(stream) = sink.source(spec, source, Window::everything(), true).await? else { continue };
        let (offset, _) = stream.positions()[0]; // everything below it is in the table
        partitions.push((BufReader::new(File::open(&path)?), stream, offset));
    }
    let mut is_behind = true;
    while is_behind {
        is_behind = false;
        for (file, stream, offset) in &mut partitions {
            let (events, end) = poll(file, *offset)?;
            is_behind |= end > *offset;
            sink.write_at(stream, *offset..end, stream.rows(&events)?).await?; // waits for room only
            *offset = end;
        }
    }
    sink.close(Duration::from_secs(30)).await?; // applies the rest
    Ok(())
}
