//! The ledger's statements.

use standpipe_core::{
    Advance, Claim, ClaimRequest, Error, ErrorKind, LEDGER_FORMAT, LaneId, LedgerRow, SourceId, StreamId,
    TableName, Verdict,
};

use crate::{
    error::{Failure, Refusal},
    link::{Answer, Link},
    name::{literal, quoted_table},
    planted::{self, Plant},
    session::{Session, unopened},
    table::{granted, is_made_twice, needs_rights},
};

/// How often a claim begins anew because another one came first.
const ATTEMPTS_MAX: u32 = 8;

/// The ledger by its name, and the texts that it takes.
pub(crate) struct Ledger {
    /// In quotes.
    pub(crate) table: String,
    pub(crate) create: String,
    read: String,
}

impl Ledger {
    pub(crate) fn new(table: &TableName) -> Result<Self, Error> {
        let name = quoted_table(table)?;
        Ok(Ledger {
            create: format!(
                "CREATE TABLE IF NOT EXISTS {name} (
    stream          text COLLATE \"C\" NOT NULL,
    lane            integer     NOT NULL,
    lanes           integer     NOT NULL,
    epoch           bigint      NOT NULL,
    position        bigint      NOT NULL,
    source          text        NOT NULL,
    source_position text        NOT NULL,
    complete        boolean     NOT NULL,
    format          integer     NOT NULL,
    owner           text        NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (stream, lane)
) WITH (fillfactor = 50)"
            ),
            read: format!(
                "SELECT stream, lane::text, lanes::text, epoch::text, position::text, source, source_position, \
                 complete::text, format::text, owner, \
                 to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') FROM {name} l"
            ),
            table: name,
        })
    }

    fn of_stream(&self, stream: &StreamId) -> String {
        format!("{} WHERE stream = {} ORDER BY l.lane", self.read, literal(stream.as_str()))
    }
}

/// The rows of one stream or of all; none when there is no ledger.
pub(crate) async fn read(
    link: &mut Link,
    ledger: &Ledger,
    stream: Option<&StreamId>,
) -> Result<Vec<LedgerRow>, Error> {
    let query = match stream {
        Some(stream) => ledger.of_stream(stream),
        None => format!("{} ORDER BY l.stream, l.lane", ledger.read),
    };
    match link.ask(&query).await {
        Ok(answer) => answer.rows.iter().map(|row| ledger_row(row)).collect(),
        Err(Failure::Server(refusal)) if is_absent(&refusal) => Ok(Vec::new()),
        Err(failure) => Err(explained(failure, "reading the ledger", stream)),
    }
}

/// Takes all lanes of a stream; empty when its source is complete. `begin` opens a transaction.
pub(crate) async fn claim(
    link: &mut Link,
    ledger: &Ledger,
    begin: &str,
    request: &ClaimRequest,
) -> Result<Vec<Claim>, Error> {
    refuse_what_is_no_ledger(link, ledger).await?;
    // A complete source stays so: nothing is locked, and nothing has to be writable.
    let rows = read(link, ledger, Some(&request.stream)).await?;
    if request.judge(&rows)? == Verdict::Complete {
        return Ok(Vec::new());
    }
    for _ in 0..ATTEMPTS_MAX {
        link.set_in_transaction(true);
        link.ask(begin).await.map_err(unopened)?;
        let claimed = claim_in(link, ledger, request).await;
        let ended = link.ask(if matches!(claimed, Ok(Step::Taken(_))) { "COMMIT" } else { "ROLLBACK" }).await;
        if ended.is_ok() {
            link.set_in_transaction(false);
        }
        match claimed? {
            // A claim that is not known to be committed may be made again: the next one has a higher epoch.
            Step::Taken(claims) => {
                return ended.map(|_| claims).map_err(|failure| failure.explain("claiming the stream"));
            }
            Step::Complete => return Ok(Vec::new()),
            Step::Missing => make(link, ledger, begin).await?,
            Step::Again => {}
        }
    }
    Err(Error::retry(format!("others claim stream {} at the same time, again and again", request.stream)))
}

