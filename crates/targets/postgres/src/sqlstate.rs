//! What PostgreSQL's error codes mean for the caller. <https://www.postgresql.org/docs/current/errcodes-appendix.html>

use standpipe_core::ErrorKind;

/// What an error of a statement says about what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// A row of the statement is bad; the others may be good.
    Row,
    /// The table is not as it was when the statement was made.
    Shape,
    /// Of the whole transaction.
    Transaction(ErrorKind),
}

/// Codes that only pass: the same transaction may succeed later.
const PASSING: &[&str] = &[
    "25006", // read_only_sql_transaction: after a failover, until the new primary is found
    "25P02", // in_failed_sql_transaction
    "25P03", // idle_in_transaction_session_timeout
    "25P04", // transaction_timeout
    "40001", // serialization_failure
    "40P01", // deadlock_detected
    "55006", // object_in_use
    "55P03", // lock_not_available
    "57014", // query_canceled, statement_timeout
    "57P05", // idle_session_timeout
];

/// Codes of statements that no longer fit their table.
const SHAPE: &[&str] = &[
    "08P01", // protocol_violation: the column's type is wider now than what was copied
    "22P03", // invalid_binary_representation: the column has another type now
    "22P04", // bad_copy_file_format
    "42703", // undefined_column
    "42704", // undefined_object: a type
    "42804", // datatype_mismatch
    "42P01", // undefined_table
    "42P10", // invalid_column_reference: the key has lost its index
    "428C9", // generated_always
    "0A000", // feature_not_supported: cached plan must not change result type
];

/// What a statement that writes rows met.
pub(crate) fn of_write(code: &str) -> Means {
    if SHAPE.contains(&code) {
        return Means::Shape;
    }
    match &code[..code.len().min(2)] {
        // Whatever a trigger raises is about its row, also under a code of its own.
        _ if code == "42622" => Means::Row, // name_too_long: a value of type name
        "22" | "23" | "21" | "44" | "54" | "P0" | "38" | "39" | "2F" | "09" => Means::Row,
        _ if PASSING.contains(&code) || is_kind_known(code) => Means::Transaction(of(code)),
        _ => Means::Row,
    }
}

/// What a statement met that writes no rows, or a connection.
pub(crate) fn of(code: &str) -> ErrorKind {
    if PASSING.contains(&code) {
        return ErrorKind::Retry;
    }
    match &code[..code.len().min(2)] {
        // Connections, resources (disk, memory, connections), interventions, the server's system.
        "08" | "53" | "57" | "58" => ErrorKind::Retry,
        "XX" if matches!(code, "XX001" | "XX002") => ErrorKind::Corrupt,
        _ => ErrorKind::Invalid,
    }
}

/// Classes whose errors concern more than rows.
fn is_kind_known(code: &str) -> bool {
    const CLASSES: &[&str] = &[
        "08", "0A", "0B", "0L", "0P", "25", "26", "28", "2D", "34", "3B", "3D", "3F", "40", "42", "53", "55",
        "57", "58", "72", "F0", "XX",
    ];
    CLASSES.contains(&&code[..code.len().min(2)])
}

/// Whether a COMMIT that was answered with this has certainly not been carried out. Everything else is in doubt: a
/// shutdown may end the connection behind a commit that is on disk.
pub(crate) fn refuses_commit(code: &str) -> bool {
    matches!(code, "40001" | "40P01" | "40002" | "25P02" | "25P03" | "25P04")
        || matches!(&code[..code.len().min(2)], "22" | "23" | "44" | "P0")
}

/// What the reader can do about it, where that is not in the server's own words.
pub(crate) fn advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "28P01" | "28000" => {
            "check the user and its password (in the URL, PGPASSWORD, PGPASSFILE or the service file) and the \
             server's pg_hba.conf"
        }
        "3D000" => "name a database that exists, or create it first",
        "3F000" => "name a schema that exists, or create it first",
        "42501" => "grant the role what it lacks",
        "25006" => {
            "this server takes no writes now: a standby, or a primary that was demoted; waiting for a primary"
        }
        "53300" => {
            "the server has no connection left; lower the number of connections, or raise max_connections"
        }
        "53100" => "the server's disk is full; make room, then the same call succeeds",
        "57014" => {
            "a statement_timeout of the role, or somebody, cut it off: raise the timeout, or send smaller batches"
        }
        "55P03" => "somebody else holds the lock",
        "57P03" => "the server is starting, stopping or recovering",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_what_to_do() {
        for code in ["40001", "40P01", "55P03", "57P01", "57P03", "53300", "53100", "25006", "08006", "57014"]
        {
            assert_eq!(of(code), ErrorKind::Retry, "{code}");
            assert_eq!(of_write(code), Means::Transaction(ErrorKind::Retry), "{code}");
        }
        for code in ["28P01", "42501", "3D000", "42601"] {
            assert_eq!(of(code), ErrorKind::Invalid, "{code}");
            assert_eq!(of_write(code), Means::Transaction(ErrorKind::Invalid), "{code}");
        }
        for code in ["22003", "22021", "23505", "23502", "23503", "23514", "P0001", "54000", "21000", "U1234"]
        {
            assert_eq!(of_write(code), Means::Row, "{code}");
        }
        assert_eq!(of_write("42703"), Means::Shape);
        assert_eq!(of("XX001"), ErrorKind::Corrupt);
    }

    #[test]
    fn only_a_certain_refusal_of_a_commit_is_no_doubt() {
        assert!(refuses_commit("23503") && refuses_commit("40001"));
        for code in ["57P01", "57P02", "08006", "XX000", "58030", "40003"] {
            assert!(!refuses_commit(code), "{code}");
        }
    }
}
