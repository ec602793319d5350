#![allow(rustdoc::broken_intra_doc_links, reason = "these are help texts, where [default: ...] is no link")]

use std::{path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use standpipe::sink::ErrorLimit;

use crate::{dead_letters::DeadLettersArgs, load::MEMORY_BYTES_MIN, size, wal::WalArgs};

/// The table of dead letters unless another is named.
pub(crate) const DEAD_LETTER_TABLE: &str = "standpipe_dead_letters";

/// Loads files and streams into databases: what was acknowledged is on disk, and each row reaches its table exactly once.
#[derive(Parser, Debug)]
#[command(name = "standpipe", version, about, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Examples:
  standpipe load flights.csv.gz --to sqlite:flights.db --create
  standpipe dead-letters sqlite:flights.db
  standpipe load --help

Exit codes: 0 all applied; 2 wrong usage or input; 3 some rows dead-lettered; \
4 target refused or unreachable; 5 data corruption; 130 interrupted after draining.
Set STANDPIPE_LOG=info (or debug, trace) to see what happens inside.";

const LOAD_EXAMPLES: &str = "Examples:
  standpipe load flights.csv.gz --to sqlite:flights.db --create
      makes table `flights` with the types found in the file, and fills it
  standpipe load *.csv --to sqlite:all.db --create
      each file into the table of its name
  producer | standpipe load - --to sqlite:app.db --table events --format ndjson --create
      what was acknowledged survives a crash, and is applied by the next run
  standpipe load prices.csv --to sqlite:shop.db --mode upsert --key sku --dead-letter bad.ndjson

A load that was killed is finished by running the same command again. A load that is complete says so and writes \
nothing. A file that has grown continues where it was.

Exit codes: 0 all applied; 2 wrong usage or input; 3 some rows dead-lettered; 4 target refused or unreachable; \
5 data corruption; 130 interrupted after draining.";

const LEDGER_EXAMPLES: &str = "Examples:
  standpipe ledger sqlite:flights.db
  standpipe ledger sqlite:flights.db --json | jq 'select(.complete | not)'

`position` is how far the lane is applied: bytes of a file, records of a log. `complete` is yes when all of the source
was applied.";

const DOCTOR_EXAMPLES: &str = "Example:
  standpipe doctor sqlite:flights.db

Exit codes: 0 nothing is broken; 4 something is, and the line with level `broken` says what.";

const COMPLETIONS_EXAMPLES: &str = "Examples:
  standpipe completions bash > ~/.local/share/bash-completion/completions/standpipe
  standpipe completions zsh > ~/.zfunc/_standpipe
  standpipe completions fish > ~/.config/fish/completions/standpipe.fish";

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Load files or standard input into tables
    #[command(after_help = LOAD_EXAMPLES)]
    Load(Box<LoadArgs>),
    /// Look at, check and repair a log directory: what standard input was acknowledged into
    #[command(after_help = crate::wal::EXAMPLES)]
    Wal(WalArgs),
    /// Show how far every stream of a target has come
    #[command(after_help = LEDGER_EXAMPLES)]
    Ledger(LedgerArgs),
    /// Show rows that did not reach their table, and why; export them, try them again
    #[command(after_help = crate::dead_letters::EXAMPLES)]
    DeadLetters(Box<DeadLettersArgs>),
    /// Check a target's settings against what is promised; changes nothing
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(DoctorArgs),
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
}