/// A ledger that a crash empties would let everything be loaded a second time; one with policies may look empty.
async fn refuse_what_is_no_ledger(link: &mut Link, ledger: &Ledger) -> Result<(), Error> {
    let query = format!(
        "SELECT relpersistence::text, pg_catalog.row_security_active(oid)::text FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass({})",
        literal(&ledger.table)
    );
    let answer = link.ask(&query).await.map_err(|failure| failure.explain("looking at the ledger"))?;
    match answer.rows.first() {
        Some(row) if Answer::text(row, 0)? != "p" => Err(Error::invalid(not_kept(ledger))),
        Some(row) if Answer::text(row, 1)? == "true" => Err(Error::invalid(format!(
            "policies of the ledger {} apply to this role, and would hide its own place from it; have an owner run: ALTER TABLE {0} \
             DISABLE ROW LEVEL SECURITY;",
            ledger.table
        ))),
        _ => Ok(()),
    }
}

pub(crate) fn not_kept(ledger: &Ledger) -> String {
    let table = &ledger.table;
    format!(
        "the ledger {table} is UNLOGGED or temporary: a crash empties it, and everything would be loaded again; run: ALTER TABLE \
         {table} SET LOGGED;"
    )
}

enum Step {
    Taken(Vec<Claim>),
    Complete,
    /// There is no ledger yet.
    Missing,
    /// Another claim of a new stream came first.
    Again,
}

async fn claim_in(link: &mut Link, ledger: &Ledger, request: &ClaimRequest) -> Result<Step, Error> {
    // Waits for commits in flight; what it returns is final.
    let rows = match link.ask(&format!("{} FOR UPDATE", ledger.of_stream(&request.stream))).await {
        Ok(answer) => answer.rows.iter().map(|row| ledger_row(row)).collect::<Result<Vec<_>, Error>>()?,
        Err(Failure::Server(refusal)) if is_absent(&refusal) => Vec::new(),
        Err(failure) => return Err(failure.explain("claiming the stream")),
    };
    let stream = literal(request.stream.as_str());
    let statement = match request.judge(&rows)? {
        Verdict::Complete => return Ok(Step::Complete),
        Verdict::Insert { lanes } => {
            let (origin, owner) = (stored(request.origin)?, literal(&request.owner));
            let source = literal(request.source.as_str());
            format!(
                "INSERT INTO {} SELECT {stream}, lane, {lanes}, 1, {origin}, {source}, '', false, {LEDGER_FORMAT}, \
                 {owner}, clock_timestamp() FROM generate_series(0, {}) lane",
                ledger.table,
                lanes - 1
            )
        }
        Verdict::Take => {
            if let Some(row) = rows.iter().find(|row| row.epoch >= i64::MAX as u64) {
                return Err(corrupt(format!("{} has the last epoch there is", row.lane)));
            }
            format!(
                "UPDATE {} SET epoch = epoch + 1, owner = {}, complete = false, updated_at = clock_timestamp() \
                 WHERE stream = {stream}",
                ledger.table,
                literal(&request.owner)
            )
        }
    };
    match link.ask(&statement).await {
        Ok(_) => {}
        // Rows of the savepoint's transaction are gone; the caller rolls back.
        Err(Failure::Server(refusal)) if is_absent(&refusal) || refusal.code == "25P02" => {
            return Ok(Step::Missing);
        }
        Err(Failure::Server(refusal)) if refusal.code == "23505" => return Ok(Step::Again),
        Err(failure) => return Err(explained(failure, "claiming the stream", Some(&request.stream))),
    }
    let answer = link.ask(&ledger.of_stream(&request.stream)).await;
    let answer = answer.map_err(|failure| failure.explain("claiming the stream"))?;
    let claims = answer.rows.iter().map(|row| {
        ledger_row(row).map(|row| Claim {
            lane: row.lane,
            lanes: row.lanes,
            epoch: row.epoch,
            position: row.position,
            source_position: row.source_position,
        })
    });
    Ok(Step::Taken(claims.collect::<Result<_, Error>>()?))
}

/// Makes the ledger, unless somebody else just has.
async fn make(link: &mut Link, ledger: &Ledger, begin: &str) -> Result<(), Error> {
    match link.ask_alone(begin, &ledger.create).await {
        Ok(_) => Ok(()),
        Err(Failure::Server(refusal)) if is_made_twice(&refusal) => Ok(()),
        Err(Failure::Server(refusal)) if refusal.code == "42501" => Err(needs_rights(
            &refusal,
            &granted(&ledger.create, &ledger.table, "SELECT, INSERT, UPDATE", link)?,
        )),
        Err(failure) => Err(failure.explain("making the ledger")),
    }
}

