use standpipe::{
    core::{Block, RejectedRow},
    row::Position,
};

use super::{
    encode::Parser,
    feed::{Cut, Drain, Feed},
    identity::FilePosition,
    interrupt::Interrupt,
    limits,
    plan::{Origin, Plan},
    summary::Summary,
    watch::Watch,
};
use crate::{args::LoadArgs, exit::Failure};

/// How many faults are shown.
const REASONS_SHOWN: usize = 5;

/// Reads every input to its end and writes nothing: neither rows, nor a ledger, nor a log.
pub(crate) fn all(
    args: &LoadArgs,
    plans: Vec<(Plan, Origin)>,
    watch: &Watch,
    interrupt: &Interrupt,
    summary: &mut Summary,
) -> Result<(), Failure> {
    for (plan, origin) in plans {
        let feed = Feed {
            plan: &plan,
            watch,
            interrupt,
            block_bytes: limits::block_bytes(args.memory),
            block_rows: args.batch_rows,
            state: FilePosition::default(),
            stops: Vec::new(),
            waiting: None,
            truncate: false,
        };
        let reader = match origin {
            Origin::File(file) => file.read().map_err(|error| Failure::of_reading(error.to_string(), &error)),
            Origin::Peeked(stdin) | Origin::Stdin { stdin, .. } => {
                stdin.into_reader().map(|(reader, _)| reader)
            }
        };
        let parsed = reader.and_then(|reader| Parser::new(&plan, reader, Position::START));
        let read = parsed.and_then(|parser| feed.run(parser, &mut IntoNothing { summary }));
        read.map_err(|failure| failure.at(&plan.name))?;
        let columns: Vec<String> =
            plan.schema.columns().iter().map(|column| format!("{} {}", column.name, column.kind)).collect();
        let table = if plan.create { "would be made with" } else { "takes" };
        summary.tell(format!(
            "{} -> {}: the table {table} {}",
            plan.name,
            plan.destination.table,
            columns.join(", ")
        ));
    }
    Ok(())
}

struct IntoNothing<'a> {
    summary: &'a mut Summary,
}

impl Drain for IntoNothing<'_> {
    fn take(&mut self, cut: Cut) -> Result<(), Failure> {
        self.summary.would_reject += cut.block.rejected.len() as u64;
        for row in &cut.block.rejected {
            if self.summary.would_reasons.len() < REASONS_SHOWN {
                self.summary.would_reasons.push(reason(&cut.block, row));
            }
        }
        Ok(())
    }
}

fn reason(block: &Block, row: &RejectedRow) -> String {
    let line = block.origin.line_of(row.ordinal).map_or(String::new(), |line| format!(":{line}"));
    let column = row.column.as_ref().map_or(String::new(), |column| format!("column {column}: "));
    format!("{}{line}: {column}{}", block.origin.name, row.reason)
}
