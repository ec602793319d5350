//! Writes the rows of a batch, many to a statement, and finds the bad ones.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rusqlite::{CachedStatement, Connection};
use standpipe_core::{Batch, Block, Destination, Error, Reject};
use standpipe_row::{Tuple, Tuples, Value};

use crate::{
    bind::bind_tuple,
    error::{code_name, is_row_error, said},
    plan::{Look, Plan},
    worker::{WorkError, Worker},
};

/// A batch as the connection's thread takes it: the blocks' bytes are shared, rows that were refused before stay behind.
pub(crate) struct Load {
    destination: Arc<Destination>,
    blocks: Vec<Block>,
}

impl Load {
    pub(crate) fn of(batch: &Batch) -> Self {
        let block = |block: &Block| Block {
            schema: Arc::clone(&block.schema),
            rows: block.rows,
            tuples: block.tuples.clone(),
            rejected: Vec::new(),
            origin: block.origin.clone(),
            truncate: block.truncate,
        };
        Load { destination: Arc::clone(&batch.destination), blocks: batch.blocks.iter().map(block).collect() }
    }

    /// Writes into the open transaction. Stops early, with an error that nobody sees, once it is abandoned.
    pub(crate) fn write(&self, worker: &mut Worker, abandoned: &AtomicBool) -> Result<Vec<Reject>, Error> {
        let mut rejects = Vec::new();
        for (number, block) in self.blocks.iter().enumerate() {
            let Worker { connection, plans, .. } = worker;
            let written = plans.plan(connection, &self.destination, &block.schema).and_then(|plan| {
                if block.truncate {
                    connection.execute(&format!("DELETE FROM {}", plan.table), [])?;
                }
                let mut writing = Writing {
                    connection,
                    plan: &plan,
                    block: number,
                    scratch: Vec::new(),
                    rejects: &mut rejects,
                };
                writing.block(block, abandoned)
            });
            let doing = format!("writing to table {}", self.destination.table);
            written.map_err(|error| worker.explain(error, &doing))?;
        }
        Ok(rejects)
    }
}

struct Writing<'a> {
    connection: &'a Connection,
    plan: &'a Plan,
    block: usize,
    scratch: Vec<u8>,
    rejects: &'a mut Vec<Reject>,
}

impl Writing<'_> {
    fn block(&mut self, block: &Block, abandoned: &AtomicBool) -> Result<(), WorkError> {
        let first_reject = self.rejects.len();
        let mut many = self.connection.prepare_cached(&self.plan.many)?;
        let mut one = self.connection.prepare_cached(&self.plan.one)?;
        let mut group: Vec<(u32, Tuple<'_>)> = Vec::with_capacity(self.plan.rows);
        for (row, tuple) in (0..).zip(Tuples::new(block)) {
            let tuple = tuple?;
            if let Some(looks) = &self.plan.looks
                && let Some(reject) = self.look(row, tuple, looks)?
            {
                self.rejects.push(reject);
                continue;
            }
            group.push((row, tuple));
            if group.len() == self.plan.rows {
                if abandoned.load(Ordering::Acquire) {
                    return Err(Error::retry("nobody waits for these rows any more").into());
                }
                self.group(&mut many, &mut one, &group)?;
                group.clear();
            }
        }
        for (row, tuple) in group {
            self.row(&mut one, row, tuple)?;
        }
        // Rows that were looked at are refused before the group they would have been in.
        self.rejects[first_reject..].sort_by_key(|reject| reject.row);
        Ok(())
    }

    fn group(
        &mut self,
        many: &mut CachedStatement<'_>,
        one: &mut CachedStatement<'_>,
        group: &[(u32, Tuple<'_>)],
    ) -> Result<(), WorkError> {
        let tuples = group.iter().map(|(_, tuple)| *tuple);
        if self.execute(many, tuples)?.is_none() {
            return Ok(());
        }
        // The statement undid itself. One by one, the good rows stay and the bad ones have names.
        for (row, tuple) in group {
            self.row(one, *row, *tuple)?;
        }
        Ok(())
    }

    fn row(&mut self, one: &mut CachedStatement<'_>, row: u32, tuple: Tuple<'_>) -> Result<(), WorkError> {
        if let Some(error) = self.execute(one, [tuple])? {
            self.rejects.push(self.reject(row, &error));
        }
        Ok(())
    }

    /// Executes a statement for these tuples. Returns the error that is about their values; then none of them is written.
    fn execute<'t>(
        &mut self,
        statement: &mut CachedStatement<'_>,
        tuples: impl IntoIterator<Item = Tuple<'t>>,
    ) -> Result<Option<rusqlite::Error>, WorkError> {
        if self.plan.has_triggers {
            // RAISE(FAIL) keeps what the statement did before it.
            self.savepoint("SAVEPOINT standpipe")?;
        }
        let mut next = 1;
        let bound = tuples.into_iter().try_for_each(|tuple| {
            next = bind_tuple(statement, next, tuple, &mut self.scratch)?;
            Ok(())
        });
        let executed = bound.and_then(|()| Ok(statement.raw_execute()?));
        let error = match executed {
            Ok(_) => None,
            Err(WorkError::Sqlite(error)) if is_row_error(&error) => Some(error),
            Err(error) => return Err(error),
        };
        if error.is_some() && self.connection.is_autocommit() {
            let message = "a trigger or constraint of the table rolls the whole transaction back (ROLLBACK); \
                           make it ABORT, so that one bad row can be told from the others";
            return Err(Error::invalid(message).into());
        }
        if self.plan.has_triggers {
            if error.is_some() {
                self.savepoint("ROLLBACK TO standpipe")?;
            }
            self.savepoint("RELEASE standpipe")?;
        }
        Ok(error)
    }

    fn savepoint(&self, statement: &str) -> Result<(), rusqlite::Error> {
        self.connection.prepare_cached(statement)?.execute([]).map(drop)
    }

    fn look(&self, row: u32, tuple: Tuple<'_>, looks: &[Look]) -> Result<Option<Reject>, Error> {
        for (number, (field, look)) in tuple.fields().zip(looks).enumerate() {
            let (code, reason) = match field.bytes {
                None => match look.null {
                    Some(reason) => ("SQLITE_CONSTRAINT_NOTNULL", reason),
                    None => continue,
                },
                Some(_) if look.is_float => match field.value()? {
                    Value::Float(value) if value.is_nan() => ("SQLITE_MISMATCH", "SQLite cannot keep NaN"),
                    _ => continue,
                },
                Some(_) => continue,
            };
            let column = Some(tuple.columns()[number].name.clone());
            let (code, reason) = (Some(code.to_owned()), reason.to_owned());
            return Ok(Some(Reject { block: self.block, row, column, code, reason }));
        }
        Ok(None)
    }

    fn reject(&self, row: u32, error: &rusqlite::Error) -> Reject {
        let reason = said(error);
        let column = self.column_at_fault(&reason).map(str::to_owned);
        Reject { block: self.block, row, column, code: code_name(error), reason }
    }

    /// `NOT NULL constraint failed: table.column`; several columns are nobody's fault alone.
    fn column_at_fault<'m>(&self, message: &'m str) -> Option<&'m str> {
        let (_, at) = message.split_once("constraint failed: ")?;
        let column = at.strip_prefix(self.plan.table_name.as_str())?.strip_prefix('.')?;
        (!column.contains(", ")).then_some(column)
    }
}
