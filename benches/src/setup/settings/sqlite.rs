use standpipe_harness::{Outcome, Settings};
use standpipe_sqlite::{Journal, Synchronous};

use super::value::parsed;

/// The SQLite target's settings.
///
/// # Errors
/// A value that can't be read.
pub fn sqlite(settings: &Settings) -> Outcome<standpipe_sqlite::Settings> {
    let over = standpipe_sqlite::Settings::default();
    Ok(standpipe_sqlite::Settings {
        create: settings.get("sqlite.create", over.create)?,
        busy_timeout: settings.duration("sqlite.busy_timeout", over.busy_timeout)?,
        synchronous: parsed(settings, "sqlite.synchronous", over.synchronous, synchronous)?,
        journal: parsed(settings, "sqlite.journal", over.journal, journal)?,
        ledger_table: settings.get("sqlite.ledger_table", over.ledger_table)?,
    })
}

fn synchronous(text: &str) -> Result<Synchronous, &'static str> {
    match text {
        "full" => Ok(Synchronous::Full),
        "extra" => Ok(Synchronous::Extra),
        "normal" => Ok(Synchronous::Normal),
        _ => Err("write full, extra or normal"),
    }
}

fn journal(text: &str) -> Result<Journal, &'static str> {
    match text {
        "wal" => Ok(Journal::Wal),
        "keep" => Ok(Journal::Keep),
        _ => Err("write wal or keep"),
    }
}