/// The arguments of `load`.
#[derive(ClapArgs, Debug)]
pub(crate) struct LoadArgs {
    /// Files to load (CSV or NDJSON, plain or .gz, .zst, .lz4), or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<String>,
    /// The database, for example sqlite:flights.db or postgres://app@localhost/sales
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,
    /// The table; of PostgreSQL also SCHEMA.TABLE, each in double quotes if it has a dot [default: the file's name
    /// without its endings; standard input has none]
    #[arg(long)]
    pub(crate) table: Option<String>,
    /// What the input is [default: by the file's name: ndjson for .ndjson, .jsonl, .json; csv for all else]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Make the table (and the database file) if it is absent, with the types found in the input [default: off]
    #[arg(long)]
    pub(crate) create: bool,
    /// Types of columns [default: the table's; for one that is made, those found in the input]. Types are bool int2
    /// int4 int8 float4 float8 text bytea date time timestamp timestamptz uuid json
    /// numeric
    #[arg(long, value_name = "COL=TYPE", value_delimiter = ',', value_parser = column_type)]
    pub(crate) types: Vec<(String, standpipe::Type)>,
    /// What separates CSV fields: one ASCII character; \t for tabs
    /// [default: a comma; a tab for .tsv files]
    #[arg(long, value_name = "C", value_parser = delimiter)]
    pub(crate) delimiter: Option<u8>,
    /// The CSV field that means NULL, quoted or not [default: the empty field]
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) null: String,
    /// The first line of the CSV is a row already; fields go to columns by their place, those of a table that is made
    /// are called c1, c2, ... [default: off]
    #[arg(long)]
    pub(crate) no_header: bool,
    /// What a row does to a row with the same key
    #[arg(long, value_enum, default_value_t = ModeArg::Append)]
    pub(crate) mode: ModeArg,
    /// The key's columns, for upsert, replace, ignore and lanes; with --create also the primary key [default: none]
    #[arg(long, value_name = "COL", value_delimiter = ',')]
    pub(crate) key: Vec<String>,
    /// Empty the table first, as part of the first commit; a load that goes on or is complete does not [default: off]
    #[arg(long)]
    pub(crate) truncate: bool,
    /// The name under which the load keeps its place [default: the table's name and the file's path, or TABLE@stdin]
    #[arg(long, value_name = "ID")]
    pub(crate) stream: Option<String>,
    /// The log's directory, for standard input [default: one for this target and stream in $XDG_STATE_HOME/standpipe,
    /// or ~/.local/state/standpipe]
    #[arg(long, value_name = "DIR")]
    pub(crate) wal: Option<PathBuf>,
    /// How durable acknowledged rows of standard input are: group and sync survive power loss, periodic:D may lose the
    /// last D (500ms, say), os what the system had not written; the end of the process loses nothing with any
    #[arg(long, value_name = "group|sync|periodic:D|os", default_value = "group", value_parser = durability)]
    pub(crate) durability: standpipe::wal::Durability,
    /// Rows after which a batch is committed
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) batch_rows: u64,
    /// Bytes after which a batch is committed; a fourth of --memory at most
    #[arg(long, value_name = "SIZE", default_value = "4MiB", value_parser = size::bytes)]
    pub(crate) batch_bytes: u64,
    /// How long the oldest row of a batch waits at most
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = size::duration)]
    pub(crate) flush_after: Duration,
    /// Memory for rows under way, at least 1MiB; one record may be an eighth of it (16MiB at most)
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = memory)]
    pub(crate) memory: u64,
    /// The log's size at which standard input waits for the database; at least 16MiB
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = size::bytes)]
    pub(crate) wal_max: u64,
    /// Bytes of the log to keep although they are applied, so that a database that is restored to an earlier point can be
    /// brought up again; half of --wal-max at most
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = size::bytes)]
    pub(crate) wal_retain: u64,
    /// Transactions that may be open at once (SQLite takes one at a time)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) workers: u16,
    /// Lanes of a file's stream, by --key: fixed when the stream is first loaded [default: as many as it has, or 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) lanes: Option<u32>,
    /// Where rows go that cannot be applied: a file, or table:NAME in the database
    #[arg(long, value_name = "FILE|table:NAME", default_value = "table:standpipe_dead_letters")]
    pub(crate) dead_letter: String,
    /// Stop when more rows of an input than this could not be applied; P% is of all rows, once there were 1,000
    #[arg(long, value_name = "N|P%", default_value = "1000", value_parser = size::error_limit)]
    pub(crate) max_errors: ErrorLimit,
    /// What to do with a field that is no column of the table
    #[arg(long, value_enum, default_value_t = UnknownFieldArg::Reject)]
    pub(crate) unknown_field: UnknownFieldArg,
    /// Drop from standard input as many records as an interrupted run acknowledged, for a producer that starts over
    /// [default: off]
    #[arg(long)]
    pub(crate) skip_acknowledged: bool,
    /// Read and check everything, write nothing [default: off]
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long to go on trying while the database cannot be reached or is locked
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = size::duration)]
    pub(crate) retry_for: Duration,
    /// How progress is shown, on standard error; the summary goes to standard output
    #[arg(long, value_enum, default_value_t = ProgressArg::Auto)]
    pub(crate) progress: ProgressArg,
}

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Comma-separated values (RFC 4180)
    Csv,
    /// One JSON object a line
    Ndjson,
}

