#![allow(rustdoc::broken_intra_doc_links, reason = "these are help texts, where [default: ...] is no link")]

use std::time::Duration;

use clap::Args;

use crate::{
    args::{DEAD_LETTER_TABLE, ModeArg, ProgressArg},
    size,
};

pub(crate) const EXAMPLES: &str = "Examples:
  standpipe dead-letters sqlite:flights.db
      the first thousand, and how many there are of each kind
  standpipe dead-letters sqlite:flights.db --retry
      once what was wrong with the table is mended: each row into its table, or back with the new reason, exactly once
  standpipe dead-letters sqlite:flights.db --retry --code SQLITE_CONSTRAINT_UNIQUE --mode upsert --key id
  standpipe dead-letters sqlite:flights.db --export again.ndjson
  standpipe load again.ndjson --to sqlite:flights.db --table flights
      the rows, to be mended by hand and loaded as a file of their own
  standpipe dead-letters bad.ndjson --json | jq -r .row > again.csv
      the rows as they stood in the input
  standpipe dead-letters sqlite:flights.db --discard --stream flights@old --yes

Killed or interrupted, --retry has each row in its table or its letter; run it again.

Exit codes: 0 done; 2 wrong usage; 3 some were refused again or cannot be read (or, with --export, are no JSON objects \
and not in the file); 4 target refused or unreachable; 5 data corruption; 130 interrupted.";

/// The arguments of `dead-letters`.
#[derive(Args, Debug)]
pub(crate) struct DeadLettersArgs {
    /// The database, or a dead-letter file
    #[arg(value_name = "URL|FILE")]
    pub(crate) place: String,
    /// The table that has them
    #[arg(long, default_value = DEAD_LETTER_TABLE)]
    pub(crate) table: String,
    /// How many at most [default: 1000 to show, all to export and to retry]
    #[arg(long, value_name = "N", conflicts_with = "discard")]
    pub(crate) limit: Option<u64>,
    /// Those of this stream only [default: of all]
    #[arg(long, value_name = "ID")]
    pub(crate) stream: Option<String>,
    /// Those only that the database refused with this code, such as 23505 or SQLITE_CONSTRAINT_CHECK [default: all]
    #[arg(long)]
    pub(crate) code: Option<String>,
    /// One JSON object a line, the row included; with --retry, the summary [default: off]
    #[arg(long, conflicts_with_all = ["export", "discard"])]
    pub(crate) json: bool,
    /// Write the rows to a new file (or - for standard output), one JSON object a line, which `load` takes [default: off]
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["retry", "discard"])]
    pub(crate) export: Option<String>,
    /// Export the whole letters, with place and reason, and rows that are no JSON objects too [default: off]
    #[arg(long, requires = "export")]
    pub(crate) with_reasons: bool,
    /// Write the rows to their tables again; what is refused again stays, with the new reason [default: off]
    #[arg(long, conflicts_with = "discard")]
    pub(crate) retry: bool,
    /// With --retry: to this table [default: the one that each row was meant for]
    #[arg(long, value_name = "TABLE", requires = "retry")]
    pub(crate) to_table: Option<String>,
    /// With --retry: what a row does to a row with the same key
    #[arg(long, value_enum, default_value_t = ModeArg::Append, requires = "retry")]
    pub(crate) mode: ModeArg,
    /// With --retry: the key's columns, for upsert, replace and ignore [default: none]
    #[arg(long, value_name = "COL", value_delimiter = ',', requires = "retry")]
    pub(crate) key: Vec<String>,
    /// With --retry: rows after which is committed
    #[arg(long, value_name = "N", default_value_t = 10_000, requires = "retry",
          value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) batch_rows: u64,
    /// With --retry: how long to go on trying while the database cannot be reached or is locked
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = size::duration, requires = "retry")]
    pub(crate) retry_for: Duration,
    /// With --retry: how progress is shown, on standard error; the summary goes to standard output
    #[arg(long, value_enum, default_value_t = ProgressArg::Auto, requires = "retry")]
    pub(crate) progress: ProgressArg,
    /// Delete them, with their rows; needs --yes [default: off]
    #[arg(long)]
    pub(crate) discard: bool,
    /// With --discard: yes, the rows are to be lost
    #[arg(long, requires = "discard")]
    pub(crate) yes: bool,
}
