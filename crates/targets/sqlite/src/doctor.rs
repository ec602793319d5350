//! What the settings and the file mean for what is promised. Changes nothing.

use std::{fs, path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{Access, access, statvfs};
use standpipe_core::{Finding, FindingLevel};

use crate::{
    dial::Place,
    error::{code_of, refused},
    filesystem, holder, ledger,
    settings::{Journal, Settings, Synchronous},
    worker::{WorkError, Worker, look_at},
};
use FindingLevel::{Broken, Fine, Notice};

/// Databases up to this size are checked page by page.
const CHECKED_BYTES_MAX: u64 = 1 << 30;
/// Less free space than this is worth saying.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// A look waits no longer than this for a lock.
const LOOK_TIMEOUT_MAX: Duration = Duration::from_secs(1);

type Part = fn(&Connection, &Place) -> Result<Finding, WorkError>;

/// Looks through a connection of its own: the one to be examined may not even open.
pub(crate) fn examine(place: &Place) -> Vec<Finding> {
    let (path, settings) = (&place.path, &place.settings);
    let mut findings = Vec::new();
    if let Err(error) = look_at(path, false) {
        findings.push(Finding::new(Broken, "file", error.to_string()));
        findings.extend(path.parent().filter(|parent| parent.is_dir()).map(directory));
        return findings;
    }
    findings.extend(path.parent().map(directory));
    findings.extend(path.parent().map(free_space));
    findings.extend(filesystem::finding(path));
    let connection = match open(path, settings) {
        Ok(connection) => connection,
        Err(error) => {
            let error = refused(path, settings, error, "opening the database");
            findings.push(Finding::new(Broken, "file", error.to_string()));
            return findings;
        }
    };
    let parts: [Part; 7] = [rights, version, journal, lock, integrity, streams, dead_letters];
    for part in parts {
        findings.push(part(&connection, place).unwrap_or_else(|error| {
            let error = match error {
                WorkError::Sqlite(error) => refused(path, settings, error, "examining the database"),
                WorkError::Other(error) => error,
            };
            Finding::new(Broken, "database", error.to_string())
        }));
    }
    findings
}

/// As `examine`, for a connection's own thread.
pub(crate) fn examine_from(worker: &mut Worker) -> Vec<Finding> {
    examine(&worker.place)
}

fn open(path: &Path, settings: &Settings) -> Result<Connection, rusqlite::Error> {
    // Not read-only: such a connection would leave the -wal and -shm files of a write-ahead log behind.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(settings.busy_timeout.min(LOOK_TIMEOUT_MAX))?;
    connection.query_row("PRAGMA schema_version", [], |_| Ok(()))?;
    Ok(connection)
}

fn directory(directory: &Path) -> Finding {
    let shown = directory.display();
    match access(directory, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Finding::new(Fine, "directory", format!("{shown} can be written to")),
        Err(error) => Finding::new(
            Broken,
            "directory",
            format!(
                "{shown}: {error}; SQLite keeps its journal beside the file and must be able to write there"
            ),
        ),
    }
}

fn free_space(directory: &Path) -> Finding {
    let free = match statvfs(directory) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => return Finding::new(Notice, "disk", format!("free space is not known: {error}")),
    };
    let message = format!("{} MiB are free", free >> 20);
    if free < FREE_BYTES_MIN {
        let advice = "; the write-ahead log needs room beside the database: make some";
        return Finding::new(Notice, "disk", message + advice);
    }
    Finding::new(Fine, "disk", message)
}

fn rights(connection: &Connection, place: &Place) -> Result<Finding, WorkError> {
    if connection.is_readonly("main")? || access(&place.path, Access::WRITE_OK).is_err() {
        let message = "the database is read-only; give this user the right to write to the file";
        return Ok(Finding::new(Broken, "file", message));
    }
    let bytes = fs::metadata(&place.path).map_or(0, |found| found.len());
    let page: u64 = connection.query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0))?.into();
    Ok(Finding::new(Fine, "file", format!("{} MiB in pages of {page} bytes, can be written to", bytes >> 20)))
}

fn version(_: &Connection, place: &Place) -> Result<Finding, WorkError> {
    let timeout = place.settings.busy_timeout;
    let message = format!("SQLite {}, built in; waits {timeout:?} for a lock", rusqlite::version());
    Ok(Finding::new(Fine, "version", message))
}

