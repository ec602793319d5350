use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use standpipe_harness::{Context, Outcome, Scale, check};

/// The rows of flights.csv, parsed.
pub(crate) struct Flights {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Field>>,
    /// The same rows as text, for those who parse for themselves.
    text: String,
    expected: Sums,
}

pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) is_text: bool,
}

/// One field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field {
    Null,
    Int(i64),
    Text(String),
}

/// What a table of these rows adds up to, column by column: values that are not NULL, and their sum, or the sum of their lengths.
#[derive(Debug, PartialEq)]
struct Sums {
    rows: i64,
    columns: Vec<(i64, i64)>,
}

impl Flights {
    /// All of them at full scale, 60,000 when quick, 2,000 when once. From the whole data set where it is, else from the
    /// sample in the repository, repeated.
    pub(crate) fn read(context: &Context) -> Outcome<Self> {
        let many = match context.scale {
            Scale::Once => 2_000,
            Scale::Quick => 60_000,
            Scale::Full => usize::MAX,
        };
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let data = env::var_os("STANDPIPE_DATA")
            .map_or_else(|| manifest.join("../../../shared/data"), PathBuf::from);
        let packed = data.join("flights.csv.gz");
        let (all, enough) = if packed.exists() {
            (unpacked(&packed, many)?, many)
        } else {
            // Forty times the sample is about half of the whole.
            const REPEATS: usize = 40;
            let sample = fs::read_to_string(manifest.join("../../data/flights.csv"))?;
            let (header, records) = sample.split_once('\n').ok_or("an empty sample")?;
            let text = format!("{header}\n{}", records.repeat(REPEATS));
            (text, many)
        };
        let text: String = all.split_inclusive('\n').take(enough.saturating_add(1)).collect();
        let mut lines = text.lines();
        let header = lines.next().ok_or("an empty file")?;
        let rows: Vec<Vec<Field>> = lines.map(|line| line.split(',').map(field).collect()).collect();
        let first = rows.first().ok_or("a file without records")?;
        let columns: Vec<Column> = header
            .split(',')
            .zip(first)
            .map(|(name, field)| Column { name: name.to_owned(), is_text: matches!(field, Field::Text(_)) })
            .collect();
        let expected = Sums::of(&columns, &rows)?;
        Ok(Flights { columns, rows, text, expected })
    }

    /// Makes the table as all contenders have it.
    pub(crate) fn create_table(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("\"{}\" {}", column.name, if column.is_text { "TEXT" } else { "INTEGER" }))
            .collect();
        format!("CREATE TABLE flights ({})", columns.join(", "))
    }

    /// Inserts one row.
    pub(crate) fn insert(&self) -> String {
        format!("INSERT INTO flights VALUES ({})", vec!["?"; self.columns.len()].join(", "))
    }

    /// A CSV file of these rows.
    pub(crate) fn write(&self, path: &Path) -> Outcome<()> {
        Ok(fs::write(path, &self.text)?)
    }

    /// Refuses a database whose table has not these rows, or that is no whole database any more.
    pub(crate) fn check(&self, database: &Path) -> Outcome<()> {
        let connection = Connection::open(database)?;
        let journal: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        check("the journal", journal.as_str(), "wal")?;
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|Column { name, is_text }| {
                let value = if *is_text { format!("length(\"{name}\")") } else { format!("\"{name}\"") };
                format!("count(\"{name}\"), total({value})")
            })
            .collect();
        let query = format!("SELECT count(*), {} FROM flights", columns.join(", "));
        let found = connection.query_row(&query, [], |row| {
            let columns = (0..self.columns.len())
                .map(|at| Ok((row.get(1 + 2 * at)?, row.get::<_, f64>(2 + 2 * at)? as i64)))
                .collect::<Result<_, rusqlite::Error>>()?;
            Ok(Sums { rows: row.get(0)?, columns })
        })?;
        check("the table", &found, &self.expected)
    }
}

impl Sums {
    fn of(columns: &[Column], rows: &[Vec<Field>]) -> Outcome<Self> {
        let mut sums = vec![(0, 0); columns.len()];
        for (row, number) in rows.iter().zip(2..) {
            check("fields of a record", row.len(), columns.len())?;
            for ((sum, field), column) in sums.iter_mut().zip(row).zip(columns) {
                let value = match (field, column.is_text) {
                    (Field::Null, _) => continue,
                    (Field::Int(value), false) => *value,
                    (Field::Text(text), true) => text.chars().count() as i64,
                    _ => return Err(format!("line {number}: {} is {field:?}", column.name).into()),
                };
                *sum = (sum.0 + 1, sum.1 + value);
            }
        }
        Ok(Sums { rows: rows.len() as i64, columns: sums })
    }
}

/// The first `many` lines and the header; a line is at most 200 bytes.
fn unpacked(packed: &Path, many: usize) -> Outcome<String> {
    let mut text = String::new();
    let reader = flate2::read::MultiGzDecoder::new(fs::File::open(packed)?);
    let enough = (many as u64).saturating_mul(200);
    let mut bytes = Vec::new();
    reader.take(enough).read_to_end(&mut bytes)?;
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    text.push_str(std::str::from_utf8(&bytes[..end])?);
    Ok(text)
}

/// As the Python contender reads it: a whole number, nothing, or the text.
fn field(text: &str) -> Field {
    if text.is_empty() {
        return Field::Null;
    }
    if let Ok(number) = text.parse() {
        return Field::Int(number);
    }
    match text.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 => Field::Int(number as i64),
        _ => Field::Text(text.to_owned()),
    }
}
