//! Merges by way of a temporary table: rows are copied there at the speed of COPY, and go on within the server.

use std::ops::Range;

use standpipe_core::{Block, Error};

use crate::{
    blame::{self, Blame},
    copy::{Copying, Doubts, Refused, Stop, append, stopped},
    error::{Failure, Refusal},
    keys::KeyOrder,
    merge::Merge,
    plan::Plan,
    rows::Rows,
    session::Session,
    sqlstate::{self, Means},
    unnest::Arrays,
};

/// Copies the rows into the stage and merges them from there. Returns the refused ones in no order.
pub(crate) async fn merge(
    session: &mut Session,
    plan: &Plan,
    merge: &Merge,
    rows: &mut Rows,
    blocks: &[Block],
    keys: KeyOrder,
) -> Result<Vec<Refused>, Stop> {
    let stage = &merge.stage;
    let mark = session.marking();
    session.wrote();
    // Rows of an earlier batch of this transaction may be left in it.
    let make = format!(
        "{mark}SET LOCAL client_min_messages = warning; {}; DELETE FROM {stage}; \
         RELEASE SAVEPOINT standpipe; SAVEPOINT standpipe",
        merge.make_stage
    );
    ask(session, &make).await?;
    session.was_marked();
    let statement =
        format!("COPY {stage} ({}, {}) FROM STDIN {}", merge.names, merge.number, plan.form.options());
    let to = Copying {
        statement: &statement,
        form: plan.form,
        relation: &merge.stage_relation,
        blocks,
        step: u32::MAX,
        is_table: false,
    };
    let mut refused = append(session, rows, &to).await?;
    let mut missing: Vec<u32> = refused.iter().map(|refused| refused.number).collect();
    missing.sort_unstable();
    refused.extend(in_parts(session, merge, &Source::Stage { missing }, rows.count(), keys).await?);
    Ok(refused)
}

/// Where rows are merged from.
pub(crate) enum Source<'a> {
    /// But for these numbers, in order.
    Stage {
        missing: Vec<u32>,
    },
    Arrays(&'a Arrays),
}

impl Source<'_> {
    /// Whether none of the rows with these numbers is in it.
    fn lacks_all(&self, range: &Range<u32>) -> bool {
        let Source::Stage { missing } = self else { return false };
        let before = |end: u32| missing.partition_point(|number| *number < end);
        before(range.end) - before(range.start) == range.len()
    }

    /// Merges the rows with these of so many numbers.
    fn statement(&self, merge: &Merge, range: &Range<u32>, count: u32, keys: KeyOrder) -> String {
        match self {
            Source::Stage { .. } if *range == (0..count) => merge.statement(&merge.stage, "", keys),
            Source::Stage { .. } => {
                // Where a row lies says nothing: a short one goes into a hole that longer ones left.
                let condition = format!(
                    " WHERE {number} >= {} AND {number} < {}",
                    range.start,
                    range.end,
                    number = merge.number
                );
                merge.statement(&merge.stage, &condition, keys)
            }
            Source::Arrays(arrays) => merge.statement(&arrays.source(merge, range), "", keys),
        }
    }
}

/// Merges all rows of a source; when that fails, halves of them, down to the rows at fault. Rows stay in order.
pub(crate) async fn in_parts(
    session: &mut Session,
    merge: &Merge,
    source: &Source<'_>,
    count: u32,
    keys: KeyOrder,
) -> Result<Vec<Refused>, Stop> {
    let mut refused = Vec::new();
    let (mut doubts, mut statement_is_good) = (Doubts::default(), false);
    let mut parts = Vec::new();
    parts.push(0..count);
    while let Some(range) = parts.pop() {
        if range.is_empty() {
            continue;
        }
        if source.lacks_all(&range) {
            continue;
        }
        let mark = match source {
            Source::Stage { .. } => session.marking(),
            // By itself: a text that the database's encoding lacks is refused before anything of its message is done.
            Source::Arrays(_) => {
                session.mark().await.map_err(stopped)?;
                ""
            }
        };
        session.wrote();
        let statement = format!("{mark}{}", source.statement(merge, &range, count, keys));
        let Some(refusal) = refused_row(session.ask(&statement).await)? else {
            session.count_written();
            doubts.have_others = true;
            continue;
        };
        session.undo().await.map_err(stopped)?;
        if !statement_is_good && sqlstate::of_write(&refusal.code) != Means::Row {
            // Without any row: what it says then is not about one.
            let empty = source.statement(merge, &(0..0), count, keys);
            if let Err(Failure::Server(_)) = session.ask(&empty).await {
                session.undo().await.map_err(stopped)?;
                return Err(stopped_by(Box::new(refusal)));
            }
            statement_is_good = true;
        }
        let length = range.end - range.start;
        if length == 1 {
            let column = refusal.column.clone();
            doubts.hear(blame::of_merge(&refusal), &refusal)?;
            refused.push(Refused { number: range.start, column, refusal });
            continue;
        }
        let middle = range.start + length / 2;
        parts.push(middle..range.end);
        parts.push(range.start..middle);
    }
    doubts.settle()?;
    Ok(refused)
}

/// What ends the merge, where it is no row.
fn stopped_by(refusal: Box<Refusal>) -> Stop {
    match sqlstate::of_write(&refusal.code) {
        Means::Transaction(kind) => Stop::Failed(refusal.as_kind(kind, "merging rows")),
        Means::Row | Means::Shape => Stop::Shape(refusal),
    }
}

fn refused_row<T>(outcome: Result<T, Failure>) -> Result<Option<Refusal>, Stop> {
    match outcome {
        Ok(_) => Ok(None),
        Err(Failure::Server(refusal)) if blame::of_merge(&refusal) != Blame::Other => Ok(Some(*refusal)),
        Err(Failure::Server(refusal)) => Err(stopped_by(refusal)),
        Err(failure) => Err(stopped(failure)),
    }
}

async fn ask(session: &mut Session, sql: &str) -> Result<(), Stop> {
    match session.ask(sql).await {
        Ok(_) => Ok(()),
        Err(Failure::Server(refusal)) if sqlstate::of_write(&refusal.code) == Means::Shape => {
            Err(Stop::Shape(refusal))
        }
        Err(Failure::Server(refusal)) => Err(Stop::Failed(explained(session, &refusal).await)),
        Err(failure) => Err(stopped(failure)),
    }
}

/// With the statement that allows temporary tables, if it is them that the role may not make.
async fn explained(session: &mut Session, refusal: &Refusal) -> Error {
    let plain = || refusal.explain("making the temporary table that rows are merged from");
    let lacking = "SELECT format('GRANT TEMPORARY ON DATABASE %I TO %I;', current_database(), current_user) \
         WHERE NOT pg_catalog.has_database_privilege(current_database(), 'TEMPORARY')";
    if refusal.code != "42501" || session.undo().await.is_err() {
        return plain();
    }
    let answer = session.ask(lacking).await.unwrap_or_default();
    let Some(grant) = answer.rows.first().and_then(|row| row.first()?.as_deref()) else { return plain() };
    let message = format!(
        "{}; upsert, replace and ignore of many rows merge from a temporary table; have an owner run: {grant}",
        refusal.message
    );
    Error::invalid(message).with_code(refusal.code.clone())
}
