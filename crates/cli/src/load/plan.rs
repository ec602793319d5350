use std::sync::Arc;

use standpipe::{
    Column, Destination, Schema, StreamId, TableName,
    core::{ColumnShape, TableShape},
    row::{CsvSettings, NonFinite},
};

use super::{
    context::Context,
    from_stdin::Kept,
    infer::{self, Found},
    input::{Input, InputFile},
    interrupt::Interrupt,
    limits,
    stdin::Stdin,
};
use crate::{
    args::{Format, LoadArgs, ModeArg, UnknownFieldArg},
    exit::Failure,
    output,
};

/// What is to be done with one input, decided before anything is written.
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) format: Format,
    pub(crate) csv: CsvSettings,
    pub(crate) has_header: bool,
    /// CSV: for each field of a record the column that it goes to, or a name that is no column's.
    pub(crate) fields: Vec<String>,
    pub(crate) unknown: UnknownFieldArg,
    pub(crate) schema: Arc<Schema>,
    pub(crate) destination: Destination,
    pub(crate) stream: StreamId,
    /// The table is to be made first.
    pub(crate) create: bool,
    /// Columns that are to be added first.
    pub(crate) added: Vec<Column>,
    /// The most bytes of one record.
    pub(crate) record_bytes_max: usize,
    /// Whether the target holds NaN and the infinities.
    pub(crate) non_finite: NonFinite,
}

/// Where the bytes come from.
pub(crate) enum Origin {
    File(InputFile),
    /// Standard input that was looked at.
    Peeked(Stdin),
    /// The same, and the log through which it goes.
    Stdin {
        stdin: Stdin,
        kept: Box<Kept>,
    },
}

/// What a plan is made of, besides the input.
pub(crate) struct Asked<'a> {
    pub(crate) args: &'a LoadArgs,
    pub(crate) interrupt: &'a Interrupt,
    /// What the target says of NaN and the infinities.
    pub(crate) non_finite: NonFinite,
    /// What the database knows of a table.
    pub(crate) describe: &'a dyn Fn(&TableName) -> Result<Option<TableShape>, Failure>,
}

impl Plan {
    /// Opens the input, looks at its head and at the table, and decides.
    pub(crate) fn make(asked: &Asked<'_>, input: &Input) -> Result<(Self, Origin), Failure> {
        let args = asked.args;
        let mut origin = match input {
            Input::File(path) => Origin::File(InputFile::open(path)?),
            Input::Stdin => Origin::Peeked(Stdin::open(asked.interrupt.clone())?),
        };
        let (table, stream) = names(args, input)?;
        let name = input.name();
        let format = args.format.or_else(|| input.format()).unwrap_or(Format::Csv);
        let mut record_bytes_max = limits::record_bytes_max(args.memory);
        if *input == Input::Stdin {
            // A record has to fit into the log beside others.
            record_bytes_max = record_bytes_max.min(usize::try_from(args.wal_max / 4).unwrap_or(usize::MAX));
        }
        let csv = CsvSettings {
            delimiter: args.delimiter.unwrap_or(if input.is_tabbed() { b'\t' } else { b',' }),
            null: args.null.clone().into_bytes(),
            record_bytes_max,
        };
        let shape = (asked.describe)(&table)?;
        if shape.is_none() && !args.create {
            return Err(Failure::refused(format!(
                "table {table} does not exist in {}; add --create to make it",
                output::shown(&args.to)
            )));
        }
        let wants_types =
            shape.is_none() || args.unknown_field == UnknownFieldArg::Add || format == Format::Ndjson;
        let found = infer::look(&mut origin, format, &csv, !args.no_header, wants_types, shape.as_ref())?;
        let (schema, fields, added) = match &shape {
            Some(shape) => into_table(args, format, &found, shape)?,
            None => (new_table(args, &found)?, found.fields.clone(), Vec::new()),
        };
        check_key(args, input, &schema)?;
        let plan = Plan {
            name,
            format,
            csv,
            has_header: !args.no_header,
            fields,
            unknown: args.unknown_field,
            schema: Arc::new(schema),
            destination: Destination { table, mode: args.mode.into(), key: args.key.clone() },
            stream,
            create: shape.is_none(),
            added,
            record_bytes_max,
            non_finite: asked.non_finite,
        };
        Ok((plan, origin))
    }

    /// Makes the table and the columns that are missing.
    pub(crate) fn prepare(&self, context: &Context<'_>) -> Result<(), Failure> {
        let Context { target, runtime, .. } = context;
        let table = &self.destination.table;
        if self.create {
            context.patiently(|| {
                Ok(runtime.block_on(target.create(table, &self.schema, &self.destination.key))?)
            })?;
        }
        for column in &self.added {
            context.patiently(|| Ok(runtime.block_on(target.add_column(table, column))?))?;
        }
        Ok(())
    }

    /// The key's columns by their place in the schema.
    pub(crate) fn key_columns(&self) -> Vec<usize> {
        self.destination.key.iter().filter_map(|name| self.schema.index_of(name)).collect()
    }
}

/// The table that an input goes to, and the name under which the load keeps its place.
pub(crate) fn names(args: &LoadArgs, input: &Input) -> Result<(TableName, StreamId), Failure> {
    let table = args.table.clone().or_else(|| input.table());
    let table =
        table.ok_or_else(|| Failure::usage("it has no name to take the table's from; give --table"))?;
    let table = match args.to.parse::<standpipe::TargetUrl>() {
        Ok(url) => url.table(&table),
        Err(_) => TableName::new(table),
    };
    let stream = match (&args.stream, input) {
        (Some(stream), _) => stream.clone(),
        (None, Input::Stdin) => format!("{table}@stdin"),
        (None, Input::File(path)) => {
            format!("{table}@{}", path.canonicalize().unwrap_or_else(|_| path.clone()).display())
        }
    };
    let stream = StreamId::new(stream)
        .map_err(|error| Failure::usage(format!("{error}; give another with --stream")))?;
    Ok((table, stream))
}

