//! Dead letters in a table of the same database.

use std::{fmt::Write, sync::Arc};

use bytes::Bytes;
use standpipe_core::{DeadLetter, Error, LaneId, LetterId, LetterPage, StreamId, TableName};

use crate::{
    error::Failure,
    ledger::{corrupt, is_absent, stored},
    link::{Answer, Link},
    name::{literal, literal_or_null, plain, push_literal, quoted_table},
    session::Session,
    table::{granted, is_made_twice, needs_rights},
};

const COLUMNS: &str = "stream, lane, position, ordinal, target_schema, target_table, origin, line, column_name, code, reason, row_text, row_bytes";

/// The table of dead letters where nobody says another one.
pub(crate) const TABLE: &str = "standpipe_dead_letters";

/// Letters of one statement.
const LETTERS_MAX: usize = 500;

/// Keeps letters as part of the open transaction; one that is there already is written again.
pub(crate) async fn keep(
    session: &mut Session,
    table: &TableName,
    letters: &[DeadLetter],
) -> Result<(), Error> {
    let name = quoted_table(table)?;
    let failed = |failure: Failure| failure.explain(&format!("keeping dead letters in {table}"));
    for letters in letters.chunks(LETTERS_MAX) {
        session.mark().await.map_err(failed)?;
        session.wrote();
        let statement = insert(&name, letters, Letters::All)?;
        match session.ask(&statement).await {
            Ok(_) => continue,
            Err(Failure::Server(refusal)) if is_absent(&refusal) => {}
            Err(Failure::Server(refusal)) if refusal.code == LACKS_A_LETTER => {
                if keep_plainly(session, &name, letters).await.map_err(failed)? {
                    continue;
                }
            }
            Err(failure) => return Err(failed(failure)),
        }
        session.undo().await.map_err(failed)?;
        session.wrote();
        let create = create_statement(&name);
        match session.ask(&create).await {
            Ok(_) => {}
            // Made by a transaction that has ended meanwhile.
            Err(Failure::Server(refusal)) if is_made_twice(&refusal) => {
                session.undo().await.map_err(failed)?;
                session.wrote();
            }
            Err(Failure::Server(refusal)) if refusal.code == "42501" => {
                let rights = "SELECT, INSERT, UPDATE, DELETE";
                return Err(needs_rights(&refusal, &granted(&create, &name, rights, session.link()?)?));
            }
            Err(failure) => return Err(failed(failure)),
        }
        session.mark().await.map_err(failed)?;
        session.wrote();
        match session.ask(&statement).await {
            Ok(_) => {}
            Err(Failure::Server(refusal)) if refusal.code == LACKS_A_LETTER => {
                keep_plainly(session, &name, letters).await.map_err(failed)?;
            }
            Err(failure) => return Err(failed(failure)),
        }
    }
    Ok(())
}

/// `untranslatable_character`: the database's encoding has no such letter.
const LACKS_A_LETTER: &str = "22P05";

/// Which letters of the alphabet a statement may hold.
#[derive(Clone, Copy, PartialEq)]
enum Letters {
    All,
    /// ASCII, which every encoding has.
    Plain,
}

/// Keeps letters where the database cannot hold all of their text: rows as bytes, the rest with escapes. `false` when there
/// is no such table.
async fn keep_plainly(session: &mut Session, name: &str, letters: &[DeadLetter]) -> Result<bool, Failure> {
    session.undo().await?;
    session.wrote();
    let statement = insert(name, letters, Letters::Plain).map_err(Failure::Connection)?;
    match session.ask(&statement).await {
        Ok(_) => Ok(true),
        Err(Failure::Server(refusal)) if is_absent(&refusal) => Ok(false),
        Err(failure) => Err(failure),
    }
}

fn insert(table: &str, letters: &[DeadLetter], may_hold: Letters) -> Result<String, Error> {
    let clean = |text: &str| match may_hold {
        Letters::All => clean(text),
        Letters::Plain => plain(&clean(text)),
    };
    let mut sql = format!("INSERT INTO {table} ({COLUMNS}, kept_at) VALUES ");
    for (index, letter) in letters.iter().enumerate() {
        if index > 0 {
            sql.push_str(", ");
        }
        let line =
            letter.line.map(stored).transpose()?.map_or_else(|| "NULL".to_owned(), |line| line.to_string());
        let _ = write!(
            sql,
            "({}, {}, {}, {}, {}, {}, {}, {line}, {}, {}, {}, ",
            literal(letter.lane.stream.as_str()),
            letter.lane.lane,
            stored(letter.position)?,
            letter.ordinal,
            literal_or_null(letter.table.schema.as_deref()),
            literal(&letter.table.name),
            literal(&clean(&letter.origin)),
            literal_or_null(letter.column.as_deref().map(&clean).as_deref()),
            literal_or_null(letter.code.as_deref().map(&clean).as_deref()),
            literal(&clean(&letter.reason)),
        );
        // Readable for people where it is text; any bytes otherwise.
        let may_be_text = |text: &&str| !text.contains('\0') && (may_hold == Letters::All || text.is_ascii());
        match std::str::from_utf8(&letter.row).ok().filter(may_be_text) {
            Some(text) => {
                push_literal(text, &mut sql);
                sql.push_str(", NULL");
            }
            None => {
                sql.push_str("NULL, '\\x");
                letter.row.iter().for_each(|byte| {
                    let _ = write!(sql, "{byte:02x}");
                });
                sql.push_str("'::bytea");
            }
        }
        sql.push_str(", clock_timestamp())");
    }
    sql.push_str(
        " ON CONFLICT (stream, lane, position, ordinal) DO UPDATE SET target_schema = excluded.target_schema, target_table = excluded.target_table, \
         origin = excluded.origin, line = excluded.line, column_name = excluded.column_name, code = excluded.code, \
         reason = excluded.reason, row_text = excluded.row_text, row_bytes = excluded.row_bytes, \
         kept_at = excluded.kept_at",
    );
    Ok(sql)
}

