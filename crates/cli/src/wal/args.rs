#![allow(rustdoc::broken_intra_doc_links, reason = "these are help texts, where [default: ...] is no link")]

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

pub(crate) const EXAMPLES: &str = "Examples:
  standpipe wal inspect /var/lib/events-log
  standpipe wal verify /var/lib/events-log
  standpipe wal dump /var/lib/events-log --from 4711 --limit 10
  standpipe wal repair /var/lib/events-log /var/lib/events-log-repaired
  standpipe wal bench /var/lib

Exit codes: 0 sound, or done; 2 no log, or one that cannot be read; 5 damaged. Only `repair` and `bench` write, and \
neither writes into a log that is there.";

const INSPECT_EXAMPLES: &str = "Examples:
  standpipe wal inspect /var/lib/events-log
      each segment with its records and how full it is, what is pinned, and how the log was left
  standpipe wal inspect /var/lib/events-log --json | jq .totals.data_records

Works beside a running owner, and on a damaged log: it says what is damaged and goes on.

Exit codes: 0 sound; 2 no log, or one that cannot be read; 5 damaged.";

const VERIFY_EXAMPLES: &str = "Examples:
  standpipe wal verify /var/lib/events-log && echo sound
  standpipe wal verify /var/lib/events-log --json | jq '.damage[].lost'

Every checksum, every link from frame to frame and from segment to segment, and where each segment ends. Works beside a \
running owner.

Exit codes: 0 sound; 2 no log, or one that cannot be read; 5 damaged, with the place of each damage and the records that are \
lost by it.";

const DUMP_EXAMPLES: &str = "Examples:
  standpipe wal dump /var/lib/events-log --from 4711 --limit 10
  standpipe wal dump /var/lib/events-log --format json | jq -r 'select(.lsn) | .text'
  standpipe wal dump /var/lib/events-log --frames --skip-damaged --format text

JSON is one object a line: {\"lsn\", \"length\", \"text\"}, with \"hex\" in place of \"text\" where a record is no UTF-8; \
{\"pin\"}, {\"gap\"} and, with --frames, {\"frame\"} between them.

Exit codes: 0 shown; 2 no log, or one that cannot be read; 5 stopped at damage.";

const REPAIR_EXAMPLES: &str = "Examples:
  standpipe wal repair /var/lib/events-log /var/lib/events-log-repaired
      then put the original away, give the copy its name, and run the load again
  standpipe wal repair /var/lib/events-log /tmp/copy --new-identity

Never in place: what is sound is copied to a new directory, with the numbers that the records had, and what is lost is \
listed. The directory gets its name when all of it is there. The copy keeps the log's identity, so that a ledger goes on where it \
was and nothing is applied twice; therefore the original must not be used any more.

Exit codes: 0 nothing is lost; 2 the log cannot be read, or the copy cannot be written; 5 something is lost; 130 interrupted, \
and nothing is left behind.";

const BENCH_EXAMPLES: &str = "Examples:
  standpipe wal bench /var/lib
      what a sync costs there, and what group commit makes of it
  standpipe wal bench /mnt/fast --seconds 20 --json

Writes into a directory of its own in DIR, 152 MiB at most, and removes it.

Exit codes: 0 measured; 2 the directory cannot be written; 130 interrupted, and nothing is left behind.";

/// The arguments of `wal`.
#[derive(ClapArgs, Debug)]
pub(crate) struct WalArgs {
    #[command(subcommand)]
    pub(crate) command: WalCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum WalCommand {
    /// Show segments, records, pins and how full they are; changes nothing
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect(InspectArgs),
    /// Check every checksum; exit code 5 on damage; changes nothing
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Show records, with the pins and gaps between them; changes nothing
    #[command(after_help = DUMP_EXAMPLES)]
    Dump(DumpArgs),
    /// Copy what is sound of a damaged log to a new directory, and list what is lost
    #[command(after_help = REPAIR_EXAMPLES)]
    Repair(RepairArgs),
    /// Measure a directory's disk: what a sync costs, and what group commit makes of it
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(BenchArgs),
}

#[derive(ClapArgs, Debug)]
pub(crate) struct InspectArgs {
    /// The log's directory
    pub(crate) dir: PathBuf,
    /// Show what the pinned keys hold [default: only how long it is]
    #[arg(long)]
    pub(crate) values: bool,
    /// One JSON object [default: off]
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct VerifyArgs {
    /// The log's directory
    pub(crate) dir: PathBuf,
    /// One JSON object [default: off]
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct DumpArgs {
    /// The log's directory
    pub(crate) dir: PathBuf,
    /// The first record [default: the first one there is]
    #[arg(long, value_name = "LSN")]
    pub(crate) from: Option<u64>,
    /// The last record [default: the last one there is]
    #[arg(long, value_name = "LSN")]
    pub(crate) to: Option<u64>,
    /// How many records at most [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// How records are shown
    #[arg(long, value_enum, default_value_t = DumpFormat::Hex)]
    pub(crate) format: DumpFormat,
    /// Show the frames around the records too, and the pins that each segment states again [default: off]
    #[arg(long)]
    pub(crate) frames: bool,
    /// Go on past damage, and say on standard error what was passed [default: stop there]
    #[arg(long)]
    pub(crate) skip_damaged: bool,
}

/// How records are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DumpFormat {
    /// Sixteen bytes a line, with their offsets and as text
    Hex,
    /// A line a record; what is no printable text is escaped
    Text,
    /// A JSON object a line
    Json,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct RepairArgs {
    /// The damaged log's directory
    pub(crate) from: PathBuf,
    /// The directory of the copy, which must be absent or empty
    pub(crate) to: PathBuf,
    /// Give the copy an identity of its own: ledgers take it for another log [default: that of the original]
    #[arg(long)]
    pub(crate) new_identity: bool,
    /// One JSON object [default: off]
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct BenchArgs {
    /// A directory on the disk to be measured
    pub(crate) dir: PathBuf,
    /// How long all of it takes, in seconds
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
    /// One JSON object [default: off]
    #[arg(long)]
    pub(crate) json: bool,
}
