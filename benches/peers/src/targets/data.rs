use std::{
    env,
    fs::{self, File},
    io::Read,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use standpipe::{
    Column, Schema, Type,
    core::{Block, Origin},
    row::{BlockBuilder, Tuples, Value},
};
use standpipe_harness::{Context, Outcome, Scale, check};

/// Rows of a block of the large batches, and the least that any block has here.
const BLOCK_ROWS: usize = 1_000;
/// How often the repository's sample is repeated where the whole data set is not there: half as many rows.
const REPEATS: usize = 40;
/// What COPY BINARY begins with, and what it ends with.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: &[u8] = &(-1_i16).to_be_bytes();
/// Between the epochs of UNIX and PostgreSQL, in seconds.
const EPOCHS_APART_S: u64 = 946_684_800;

/// The flights, encoded, and as text.
pub(crate) struct Flights {
    pub(crate) schema: Arc<Schema>,
    /// Blocks of at most a thousand rows; the bytes are those of COPY BINARY.
    pub(crate) blocks: Vec<Block>,
    /// The CSV file, with its header.
    pub(crate) text: String,
}

/// The columns: what a person who knows the data would declare.
const COLUMNS: [(&str, Type); 19] = {
    use Type::{Float8, Int4, Text, Timestamptz};
    [
        ("year", Int4),
        ("month", Int4),
        ("day", Int4),
        ("dep_time", Float8),
        ("sched_dep_time", Int4),
        ("dep_delay", Float8),
        ("arr_time", Float8),
        ("sched_arr_time", Int4),
        ("arr_delay", Float8),
        ("carrier", Text),
        ("flight", Int4),
        ("tailnum", Text),
        ("origin", Text),
        ("dest", Text),
        ("air_time", Float8),
        ("distance", Int4),
        ("hour", Int4),
        ("minute", Int4),
        ("time_hour", Timestamptz),
    ]
};

impl Flights {
    /// All 336,776 of them, 2,000 when once. From the whole data set where it is, else from the repository's sample, repeated.
    pub(crate) fn read(context: &Context) -> Outcome<Self> {
        Self::encode(context, Shape::Plain)
    }

    /// Behind an `id`, which is the row's number in another order: what keys look like that come from elsewhere. So many rows at most.
    pub(crate) fn with_ids(context: &Context, rows: usize) -> Outcome<Self> {
        Self::encode(context, Shape::WithIds(rows))
    }

    /// With a row in each ten thousand whose distance is negative.
    pub(crate) fn with_bad_rows(context: &Context) -> Outcome<Self> {
        Self::encode(context, Shape::WithBadRows)
    }

    fn encode(context: &Context, shape: Shape) -> Outcome<Self> {
        let text = text(context)?;
        let with_ids = matches!(shape, Shape::WithIds(_));
        let id = with_ids.then(|| Column::new("id", Type::Int8).not_null());
        let columns = COLUMNS.iter().map(|(name, kind)| Column::new(*name, *kind));
        let schema = Arc::new(Schema::new(id.into_iter().chain(columns).collect())?);
        let mut lines = text.lines();
        let header = lines.next().ok_or("an empty file")?;
        check("the columns", header, COLUMNS.map(|(name, _)| name).join(",").as_str())?;
        let mut builder = BlockBuilder::with_capacity(Arc::clone(&schema), BLOCK_ROWS * 256);
        let mut blocks = Vec::new();
        let most = if let Shape::WithIds(rows) = shape { rows } else { usize::MAX };
        for (number, line) in lines.take(most).enumerate() {
            builder.begin_row();
            if with_ids {
                builder.int(id_of(number));
            }
            for (field, (name, _)) in line.split(',').zip(COLUMNS) {
                match field {
                    "" => builder.null(),
                    _ if shape == Shape::WithBadRows
                        && number % BAD_EVERY == BAD_EVERY / 2
                        && name == "distance" =>
                    {
                        builder.int(-1)
                    }
                    field => builder.parse(field.as_bytes()),
                };
            }
            builder.end_row()?;
            if builder.rows() as usize == BLOCK_ROWS {
                blocks.push(builder.finish());
            }
        }
        if !builder.is_empty() {
            blocks.push(builder.finish());
        }
        Ok(Flights { schema, blocks, text })
    }

    /// Rows of all blocks.
    pub(crate) fn rows(&self) -> u64 {
        rows_of(&self.blocks)
    }

    /// Blocks for so many rows a transaction.
    pub(crate) fn batches(&self, rows: usize) -> impl Iterator<Item = &[Block]> {
        self.blocks.chunks((rows / BLOCK_ROWS).max(1))
    }

    /// The bytes of a batch in one piece, as whoever encodes by hand has them: header, tuples, trailer.
    pub(crate) fn copies(&self, rows: usize) -> Vec<Bytes> {
        self.batches(rows).map(copy_of).collect()
    }

    /// The rows in blocks of so many.
    pub(crate) fn cut(&self, rows: usize) -> Outcome<Vec<Block>> {
        let mut builder = Pieces::of(&self.schema);
        for block in &self.blocks {
            for tuple in Tuples::new(block) {
                builder.add(tuple?.bytes(), rows);
            }
        }
        Ok(builder.done())
    }

    /// A copy of every other row, as bytes.
    pub(crate) fn every_other(&self) -> Outcome<Bytes> {
        let mut bytes = HEADER.to_vec();
        for block in &self.blocks {
            for tuple in Tuples::new(block).step_by(2) {
                bytes.extend_from_slice(tuple?.bytes());
            }
        }
        bytes.extend_from_slice(TRAILER);
        Ok(bytes.into())
    }

    /// Creates the table.
    pub(crate) fn create(&self, table: &str, rest: &str) -> String {
        let column = |column: &Column| {
            let sql = match column.kind {
                Type::Float8 => "double precision",
                other => other.name(),
            };
            format!("{} {sql}{}", column.name, if column.nullable { "" } else { " NOT NULL" })
        };
        let columns: Vec<_> = self.schema.columns().iter().map(column).collect();
        format!("CREATE TABLE {table} ({}{rest})", columns.join(", "))
    }

    /// Writes the CSV file.
    pub(crate) fn write(&self, path: &Path) -> Outcome<()> {
        Ok(fs::write(path, &self.text)?)
    }
}

/// Blocks made of rows that are encoded already.
struct Pieces {
    schema: Arc<Schema>,
    tuples: Vec<u8>,
    rows: u32,
    done: Vec<Block>,
}

impl Pieces {
    fn of(schema: &Arc<Schema>) -> Self {
        Pieces { schema: Arc::clone(schema), tuples: Vec::new(), rows: 0, done: Vec::new() }
    }

    fn add(&mut self, tuple: &[u8], rows: usize) {
        self.tuples.extend_from_slice(tuple);
        self.rows += 1;
        if self.rows as usize == rows {
            self.end();
        }
    }

    fn end(&mut self) {
        self.done.push(Block {
            schema: Arc::clone(&self.schema),
            rows: std::mem::take(&mut self.rows),
            tuples: std::mem::take(&mut self.tuples).into(),
            rejected: Vec::new(),
            origin: Origin::none(),
            truncate: false,
        });
    }

    fn done(mut self) -> Vec<Block> {
        if self.rows > 0 {
            self.end();
        }
        self.done
    }
}

/// Blocks as COPY BINARY has them, in one piece.
pub(crate) fn copy_of(blocks: &[Block]) -> Bytes {
    let mut bytes = HEADER.to_vec();
    blocks.iter().for_each(|block| bytes.extend_from_slice(&block.tuples));
    bytes.extend_from_slice(TRAILER);
    Bytes::from(bytes)
}

/// Rows of these blocks.
pub(crate) fn rows_of(blocks: &[Block]) -> u64 {
    blocks.iter().map(|block| u64::from(block.rows)).sum()
}

/// How far apart bad rows are.
const BAD_EVERY: usize = 10_000;

/// The bad rows among the first so many.
pub(crate) fn bad_rows(rows: u64) -> u64 {
    (rows + BAD_EVERY as u64 / 2 - 1) / BAD_EVERY as u64
}

/// What is encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Plain,
    WithIds(usize),
    WithBadRows,
}