/// What a row does to a row with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeArg {
    /// Insert; a key that is there already is a bad row
    Append,
    /// Insert, or set the given columns
    Upsert,
    /// Insert, or replace the whole row
    Replace,
    /// Insert, or leave the row that is there
    Ignore,
}

impl From<ModeArg> for standpipe::Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Append => standpipe::Mode::Append,
            ModeArg::Upsert => standpipe::Mode::Upsert,
            ModeArg::Replace => standpipe::Mode::Replace,
            ModeArg::Ignore => standpipe::Mode::Ignore,
        }
    }
}

/// What to do with a field that is no column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnknownFieldArg {
    /// CSV: refuse the file; NDJSON: dead-letter the row
    Reject,
    /// Leave the field out
    Ignore,
    /// Add the column to the table
    Add,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressArg {
    /// A bar on a terminal, else plain
    Auto,
    /// A bar
    Bar,
    /// A line now and then
    Plain,
    /// A JSON object a line, messages included
    Json,
    /// Nothing
    None,
}

/// The arguments of `ledger`.
#[derive(ClapArgs, Debug)]
pub(crate) struct LedgerArgs {
    /// The database, for example sqlite:flights.db
    pub(crate) url: String,
    /// One JSON object a line [default: off]
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of `doctor`.
#[derive(ClapArgs, Debug)]
pub(crate) struct DoctorArgs {
    /// The database, for example sqlite:flights.db
    pub(crate) url: String,
}

/// The arguments of `completions`.
#[derive(ClapArgs, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

fn memory(text: &str) -> Result<u64, String> {
    match size::bytes(text)? {
        bytes if bytes < MEMORY_BYTES_MIN => Err("at least 1MiB is needed".to_owned()),
        bytes => Ok(bytes),
    }
}

fn column_type(text: &str) -> Result<(String, standpipe::Type), String> {
    let (column, kind) = text.split_once('=').ok_or_else(|| format!("{text:?}: write column=type"))?;
    let known = standpipe::Type::from_name(kind).ok_or_else(|| {
        let names: Vec<_> = standpipe::Type::ALL.iter().map(|kind| kind.name()).collect();
        format!("{kind:?} is no type; types are {}", names.join(", "))
    })?;
    Ok((column.to_owned(), known))
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        "\\t" | "\t" => Ok(b'\t'),
        "\"" | "\n" | "\r" => Err("a quote or a line end cannot separate fields".to_owned()),
        _ => match text.as_bytes() {
            [byte] if byte.is_ascii() => Ok(*byte),
            _ => Err(format!("{text:?}: a delimiter is one ASCII character")),
        },
    }
}

fn durability(text: &str) -> Result<standpipe::wal::Durability, String> {
    use standpipe::wal::Durability;
    match text {
        "group" => Ok(Durability::Group),
        "sync" => Ok(Durability::Sync),
        "os" => Ok(Durability::Os),
        _ => match text.strip_prefix("periodic:") {
            Some(period) => match size::duration(period)? {
                Duration::ZERO => Err("a period of zero is what `group` does".to_owned()),
                period => Ok(Durability::Periodic(period)),
            },
            None => Err(format!("{text:?} is none of group, sync, periodic:DURATION, os")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn delimiters_and_types_are_read() {
        assert_eq!(delimiter("\\t"), Ok(b'\t'));
        assert!(delimiter("ab").is_err() && delimiter("\"").is_err());
        assert_eq!(column_type("a=int8"), Ok(("a".to_owned(), standpipe::Type::Int8)));
        assert!(column_type("a=quux").unwrap_err().contains("timestamptz"));
    }
}
