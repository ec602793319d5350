use std::sync::Arc;

use standpipe::{
    Column, Destination, Mode, Schema, StreamId, TableName, Target,
    core::{ColumnShape, TableShape},
    row::CsvSettings,
};
use tokio::runtime::Runtime;

use super::{
    infer::{self, Found},
    input::{Input, InputFile},
    stdin::Stdin,
};
use crate::{
    args::{Format, LoadArgs, ModeArg, UnknownFieldArg},
    exit::{Exit, Failure},
};

/// The most bytes of one record; a longer one is dead-lettered.
pub(crate) const RECORD_BYTES_MAX: usize = 2 << 20;

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
}

/// Where the bytes come from.
pub(crate) enum Origin {
    File(InputFile),
    Stdin(Stdin),
}

impl Plan {
    /// Opens the input, looks at its head and at the table, and decides.
    pub(crate) fn make(
        args: &LoadArgs,
        input: Input,
        target: &dyn Target,
        runtime: &Runtime,
    ) -> Result<(Self, Origin), Failure> {
        let table = args.table.clone().or_else(|| input.table()).ok_or_else(|| {
            Failure::usage("standard input has no name to take the table's from; give --table")
        })?;
        let table = TableName::new(table);
        let name = input.name();
        let stream = StreamId::new(match (&args.stream, &input) {
            (Some(stream), _) => stream.clone(),
            (None, Input::Stdin) => format!("{table}@stdin"),
            (None, Input::File(path)) => {
                format!("{table}@{}", path.canonicalize().unwrap_or_else(|_| path.clone()).display())
            }
        })?;
        let format = args.format.or_else(|| input.format()).unwrap_or(Format::Csv);
        let mut origin = match &input {
            Input::File(path) => Origin::File(InputFile::open(path)?),
            Input::Stdin => Origin::Stdin(Stdin::open()?),
        };
        let csv = CsvSettings {
            delimiter: args.delimiter,
            null: args.null.clone().into_bytes(),
            record_bytes_max: RECORD_BYTES_MAX,
        };
        let shape = runtime.block_on(target.describe(&table))?;
        if shape.is_none() && !args.create {
            return Err(Failure::refused(format!("table {table} does not exist in {}; add --create to make it", args.to)));
        }
        let wants_types = shape.is_none() || args.unknown_field == UnknownFieldArg::Add || format == Format::Ndjson;
        let found = infer::look(&mut origin, format, &csv, !args.no_header, wants_types, shape.as_ref())?;
        let (schema, fields, added) = match &shape {
            Some(shape) => into_table(args, format, &found, shape)?,
            None => (new_table(args, &found)?, found.fields.clone(), Vec::new()),
        };
        check_key(args, &schema)?;
        let plan = Plan {
            name,
            format,
            csv,
            has_header: !args.no_header,
            fields,
            unknown: args.unknown_field,
            schema: Arc::new(schema),
            destination: Destination { table, mode: mode(args.mode), key: args.key.clone() },
            stream,
            create: shape.is_none(),
            added,
        };
        Ok((plan, origin))
    }

    /// Makes the table and the columns that are missing.
    pub(crate) fn prepare(&self, target: &dyn Target, runtime: &Runtime) -> Result<(), Failure> {
        let table = &self.destination.table;
        if self.create {
            runtime.block_on(target.create(table, &self.schema, &self.destination.key))?;
        }
        for column in &self.added {
            runtime.block_on(target.add_column(table, column))?;
        }
        Ok(())
    }
}

impl Origin {
    /// The input's size, where its unpacked size is known.
    pub(crate) fn known_bytes(&self) -> Option<u64> {
        match self {
            Origin::File(file) if file.is_seekable() => Some(file.size_bytes),
            _ => None,
        }
    }
}

/// The schema of a table that is to be made: what was found, and what was said.
fn new_table(args: &LoadArgs, found: &Found) -> Result<Schema, Failure> {
    let schema = found.inferred.as_ref().ok_or_else(|| Failure::usage("nothing to take the table's columns from"))?;
    let mut columns = schema.columns().to_vec();
    for (name, kind) in &args.types {
        let column = columns.iter_mut().find(|column| column.name == *name).ok_or_else(|| no_column(name, found))?;
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
            )));
        }
        if columns.iter().any(|known| known.name == column.name) {
            return Err(Failure::usage(format!("the input has column {} twice", column.name)));
        }
        let mut wanted = Column::new(column.name.clone(), column.kind);
        wanted.nullable = column.nullable || column.has_default;
        fields.push(column.name.clone());
        columns.push(wanted);
    }
    if !unknown.is_empty() {
        let has: Vec<_> = shape.columns.iter().map(|column| column.name.as_str()).collect();
        return Err(Failure::usage(format!(
            "line 1: {} {} no column of table {} (it has {}); use --unknown-field ignore or add",
            unknown.join(", "),
            if unknown.len() == 1 { "is" } else { "are" },
            shape.table,
            has.join(", ")
        )));
    }
    let missing: Vec<_> = shape
        .columns
        .iter()
        .filter(|column| is_needed(column) && !columns.iter().any(|given| given.name == column.name))
        .map(|column| column.name.as_str())
        .collect();
    if !missing.is_empty() && format == Format::Csv {
        return Err(Failure::usage(format!(
            "table {} needs {}, which the input does not have: NOT NULL without a default",
            shape.table,
            missing.join(", ")
        )));
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
        let column = columns.iter_mut().find(|column| column.name == *name).ok_or_else(|| no_column(name, found))?;
        column.kind = *kind;
    }
    if columns.is_empty() {
        return Err(Failure::usage(format!("the input has no column of table {}", shape.table)));
    }
    Ok((Schema::new(columns)?, fields, added))
}

fn is_needed(column: &ColumnShape) -> bool {
    !column.nullable && !column.has_default && !column.generated
}

fn no_column(name: &str, found: &Found) -> Failure {
    Failure::usage(format!("--types names {name}, which the input does not have (it has {})", found.fields.join(", ")))
}

fn check_key(args: &LoadArgs, schema: &Schema) -> Result<(), Failure> {
    if args.mode != ModeArg::Append && args.key.is_empty() {
        return Err(Failure::usage("this mode needs to know the key: add --key column[,column]"));
    }
    for key in &args.key {
        if schema.index_of(key).is_none() {
            return Err(Failure::usage(format!("--key names {key}, which the input does not have")));
        }
    }
    if args.lanes.is_some_and(|lanes| lanes > 1) && args.key.is_empty() {
        return Err(Failure::usage("several lanes need a key that says which row goes into which: add --key"));
    }
    if args.lanes.is_some_and(|lanes| lanes > 1) && args.truncate {
        return Err(Failure { exit: Exit::Usage, message: "--truncate works with one lane only".into() });
    }
    Ok(())
}

fn mode(mode: ModeArg) -> Mode {
    match mode {
        ModeArg::Append => Mode::Append,
        ModeArg::Upsert => Mode::Upsert,
        ModeArg::Replace => Mode::Replace,
        ModeArg::Ignore => Mode::Ignore,
    }
}
