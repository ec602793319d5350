use sqlx_core::{Error as SqlxError, database::Database, error::DatabaseError};
use standpipe_core::{Error, ErrorKind};

/// What standpipe makes of an error of sqlx: what to do about it, the database's own code, its text, and the error itself as
/// its source.
///
/// | kind | what |
/// |---|---|
/// | `Retry` | no connection in time, I/O, a crashed worker, what the database calls passing: busy, too many connections, starting up, deadlocks |
/// | `Closed` | the pool is closed |
/// | `Invalid` | everything else: a refused password, TLS, a wrong statement |
///
/// It never says `InDoubt`: whether a commit was under way is what its caller knows.
#[must_use]
pub fn error_of<DB: Database>(error: SqlxError) -> Error {
    let (kind, code) = match &error {
        SqlxError::PoolTimedOut | SqlxError::Io(_) | SqlxError::Protocol(_) | SqlxError::WorkerCrashed => {
            (ErrorKind::Retry, None)
        }
        SqlxError::PoolClosed => (ErrorKind::Closed, None),
        SqlxError::Database(refused) => {
            let code = refused.code().map(String::from);
            (kind_of(&**refused, code.as_deref().unwrap_or_default(), DB::NAME), code)
        }
        _ => (ErrorKind::Invalid, None),
    };
    let told = Error::new(kind, error.to_string()).with_source(error);
    match code {
        Some(code) => told.with_code(code),
        None => told,
    }
}

fn kind_of(error: &dyn DatabaseError, code: &str, database: &str) -> ErrorKind {
    let passes = error.is_transient_in_connect_phase()
        || if database == "SQLite" {
            is_busy(code)
        } else {
            PASSING.iter().any(|class| code.starts_with(class))
        };
    if passes { ErrorKind::Retry } else { ErrorKind::Invalid }
}

/// Of SQLSTATE: the connection failed, deadlock or serialization, no resources, an operator stepped in.
const PASSING: &[&str] = &["08", "40", "53", "57P"];

/// `SQLITE_BUSY` and `SQLITE_LOCKED`, which are the low byte of what says more.
fn is_busy(code: &str) -> bool {
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xFF, 5 | 6))
}

#[cfg(test)]
mod tests {
    use super::is_busy;

    #[test]
    fn extended_codes_are_busy_too() {
        assert!(["5", "6", "261", "517"].into_iter().all(is_busy));
        assert!(!["", "1", "14", "1555"].into_iter().any(is_busy));
    }
}
