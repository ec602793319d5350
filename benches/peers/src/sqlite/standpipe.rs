use std::{path::Path, sync::Arc, time::Duration};

use standpipe::{
    Column, Rows, Schema, Settings, Sink, SourceId, Sqlite, StreamSpec, TableName, Target, Type, Wal, Window,
    core::Block, row::BlockBuilder,
};
use standpipe_harness::{Context, Outcome, Sample};

use super::{
    flights::{Field, Flights},
    loads,
};
use crate::closed_loop;

const TABLE: &str = "flights";
const LONG: Duration = Duration::from_secs(60);

/// Straight into the table; the rows' numbers are their positions in the ledger.
pub(crate) fn unlogged(context: &Context) -> Outcome<Sample> {
    let runtime = closed_loop::runtime()?;
    loads(context, |flights, database| {
        runtime.block_on(async {
            let target = open(flights, database).await?;
            let sink = Sink::builder().shared_target(Arc::clone(&target)).open().await?;
            let window = Window { end: flights.rows.len() as u64, ..Window::default() };
            let source = SourceId::new("flights.csv")?;
            let spec = StreamSpec::append(TABLE, schema(flights)?)?;
            let stream = sink.source(spec, source, window, false).await?.ok_or("it is complete already")?;
            let (mut blocks, mut at) = (Blocks::of(flights)?, 0);
            while let Some(block) = blocks.next()? {
                let end = at + u64::from(block.rows);
                let _applied_by_finish = sink.write_at(&stream, at..end, Rows::from_block(block)).await?;
                at = end;
            }
            sink.finish(&stream, at, "").await?;
            sink.close(LONG).await?;
            target.close().await?;
            Ok(())
        })
    })
}

/// Through the log: a row is durable there, then applied.
pub(crate) fn logged(context: &Context) -> Outcome<Sample> {
    let runtime = closed_loop::runtime()?;
    loads(context, |flights, database| {
        runtime.block_on(async {
            let target = open(flights, database).await?;
            let log = Wal::open(database.with_file_name("log"), standpipe::wal::Settings::default())?;
            let sink = Sink::builder().shared_target(Arc::clone(&target)).log(log).open().await?;
            let stream = sink.stream(StreamSpec::append(TABLE, schema(flights)?)?).await?;
            let mut blocks = Blocks::of(flights)?;
            let mut last = None;
            while let Some(block) = blocks.next()? {
                last = Some(sink.write(&stream, Rows::from_block(block)).await?);
            }
            sink.flush().await?;
            last.ok_or("no rows")?.applied().await?;
            sink.close(LONG).await?;
            target.close().await?;
            Ok(())
        })
    })
}

async fn open(flights: &Flights, database: &Path) -> Outcome<Arc<dyn Target>> {
    let target = Sqlite::open(database, standpipe::sqlite::Settings::default()).await?;
    target.create(&TableName::new(TABLE), &schema(flights)?, &[]).await?;
    Ok(Arc::new(target))
}

fn schema(flights: &Flights) -> Outcome<Schema> {
    let columns = flights.columns.iter();
    let columns =
        columns.map(|column| Column::new(&column.name, if column.is_text { Type::Text } else { Type::Int8 }));
    Ok(Schema::new(columns.collect())?)
}

/// Encodes the rows, as much at a time as a sink makes of a large write.
struct Blocks<'f> {
    rows: std::slice::Iter<'f, Vec<Field>>,
    builder: BlockBuilder,
    block_bytes: u64,
}

impl<'f> Blocks<'f> {
    fn of(flights: &'f Flights) -> Outcome<Self> {
        let block_bytes = Settings::default().block_bytes;
        let builder =
            BlockBuilder::with_capacity(Arc::new(schema(flights)?), block_bytes as usize + (16 << 10));
        Ok(Blocks { rows: flights.rows.iter(), builder, block_bytes })
    }

    fn next(&mut self) -> Outcome<Option<Block>> {
        for row in self.rows.by_ref() {
            self.builder.begin_row();
            for field in row {
                match field {
                    Field::Null => self.builder.null(),
                    Field::Int(value) => self.builder.int(*value),
                    Field::Text(text) => self.builder.text(text),
                };
            }
            self.builder.end_row()?;
            if self.builder.size_bytes() >= self.block_bytes {
                break;
            }
        }
        Ok((!self.builder.is_empty()).then(|| self.builder.finish()))
    }
}