/// A number from 0 to a million for each row number below that, in an order without any.
pub(crate) fn id_of(number: usize) -> i64 {
    (number as i64 * 611_953) % 1_000_000
}

fn text(context: &Context) -> Outcome<String> {
    let most = if context.scale == Scale::Once { 2_000 } else { usize::MAX - 1 };
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data =
        env::var_os("STANDPIPE_DATA").map_or_else(|| manifest.join("../../../shared/data"), PathBuf::from);
    let packed = data.join("flights.csv.gz");
    let all = if packed.exists() {
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(File::open(&packed)?).read_to_string(&mut text)?;
        text
    } else {
        let sample = fs::read_to_string(manifest.join("../../data/flights.csv"))?;
        let (header, records) = sample.split_once('\n').ok_or("an empty sample")?;
        format!("{header}\n{}", records.repeat(REPEATS))
    };
    Ok(if most == usize::MAX - 1 { all } else { all.split_inclusive('\n').take(most + 1).collect() })
}

/// A column of a batch, as a typed program has it.
pub(crate) enum Values {
    Int4(Vec<Option<i32>>),
    Int8(Vec<Option<i64>>),
    Float8(Vec<Option<f64>>),
    Text(Vec<Option<String>>),
    Timestamptz(Vec<Option<SystemTime>>),
}