fn journal(connection: &Connection, place: &Place) -> Result<Finding, WorkError> {
    let journal: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    let synchronous = place.settings.synchronous;
    let is_wal = journal.eq_ignore_ascii_case("wal");
    let (level, message) = if synchronous == Synchronous::Normal {
        (
            Broken,
            "power loss may take back the last commits, whose rows a sink's log has then let go of: use FULL",
        )
    } else if is_wal {
        (Fine, "a commit survives power loss; readers and the writer do not wait for each other")
    } else if place.settings.journal == Journal::Wal {
        (
            Notice,
            "the file is switched to a write-ahead log when it is first written to, where the file system can",
        )
    } else {
        (
            Notice,
            "readers and the writer wait for each other; a commit that must wait for readers is tried again",
        )
    };
    let message = format!("journal_mode {journal}, synchronous {}: {message}", synchronous.name());
    Ok(Finding::new(level, "journal", message))
}

fn lock(connection: &Connection, place: &Place) -> Result<Finding, WorkError> {
    connection.busy_timeout(Duration::ZERO)?;
    let begun = connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
    connection.busy_timeout(LOOK_TIMEOUT_MAX)?;
    match begun {
        Ok(()) => Ok(Finding::new(Fine, "lock", "nobody is writing")),
        Err(error) if code_of(&error) == Some(ErrorCode::DatabaseBusy) => {
            let by = holder::of(&place.path).unwrap_or_else(|| "another process or connection".to_owned());
            Ok(Finding::new(Notice, "lock", format!("{by} is writing; loads wait until it is done")))
        }
        Err(error) if code_of(&error) == Some(ErrorCode::ReadOnly) => {
            Ok(Finding::new(Broken, "lock", "no transaction can be opened for writing"))
        }
        Err(error) => Err(error.into()),
    }
}

fn integrity(connection: &Connection, place: &Place) -> Result<Finding, WorkError> {
    if fs::metadata(&place.path).is_ok_and(|found| found.len() > CHECKED_BYTES_MAX) {
        let message = "not checked: the file is larger than 1 GiB; PRAGMA quick_check does it";
        return Ok(Finding::new(Notice, "integrity", message));
    }
    let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if answer == "ok" {
        return Ok(Finding::new(Fine, "integrity", "quick_check finds nothing wrong"));
    }
    let message = format!("{answer}; restore the file, or try `sqlite3 FILE .recover` on a copy");
    Ok(Finding::new(Broken, "integrity", message))
}

fn streams(connection: &Connection, place: &Place) -> Result<Finding, WorkError> {
    let table = &place.settings.ledger_table;
    if !ledger::exists(connection, &place.ledger)? {
        return Ok(Finding::new(Fine, "ledger", format!("no {table} yet; the first load makes it")));
    }
    let mut streams: Vec<_> =
        ledger::read(connection, &place.ledger, None)?.into_iter().map(|row| row.lane.stream).collect();
    streams.dedup();
    Ok(Finding::new(Fine, "ledger", format!("{table} knows {} streams", streams.len())))
}

fn dead_letters(connection: &Connection, _: &Place) -> Result<Finding, WorkError> {
    let tables = "SELECT name FROM main.sqlite_schema WHERE type = 'table' \
                  AND 3 = (SELECT count(*) FROM pragma_table_info(sqlite_schema.name) \
                           WHERE name IN ('target_table', 'ordinal', 'kept_at'))";
    let mut statement = connection.prepare(tables)?;
    let names: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut kept = Vec::new();
    for name in &names {
        let query = format!("SELECT count(*) FROM main.{}", crate::name::quoted(name)?);
        let letters: i64 = connection.query_row(&query, [], |row| row.get(0))?;
        kept.push(format!("{letters} in {name}"));
    }
    if names.is_empty() || kept.iter().all(|kept| kept.starts_with("0 ")) {
        return Ok(Finding::new(Fine, "dead letters", "none are kept in this database"));
    }
    let message = format!("{}; look at them, repair and load them again", kept.join(", "));
    Ok(Finding::new(Notice, "dead letters", message))
}