impl Origin {
    /// The input's size, where its unpacked size is known.
    pub(crate) fn known_bytes(&self) -> Option<u64> {
        match self {
            Origin::File(file) if file.is_seekable() => Some(file.size_bytes),
            Origin::File(_) | Origin::Peeked(_) | Origin::Stdin { .. } => None,
        }
    }
}

/// The schema of a table that is to be made: what was found, and what was said.
fn new_table(args: &LoadArgs, found: &Found) -> Result<Schema, Failure> {
    let schema =
        found.inferred.as_ref().ok_or_else(|| Failure::usage("nothing to take the table's columns from"))?;
    let mut columns = schema.columns().to_vec();
    for (name, kind) in &args.types {
        let column =
            columns.iter_mut().find(|column| column.name == *name).ok_or_else(|| no_column(name, found))?;
        column.kind = *kind;
    }
    for column in &mut columns {
        column.nullable = !args.key.contains(&column.name);
    }
    Ok(Schema::new(columns)?)
}

/// The columns of a table that is there which the input fills.
fn into_table(
    args: &LoadArgs,
    format: Format,
    found: &Found,
    shape: &TableShape,
) -> Result<(Schema, Vec<String>, Vec<Column>), Failure> {
    let mut columns: Vec<Column> = Vec::new();
    let (mut fields, mut added, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for field in &found.fields {
        let Some(column) = shape.column(field) else {
            match args.unknown_field {
                UnknownFieldArg::Add => {
                    let kind = found.kind_of(field).unwrap_or(standpipe::Type::Text);
                    added.push(Column::new(field.clone(), kind));
                    columns.push(Column::new(field.clone(), kind));
                }
                UnknownFieldArg::Reject if format == Format::Csv => unknown.push(field.clone()),
                _ => {}
            }
            fields.push(field.clone());
            continue;
        };
        if column.generated {
            return Err(Failure::usage(format!(
                "column {} of {} is generated by the database and cannot be given; leave it out of the input",
                column.name, shape.table
            ))
            .on_line(1));
        }
        if columns.iter().any(|known| known.name == column.name) {
            return Err(Failure::usage(format!("the input has column {} twice", column.name)).on_line(1));
        }
        let mut wanted = Column::new(column.name.clone(), column.kind);
        wanted.nullable = column.nullable || column.has_default;
        fields.push(column.name.clone());
        columns.push(wanted);
    }
    if !unknown.is_empty() {
        let has: Vec<_> = shape.columns.iter().map(|column| column.name.as_str()).collect();
        return Err(Failure::usage(format!(
            "{} {} no column of table {} (it has {}); use --unknown-field ignore or add",
            unknown.join(", "),
            if unknown.len() == 1 { "is" } else { "are" },
            shape.table,
            has.join(", ")
        ))
        .on_line(1));
    }
    let missing: Vec<_> = shape
        .columns
        .iter()
        .filter(|column| is_needed(column) && !columns.iter().any(|given| given.name == column.name))
        .map(|column| column.name.as_str())
        .collect();
    if !missing.is_empty() && format == Format::Csv {
        return Err(Failure::usage(format!(
            "table {} needs {}, which the input does not have: NOT NULL without a default. Add the column to the input, \
             or a default to the table",
            shape.table,
            missing.join(", ")
        ))
        .on_line(1));
    }
    if format == Format::Ndjson {
        // Any line may bring any column.
        for column in shape.columns.iter().filter(|column| !column.generated) {
            if !columns.iter().any(|given| given.name == column.name) && !column.has_default {
                columns.push(Column::new(column.name.clone(), column.kind));
            }
        }
    }
    for (name, kind) in &args.types {
        let column =
            columns.iter_mut().find(|column| column.name == *name).ok_or_else(|| no_column(name, found))?;
        column.kind = *kind;
    }
    if columns.is_empty() {
        return Err(Failure::usage(format!(
            "the input has no column of table {}; is it the right table?",
            shape.table
        )));
    }
    Ok((Schema::new(columns)?, fields, added))
}

fn is_needed(column: &ColumnShape) -> bool {
    !column.nullable && !column.has_default && !column.generated
}

fn no_column(name: &str, found: &Found) -> Failure {
    Failure::usage(format!(
        "--types names {name}, which the input does not have (it has {})",
        found.fields.join(", ")
    ))
}

fn check_key(args: &LoadArgs, input: &Input, schema: &Schema) -> Result<(), Failure> {
    if args.mode != ModeArg::Append && args.key.is_empty() {
        return Err(Failure::usage("this mode needs to know the key: add --key column[,column]"));
    }
    for key in &args.key {
        if schema.index_of(key).is_none() {
            return Err(Failure::usage(format!("--key names {key}, which the input does not have")));
        }
    }
    if args.lanes.is_some_and(|lanes| lanes > 1) && args.key.is_empty() {
        return Err(Failure::usage(
            "several lanes need a key that says which row goes into which: add --key",
        ));
    }
    if args.lanes.is_some_and(|lanes| lanes > 1) && *input == Input::Stdin {
        // A write to several lanes is several records of the log, and a crash may come between them.
        return Err(Failure::usage("standard input goes through one lane; leave out --lanes"));
    }
    if args.lanes.is_some_and(|lanes| lanes > 1) && args.truncate {
        return Err(Failure::usage("--truncate works with one lane only; leave out --lanes"));
    }
    Ok(())
}