/// Text without NUL, which the server does not hold.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

/// Takes letters out as part of the open transaction. One that another transaction is taking out is waited for.
pub(crate) async fn withdraw(
    session: &mut Session,
    table: &TableName,
    letters: &[LetterId],
) -> Result<u64, Error> {
    let name = quoted_table(table)?;
    let failed = |failure: Failure| failure.explain(&format!("withdrawing dead letters from {table}"));
    let mut withdrawn = 0;
    for letters in letters.chunks(LETTERS_MAX) {
        session.mark().await.map_err(failed)?;
        session.wrote();
        let mut ids = Vec::with_capacity(letters.len());
        for id in letters {
            let stream = literal(id.lane.stream.as_str());
            ids.push(format!("({stream}, {}, {}, {})", id.lane.lane, stored(id.position)?, id.ordinal));
        }
        // In their own order: two who withdraw the same letters never wait on each other.
        let statement = format!(
            "WITH held AS (SELECT stream, lane, position, ordinal FROM {name} WHERE {ID} IN ({}) \
             ORDER BY stream, lane, position, ordinal FOR UPDATE) \
             DELETE FROM {name} t USING held h \
             WHERE (t.stream, t.lane, t.position, t.ordinal) = (h.stream, h.lane, h.position, h.ordinal)",
            ids.join(", ")
        );
        match session.ask(&statement).await {
            Ok(answer) => withdrawn += answer.touched.first().copied().unwrap_or(0),
            Err(Failure::Server(refusal)) if is_absent(&refusal) => session.undo().await.map_err(failed)?,
            Err(failure) => return Err(failed(failure)),
        }
    }
    Ok(withdrawn)
}

/// What names a letter, and the order of the letters.
const ID: &str = "(stream, lane, position, ordinal)";

/// The letters of a page in the order of their ids; none when there is no such table.
pub(crate) async fn read(
    link: &mut Link,
    table: &TableName,
    page: &LetterPage,
) -> Result<Vec<DeadLetter>, Error> {
    let behind = match &page.after {
        None => String::new(),
        Some(id) => {
            let stream = literal(id.lane.stream.as_str());
            format!(" WHERE {ID} > ({stream}, {}, {}, {})", id.lane.lane, stored(id.position)?, id.ordinal)
        }
    };
    let size = "coalesce(octet_length(row_text), octet_length(row_bytes), 0)";
    let order = "ORDER BY stream, lane, position, ordinal";
    let query = format!(
        "SELECT stream, lane::text, position::text, ordinal::text, target_schema, target_table, origin, line::text, column_name, \
         code, reason, row_text, encode(row_bytes, 'hex') FROM \
         (SELECT p.*, sum({size}) OVER ({order}) - {size} AS before FROM \
         (SELECT * FROM {}{behind} {order} LIMIT {}) p) q WHERE before < {} \
         ORDER BY q.stream, q.lane, q.position, q.ordinal",
        quoted_table(table)?,
        page.letters_max.min(i64::MAX as u64),
        page.bytes_max.min(i64::MAX as u64),
    );
    match link.ask(&query).await {
        Ok(answer) => answer.rows.iter().map(|row| letter(row)).collect(),
        Err(Failure::Server(refusal)) if is_absent(&refusal) => Ok(Vec::new()),
        Err(failure) => Err(failure.explain(&format!("reading the dead letters in {table}"))),
    }
}

/// Makes the table of dead letters of this name, in quotes.
pub(crate) fn create_statement(name: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {name} (
    stream       text COLLATE \"C\" NOT NULL,
    lane         integer     NOT NULL,
    position     bigint      NOT NULL,
    ordinal      bigint      NOT NULL,
    target_schema text,
    target_table text        NOT NULL,
    origin       text        NOT NULL,
    line         bigint,
    column_name  text,
    code         text,
    reason       text        NOT NULL,
    row_text     text,
    row_bytes    bytea,
    kept_at      timestamptz NOT NULL,
    PRIMARY KEY (stream, lane, position, ordinal)
)"
    )
}

fn letter(row: &[Option<String>]) -> Result<DeadLetter, Error> {
    let text = |column| Answer::text(row, column);
    let optional = |column: usize| row.get(column).cloned().flatten();
    let wrong = || corrupt("the dead letters' table holds what was never written".to_owned());
    let number = |column| text(column)?.parse::<u64>().map_err(|_| wrong());
    let small = |column| text(column)?.parse::<u32>().map_err(|_| wrong());
    let kept = match (optional(11), optional(12)) {
        (Some(text), _) => Bytes::from(text),
        (None, Some(hex)) => Bytes::from(bytes_of(&hex).ok_or_else(wrong)?),
        (None, None) => Bytes::new(),
    };
    Ok(DeadLetter {
        lane: LaneId { stream: StreamId::new(text(0)?)?, lane: small(1)? },
        position: number(2)?,
        ordinal: small(3)?,
        table: TableName { schema: optional(4), name: text(5)?.to_owned() },
        origin: Arc::from(text(6)?),
        line: optional(7).and_then(|line| line.parse().ok()),
        column: optional(8),
        code: optional(9),
        reason: text(10)?.to_owned(),
        row: kept,
    })
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
