//! Writes the rows of a batch.

use std::{ops::Range, sync::Arc};

use standpipe_core::{Batch, Block, Error, ErrorKind, Reject};

use crate::{
    copy::{Copying, Refused, Stop, append, stopped},
    error::Failure,
    keys::KeyOrder,
    plan::{Form, Plan},
    planted::{self, Plant},
    postgres::Shared,
    rows::Rows,
    session::Session,
    sqlstate::{self, Means},
    stage,
    unnest::{self, Arrays},
};

/// How often a table is looked at again while one batch is written.
const SHAPES_MAX: u32 = 4;
/// Parts of a batch of a table that had bad rows lately.
const PARTS: u32 = 4;
/// Bytes of rows that go within a statement at most: as text, in quotes twice, they may become four times as many.
const ARRAYS_BYTES_MAX: usize = 1 << 20;
/// Rows that such a part has at least.
const PART_ROWS_MIN: u32 = 256;

/// What writing needs to know beside the batch.
pub(crate) struct Writing<'a> {
    pub(crate) shared: &'a Shared,
    /// It will be prepared: no temporary table may be touched.
    pub(crate) is_two_phase: bool,
}

impl Writing<'_> {
    /// Writes the batch; returns the rows that were refused, in order.
    pub(crate) async fn write(&self, session: &mut Session, batch: &Batch) -> Result<Vec<Reject>, Error> {
        let mut rejects = Vec::new();
        for run in runs(&batch.blocks) {
            self.run(session, batch, run, &mut rejects).await?;
        }
        if planted::is(Plant::RejectsForgotten) {
            rejects.clear();
        }
        rejects.sort_by_key(|reject| (reject.block, reject.row));
        Ok(rejects)
    }

    /// Blocks of one schema, with the table as it is.
    async fn run(
        &self,
        session: &mut Session,
        batch: &Batch,
        run: Range<usize>,
        rejects: &mut Vec<Reject>,
    ) -> Result<(), Error> {
        let blocks = &batch.blocks[run.clone()];
        let schema = &blocks[0].schema;
        let mut plan = self.shared.plans.plan(session.link()?, &batch.destination, schema).await?;
        let written = session.written();
        for _ in 0..SHAPES_MAX {
            let mut refusal = None;
            if !plan.is_stale() {
                let is_first = session.relies_on(&plan);
                let refused = match self.rows(session, &plan, blocks, run.start).await {
                    Ok(found) => {
                        rejects.extend(found);
                        return Ok(());
                    }
                    Err(Stop::Failed(error)) => return Err(error),
                    Err(Stop::Shape(refused)) => refused,
                };
                session.undo().await.map_err(|failure| failure.explain("going back before the rows"))?;
                if session.written() != written {
                    // Some of the rows are in: writing the run again would double them.
                    return Err(
                        refused.as_kind(ErrorKind::Retry, "the table changed while rows were written to it")
                    );
                }
                if is_first {
                    session.forget(&plan);
                }
                refusal = Some(refused);
            }
            let new = match self.shared.plans.look_again(session.link()?, &batch.destination, schema).await {
                Ok(new) => new,
                // The table has no place any more for what the rows bring. They were right when they were written.
                Err(error) if matches!(error.code(), Some("42703" | "42804")) => {
                    rejects.extend(all_refused(blocks, run.start, &error));
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            if let Some(refusal) = refusal
                && new.found == plan.found
            {
                let doing = format!("writing to table {}", batch.destination.table);
                return Err(refusal.as_kind(ErrorKind::Invalid, &doing));
            }
            plan = new;
        }
        Err(Error::retry(format!("table {} changes all the time", batch.destination.table)))
    }

    /// Whether a merge sends its rows within the statement.
    fn is_small(&self, blocks: &[Block], count: u32) -> bool {
        let bytes: usize = blocks.iter().map(|block| block.tuples.len()).sum();
        count <= self.shared.settings.unnest_rows_max && bytes <= ARRAYS_BYTES_MAX
    }

    async fn rows(
        &self,
        session: &mut Session,
        plan: &Arc<Plan>,
        blocks: &[Block],
        first_block: usize,
    ) -> Result<Vec<Reject>, Stop> {
        if blocks[0].truncate {
            empty(session, plan).await?;
        }
        let count: u32 = blocks.iter().map(|block| block.rows).sum();
        let keys = plan.keys.as_ref().map_or(Ok(KeyOrder::Unknown), |keys| keys.look(blocks));
        let keys = keys.map_err(Stop::Failed)?;
        let rejects = match &plan.merge {
            Some(merge) if self.is_two_phase || self.is_small(blocks, count) => {
                let read = Arrays::read(blocks, first_block, plan).map_err(Stop::Failed)?;
                let refused = unnest::merge(session, merge, &read.arrays, keys).await?;
                let mut rejects = read.rejects;
                let place = |number: u32| read.places.get(number as usize).copied().unwrap_or_default();
                rejects.extend(refused.into_iter().map(|refused| reject(place(refused.number), refused)));
                rejects
            }
            merge => {
                let mut rows = Rows::of(blocks, first_block, plan, merge.is_some()).map_err(Stop::Failed)?;
                let refused = match merge {
                    Some(merge) => stage::merge(session, plan, merge, &mut rows, blocks, keys).await?,
                    None => append(session, &mut rows, &straight(plan, blocks, count)).await?,
                };
                let mut rejects = std::mem::take(&mut rows.rejects);
                rejects
                    .extend(refused.into_iter().map(|refused| reject(rows.place(refused.number), refused)));
                rejects
            }
        };
        plan.learn(!rejects.is_empty());
        self.shared.count_rows(plan.form == Form::Untouched && plan.merge.is_none(), u64::from(count));
        Ok(rejects)
    }
}

fn straight<'a>(plan: &'a Plan, blocks: &'a [Block], count: u32) -> Copying<'a> {
    Copying {
        statement: &plan.copy,
        form: plan.form,
        relation: &plan.relation,
        blocks,
        step: if plan.is_suspected() { (count / PARTS).max(PART_ROWS_MIN) } else { u32::MAX },
        is_table: true,
    }
}

/// Neighbours of one schema; a block that empties the table begins a new run.
fn runs(blocks: &[Block]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        match runs.last_mut() {
            Some(run)
                if !block.truncate
                    && (Arc::ptr_eq(&blocks[run.start].schema, &block.schema)
                        || blocks[run.start].schema == block.schema) =>
            {
                run.end = index + 1;
            }
            _ => runs.push(index..index + 1),
        }
    }
    runs
}

