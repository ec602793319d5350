use std::path::{Path, PathBuf};

use super::tally::Difference;
use crate::{interrupt, services::Postgres};

/// The columns of the flights, as a person would declare them.
const COLUMNS: &[(&str, &str)] = &[
    ("year", "integer"),
    ("month", "smallint"),
    ("day", "smallint"),
    ("dep_time", "double precision"),
    ("sched_dep_time", "integer"),
    ("dep_delay", "double precision"),
    ("arr_time", "double precision"),
    ("sched_arr_time", "integer"),
    ("arr_delay", "double precision"),
    ("carrier", "text"),
    ("flight", "bigint"),
    ("tailnum", "text"),
    ("origin", "text"),
    ("dest", "text"),
    ("air_time", "double precision"),
    ("distance", "integer"),
    ("hour", "smallint"),
    ("minute", "smallint"),
    ("time_hour", "timestamp with time zone"),
];

/// What rows of one lane have in common, where there are lanes.
pub(super) const KEY: &str = "tailnum";

/// Asks the server by `psql`, and compares tables with one that `psql` has filled.
pub(super) struct Tables {
    psql: PathBuf,
    url: String,
    rows: u64,
    /// Of the reference: in order, and in order for each key.
    whole: String,
    by_key: String,
}

impl Tables {
    /// Fills the reference from the file, by `\copy`.
    pub(super) fn new(server: &Postgres, input: &Path) -> Result<Self, String> {
        let psql = server.programs().join("psql");
        let mut tables =
            Tables { psql, url: server.url(), rows: 0, whole: String::new(), by_key: String::new() };
        tables.create("reference")?;
        let columns = names().join(", ");
        let path = input.display().to_string().replace('\'', "''");
        tables.ask(&format!("\\copy reference ({columns}) FROM '{path}' WITH (FORMAT csv, HEADER true)"))?;
        tables.ask("ANALYZE reference")?;
        tables.rows = number(&tables.ask("SELECT count(*) FROM reference")?)?;
        tables.whole = tables.digest("reference", None)?;
        tables.by_key = tables.digest("reference", Some(KEY))?;
        Ok(tables)
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Makes a table that counts its rows as they arrive.
    pub(super) fn create(&self, table: &str) -> Result<(), String> {
        let columns: Vec<_> = COLUMNS.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        let columns = columns.join(", ");
        let arrival = "arrival bigint GENERATED ALWAYS AS IDENTITY";
        self.ask(&format!("CREATE TABLE {table} ({columns}, {arrival})")).map(drop)
    }

    /// Which share of the rows is in the table.
    pub(super) fn share(&self, table: &str) -> Result<f64, String> {
        let rows = number(&self.ask(&format!("SELECT count(*) FROM {table}"))?)?;
        Ok(rows as f64 / self.rows as f64)
    }

    /// Compares a table whose load is complete with the reference, and looks at its ledger and its dead letters.
    pub(super) fn compare(&self, table: &str, key: Option<&str>) -> Result<Difference, String> {
        let mut found = Difference {
            rows: number(&self.ask(&format!("SELECT count(*) FROM {table}"))?)?,
            ..Difference::default()
        };
        let expected = if key.is_some() { &self.by_key } else { &self.whole };
        if self.digest(table, key)? == *expected {
            return Ok(found);
        }
        let columns = names().join(", ");
        let only = |these: &str, those: &str| {
            let select = |table: &str| format!("SELECT {columns} FROM {table}");
            let query = format!("SELECT count(*) FROM ({} EXCEPT ALL {}) s", select(these), select(those));
            number(&self.ask(&query)?)
        };
        found.lost = only("reference", table)?;
        found.duplicated = only(table, "reference")?;
        if found.lost + found.duplicated == 0 {
            let ranked = |table: &str| ranked(table, key);
            let query =
                format!("SELECT count(*) FROM ({} EXCEPT ALL {}) s", ranked(table), ranked("reference"));
            found.out_of_order = number(&self.ask(&query)?)?.max(1);
        }
        Ok(found)
    }

    /// What the ledger has of a load that is complete, or why it does not agree with that.
    pub(super) fn check_ledger(&self, table: &str, lanes: u32, end: End) -> Result<(), String> {
        let of_stream = format!("stream LIKE '{table}@%'");
        let is_there = match end {
            End::File(bytes) => format!("complete AND position = {bytes}"),
            End::Stdin => format!(
                "(source_position::json->>'ended')::boolean AND (source_position::json->>'records')::bigint = {}",
                self.rows
            ),
        };
        let query = format!(
            "SELECT count(*), count(*) FILTER (WHERE {is_there}), count(DISTINCT stream) FROM standpipe_ledger WHERE {of_stream}"
        );
        let counted = self.ask(&query)?;
        if counted != format!("{lanes}|{lanes}|1") {
            let rows = self.ask(&format!("SELECT * FROM standpipe_ledger WHERE {of_stream}"))?;
            return Err(format!("{table}: the ledger is not where the source ends:\n{rows}"));
        }
        if !self.ask("SELECT to_regclass('standpipe_dead_letters')")?.is_empty() {
            let letters = self.ask("SELECT * FROM standpipe_dead_letters LIMIT 3")?;
            if !letters.is_empty() {
                return Err(format!("{table}: rows are among the dead letters:\n{letters}"));
            }
        }
        Ok(())
    }

    /// The epoch of a stream's first lane.
    pub(super) fn epoch(&self, table: &str) -> Result<u64, String> {
        number(&self.ask(&format!(
            "SELECT coalesce(max(epoch), 0) FROM standpipe_ledger WHERE stream LIKE '{table}@%'"
        ))?)
    }

    pub(super) fn forget(&self, table: &str) -> Result<(), String> {
        self.ask(&format!("DROP TABLE {table}; DELETE FROM standpipe_ledger WHERE stream LIKE '{table}@%'"))
            .map(drop)
    }

    /// Values of the rows that a query gives, `|` between them.
    pub(super) fn ask(&self, query: &str) -> Result<String, String> {
        let mut command = std::process::Command::new(&self.psql);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.url, "-c", query]);
        let output = interrupt::output(
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()),
        )?;
        if !output.status.success() {
            return Err(format!("psql: {}: {query}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Differs when a row is missing, is there twice, is another one, or stands elsewhere.
    fn digest(&self, table: &str, key: Option<&str>) -> Result<String, String> {
        let ranked = ranked(table, key);
        self.ask(&format!("SELECT count(*), sum(hashtextextended(line, rank)::numeric) FROM ({ranked}) s"))
    }
}

/// Where a source ends.
pub(super) enum End {
    File(u64),
    Stdin,
}

/// Each row as text, with its number in the order of arrival, among those with its key.
fn ranked(table: &str, key: Option<&str>) -> String {
    let partition = key.map_or(String::new(), |key| format!("PARTITION BY {key} "));
    format!(
        "SELECT ROW({})::text AS line, row_number() OVER ({partition}ORDER BY arrival) AS rank FROM {table}",
        names().join(", ")
    )
}

fn names() -> Vec<&'static str> {
    COLUMNS.iter().map(|(name, _)| *name).collect()
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}