/// The values of blocks, column by column.
pub(crate) fn columns_of(blocks: &[Block]) -> Outcome<Vec<Values>> {
    let schema = &blocks.first().ok_or("no blocks")?.schema;
    let mut columns = Vec::new();
    for column in schema.columns() {
        columns.push(match column.kind {
            Type::Int4 => Values::Int4(Vec::new()),
            Type::Int8 => Values::Int8(Vec::new()),
            Type::Float8 => Values::Float8(Vec::new()),
            Type::Text => Values::Text(Vec::new()),
            Type::Timestamptz => Values::Timestamptz(Vec::new()),
            other => return Err(format!("no values of type {}", other.name()).into()),
        });
    }
    for block in blocks {
        for tuple in Tuples::new(block) {
            let tuple = tuple?;
            for (field, values) in tuple.fields().zip(&mut columns) {
                values.push(field.value()?)?;
            }
        }
    }
    Ok(columns)
}

impl Values {
    fn push(&mut self, value: Value<'_>) -> Outcome<()> {
        match (self, value) {
            (Values::Int4(values), Value::Null) => values.push(None),
            (Values::Int8(values), Value::Null) => values.push(None),
            (Values::Float8(values), Value::Null) => values.push(None),
            (Values::Text(values), Value::Null) => values.push(None),
            (Values::Timestamptz(values), Value::Null) => values.push(None),
            (Values::Int4(values), Value::Int(value)) => values.push(Some(i32::try_from(value)?)),
            (Values::Int8(values), Value::Int(value)) => values.push(Some(value)),
            (Values::Float8(values), Value::Float(value)) => values.push(Some(value)),
            (Values::Text(values), Value::Text(value)) => values.push(Some(value.to_owned())),
            (Values::Timestamptz(values), Value::Timestamptz(us)) => {
                let us = u64::try_from(us)?;
                let since = Duration::from_secs(EPOCHS_APART_S) + Duration::from_micros(us);
                values.push(Some(SystemTime::UNIX_EPOCH + since));
            }
            (_, value) => return Err(format!("unexpected {value:?}").into()),
        }
        Ok(())
    }
}

/// Numbers of a batch's rows, for a source of which each row is a position.
pub(crate) fn range_after(at: &mut u64, blocks: &[Block]) -> Range<u64> {
    let start = *at;
    *at += rows_of(blocks);
    start..*at
}