/// TRUNCATE where the role may and no foreign key hinders; else every row is deleted. Either is part of the transaction.
async fn empty(session: &mut Session, plan: &Plan) -> Result<(), Stop> {
    session.mark().await.map_err(stopped)?;
    session.wrote();
    match session.ask(&format!("TRUNCATE {}", plan.table)).await {
        Ok(_) => return Ok(()),
        Err(Failure::Server(refusal)) if matches!(refusal.code.as_str(), "0A000" | "42501" | "42809") => {}
        Err(failure) => return Err(stopped(failure)),
    }
    session.undo().await.map_err(stopped)?;
    if plan.found.has_policies {
        return Err(Stop::Failed(Error::invalid(format!(
            "emptying {}: its policies may hide rows from this role, and it may not TRUNCATE; have an owner run: GRANT TRUNCATE ON {0} TO \
             this role",
            plan.table
        ))));
    }
    session.wrote();
    match session.ask(&format!("DELETE FROM {}", plan.table)).await {
        Ok(_) => Ok(()),
        Err(Failure::Server(refusal)) if sqlstate::of_write(&refusal.code) == Means::Shape => {
            Err(Stop::Shape(refusal))
        }
        Err(failure) => Err(Stop::Failed(failure.explain("emptying the table"))),
    }
}

fn reject((block, row): (usize, u32), refused: Refused) -> Reject {
    Reject {
        block,
        row,
        column: refused.column,
        reason: refused.refusal.said(),
        code: Some(refused.refusal.code),
    }
}

fn all_refused(blocks: &[Block], first_block: usize, error: &Error) -> Vec<Reject> {
    let each = |(block, number): (&Block, usize)| {
        let code = error.code().map(str::to_owned);
        // Said by itself.
        let behind = code.as_ref().map(|code| format!(" [{code}]")).unwrap_or_default();
        let reason = error.to_string();
        let reason = reason.strip_suffix(behind.as_str()).unwrap_or(&reason).to_owned();
        (0..block.rows).map(move |row| Reject {
            block: number,
            row,
            column: None,
            code: code.clone(),
            reason: reason.clone(),
        })
    };
    blocks.iter().zip(first_block..).flat_map(each).collect()
}
