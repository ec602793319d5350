//! What SQLite's codes mean for the caller.

use std::path::Path;

use rusqlite::{ErrorCode, ffi};
use standpipe_core::{Error, ErrorKind};

use crate::{holder, settings::Settings};

pub(crate) fn code_of(error: &rusqlite::Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

/// Whether the error is about the values of one row, so that other rows can go on. Only for statements that were
/// prepared in the same transaction: what is wrong with the table would have shown then.
pub(crate) fn is_row_error(error: &rusqlite::Error) -> bool {
    matches!(
        code_of(error),
        Some(
            ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig | ErrorCode::Unknown
        )
    )
}

/// The error for callers: what happened, and what they can do.
pub(crate) fn refused(path: &Path, settings: &Settings, error: rusqlite::Error, doing: &str) -> Error {
    let shown = path.display();
    let said = said(&error);
    let Some(code) = code_of(&error) else {
        return Error::invalid(format!("{shown}: {doing}: {said}")).with_source(error);
    };
    let (kind, advice) = match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => (ErrorKind::Retry, locked(path, settings)),
        ErrorCode::DiskFull => (
            ErrorKind::Retry,
            "the disk or the database's own page limit is full; make room, then the same call succeeds".to_owned(),
        ),
        ErrorCode::SystemIoFailure => {
            (ErrorKind::Retry, "the file could not be read or written; look at the disk and the system's log".to_owned())
        }
        ErrorCode::OutOfMemory
        | ErrorCode::OperationInterrupted
        | ErrorCode::OperationAborted
        | ErrorCode::SchemaChanged
        | ErrorCode::FileLockingProtocolFailed => (ErrorKind::Retry, "nothing was changed; try again".to_owned()),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => (
            ErrorKind::Invalid,
            "the database is read-only; give this user the right to write to the file and its directory".to_owned(),
        ),
        ErrorCode::CannotOpen => (
            ErrorKind::Invalid,
            "the file, or its -wal or -shm file, cannot be opened; look at the rights of the file and its directory"
                .to_owned(),
        ),
        ErrorCode::NotADatabase => {
            (ErrorKind::Invalid, "this file is no SQLite database, or it is encrypted".to_owned())
        }
        ErrorCode::DatabaseCorrupt => (
            ErrorKind::Corrupt,
            "the database is damaged; restore it, or try `sqlite3 FILE .recover` on a copy".to_owned(),
        ),
        _ => return coded(ErrorKind::Invalid, format!("{shown}: {doing}: {said}"), error),
    };
    coded(kind, format!("{shown}: {doing}: {advice} ({said})"), error)
}

pub(crate) fn coded(kind: ErrorKind, message: String, error: rusqlite::Error) -> Error {
    let name = code_name(&error);
    let failed = Error::new(kind, message).with_source(error);
    match name {
        Some(name) => failed.with_code(name),
        None => failed,
    }
}

fn locked(path: &Path, settings: &Settings) -> String {
    let by = holder::of(path).unwrap_or_else(|| "another process or connection".to_owned());
    format!(
        "the database is locked by {by} for longer than the {:?} of busy_timeout; let it finish or end it, then the \
         same call succeeds",
        settings.busy_timeout
    )
}

/// SQLite's own words.
pub(crate) fn said(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, None) => ffi::code_to_str(code.extended_code).to_owned(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

/// The name of the error's extended code, as SQLite's documentation has it.
pub(crate) fn code_name(error: &rusqlite::Error) -> Option<String> {
    let extended = error.sqlite_error()?.extended_code;
    let name = match extended {
        ffi::SQLITE_CONSTRAINT_CHECK => "SQLITE_CONSTRAINT_CHECK",
        ffi::SQLITE_CONSTRAINT_DATATYPE => "SQLITE_CONSTRAINT_DATATYPE",
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => "SQLITE_CONSTRAINT_FOREIGNKEY",
        ffi::SQLITE_CONSTRAINT_NOTNULL => "SQLITE_CONSTRAINT_NOTNULL",
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY => "SQLITE_CONSTRAINT_PRIMARYKEY",
        ffi::SQLITE_CONSTRAINT_ROWID => "SQLITE_CONSTRAINT_ROWID",
        ffi::SQLITE_CONSTRAINT_TRIGGER => "SQLITE_CONSTRAINT_TRIGGER",
        ffi::SQLITE_CONSTRAINT_UNIQUE => "SQLITE_CONSTRAINT_UNIQUE",
        ffi::SQLITE_CONSTRAINT_VTAB => "SQLITE_CONSTRAINT_VTAB",
        ffi::SQLITE_READONLY_DIRECTORY => "SQLITE_READONLY_DIRECTORY",
        _ => match extended & 0xff {
            ffi::SQLITE_ERROR => "SQLITE_ERROR",
            ffi::SQLITE_PERM => "SQLITE_PERM",
            ffi::SQLITE_ABORT => "SQLITE_ABORT",
            ffi::SQLITE_BUSY => "SQLITE_BUSY",
            ffi::SQLITE_LOCKED => "SQLITE_LOCKED",
            ffi::SQLITE_NOMEM => "SQLITE_NOMEM",
            ffi::SQLITE_READONLY => "SQLITE_READONLY",
            ffi::SQLITE_INTERRUPT => "SQLITE_INTERRUPT",
            ffi::SQLITE_IOERR => "SQLITE_IOERR",
            ffi::SQLITE_CORRUPT => "SQLITE_CORRUPT",
            ffi::SQLITE_FULL => "SQLITE_FULL",
            ffi::SQLITE_CANTOPEN => "SQLITE_CANTOPEN",
            ffi::SQLITE_PROTOCOL => "SQLITE_PROTOCOL",
            ffi::SQLITE_SCHEMA => "SQLITE_SCHEMA",
            ffi::SQLITE_TOOBIG => "SQLITE_TOOBIG",
            ffi::SQLITE_CONSTRAINT => "SQLITE_CONSTRAINT",
            ffi::SQLITE_MISMATCH => "SQLITE_MISMATCH",
            ffi::SQLITE_NOTADB => "SQLITE_NOTADB",
            _ => return Some(format!("SQLITE_{extended}")),
        },
    };
    let is_family = extended & 0xff == extended || name.len() > "SQLITE_CONSTRAINT_".len();
    Some(if is_family { name.to_owned() } else { format!("{name} {extended}") })
}