/// Moves a lane within the branch's transaction. The row stays locked until its end: nothing can come between this check
/// and the commit.
pub(crate) async fn advance(
    session: &mut Session,
    ledger: &Ledger,
    claim: &Claim,
    to: &Advance,
) -> Result<(), Error> {
    let statement = format!(
        "UPDATE {} SET position = {}, source_position = {}, complete = {}, updated_at = clock_timestamp() \
         WHERE {} AND epoch = {} AND position = {}{}",
        ledger.table,
        stored(to.position)?,
        literal(&to.source_position),
        to.complete,
        lane_is(&claim.lane),
        stored(claim.epoch)?,
        stored(claim.position)?,
        session.proof(),
    );
    let statement = if planted::is(Plant::FenceOutside) {
        format!(
            "SELECT FROM {} WHERE {} AND epoch = {}",
            ledger.table,
            lane_is(&claim.lane),
            stored(claim.epoch)?
        )
    } else {
        statement
    };
    let fenced = || Error::Fenced { lane: claim.lane.clone(), epoch: claim.epoch };
    let moved = match session.ask(&statement).await {
        Ok(answer) => {
            if !planted::is(Plant::FenceOutside) {
                session.prove(&answer)?;
            }
            answer.touched.first().copied().unwrap_or(0)
        }
        // Only a session that is made to run at a higher level meets this: somebody else moved the row.
        Err(Failure::Server(refusal)) if refusal.code == "40001" => return Err(fenced()),
        Err(failure) => return Err(failure.explain("moving the ledger's position")),
    };
    match moved {
        1 => Ok(()),
        0 => Err(fenced()),
        rows => Err(corrupt(format!("the ledger has {rows} rows of {}", claim.lane))),
    }
}

/// The condition that names a lane's row.
pub(crate) fn lane_is(lane: &LaneId) -> String {
    format!("stream = {} AND lane = {}", literal(lane.stream.as_str()), lane.lane)
}

/// With the name at fault, where the database has no letters for it.
fn explained(failure: Failure, doing: &str, stream: Option<&StreamId>) -> Error {
    match (failure, stream) {
        (Failure::Server(refusal), Some(stream)) if refusal.code == "22P05" => {
            let message = format!(
                "{doing}: the database's encoding has no place for a letter of the stream's name {:?}, its source or its owner; give \
                 the stream (or the file) another name: {}",
                stream.as_str(),
                refusal.said()
            );
            Error::invalid(message).with_code(refusal.code)
        }
        (failure, _) => failure.explain(doing),
    }
}

pub(crate) fn is_absent(refusal: &Refusal) -> bool {
    matches!(refusal.code.as_str(), "42P01" | "3F000")
}

/// A number as the server's integers hold it.
pub(crate) fn stored(number: u64) -> Result<i64, Error> {
    i64::try_from(number).map_err(|_| {
        Error::invalid(format!(
            "{number} is beyond {}, the highest number that PostgreSQL can keep",
            i64::MAX
        ))
    })
}

pub(crate) fn corrupt(message: String) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

fn ledger_row(row: &[Option<String>]) -> Result<LedgerRow, Error> {
    let text = |column| Answer::text(row, column);
    let large = |column| text(column)?.parse::<u64>().map_err(|_| out_of_range());
    let small = |column| text(column)?.parse::<u32>().map_err(|_| out_of_range());
    Ok(LedgerRow {
        lane: LaneId { stream: StreamId::new(text(0)?)?, lane: small(1)? },
        lanes: small(2)?,
        epoch: large(3)?,
        position: large(4)?,
        source: SourceId::new(text(5)?)?,
        source_position: text(6)?.to_owned(),
        complete: text(7)? == "true",
        format: small(8)?,
        owner: text(9)?.to_owned(),
        updated_at: text(10)?.to_owned(),
    })
}

fn out_of_range() -> Error {
    corrupt("the ledger holds a number that was never written".to_owned())
}
