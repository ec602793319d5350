//! Structs into SQLite, through the log: `cargo run -p standpipe --example ingest -- DIR`.

use serde::Serialize;
use standpipe::{Column, Schema, Sink, Sqlite, StreamSpec, TableName, Type, Wal, core::Target};

#[derive(Serialize)]
struct Reading {
    sensor: i64,
    celsius: f64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::path::PathBuf::from(std::env::args().nth(1).ok_or("name a directory")?);
    let schema = Schema::new(vec![Column::new("sensor", Type::Int8), Column::new("celsius", Type::Float8)])?;
    let database = Sqlite::open(dir.join("readings.db"), Default::default()).await?;
    database.create(&TableName::new("readings"), &schema, &[]).await?;
    let sink =
        Sink::builder().target(database).log(Wal::open(dir.join("log"), Default::default())?).open().await?;
    let readings = sink.stream(StreamSpec::append("readings", schema)?).await?;
    let receipt = sink.write(&readings, readings.rows(&[Reading { sensor: 7, celsius: 21.5 }])?).await?;
    receipt.durable().await?; // on disk: acknowledged
    receipt.applied().await?; // in its table, committed together with its position
    sink.close(std::time::Duration::from_secs(10)).await?;
    Ok(())
}
