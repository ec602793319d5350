use standpipe::{Rows, Sink, Stream, Window, core::LedgerRow, row::Position};

use super::{
    context::Context,
    encode::Parser,
    feed::{Cut, Drain, Feed},
    identity::{self, FilePosition},
    input::InputFile,
    limits,
    plan::Plan,
    resume::{ADVICE, is_same_end, resume},
    run::Note,
    settings, split,
};
use crate::exit::Failure;

/// Loads a file: its own positions are its place in the ledger, and no log is needed.
pub(crate) fn load(context: &Context<'_>, plan: &Plan, file: &InputFile) -> Result<Note, Failure> {
    let ledger =
        context.patiently(|| Ok(context.runtime.block_on(context.target.ledger(Some(&plan.stream)))?))?;
    let source = identity::source_of(file, &ledger)?;
    if let Some(rows) = already_complete(file, &ledger, source.as_str())? {
        return Ok(Note::Complete(rows));
    }
    refuse_second_name(context, plan, source.as_str())?;
    let end = if file.is_seekable() { file.size_bytes } else { file.check_packing(context.interrupt)? };
    // A file that is refused is refused before the claim, which would write.
    if let Some(row) = ledger.iter().min_by_key(|row| row.position)
        && row.source == source
        && row.position <= file.size_bytes
        && file.is_seekable()
    {
        resume(file, row.position, &FilePosition::decode(&row.source_position).unwrap_or_default())?;
    }
    let _runtime = context.runtime.enter();
    let builder = Sink::builder().shared_target(context.target.clone()).events(context.watch.clone());
    let sink = context.runtime.block_on(builder.settings(settings(context.args, context.url)?).open())?;
    let claim = || {
        let window = Window { start: 0, end, floors: Vec::new() };
        context.runtime.block_on(sink.source(context.spec(plan), source.clone(), window, true))
    };
    let Some(stream) = context.patiently(claim)? else { return Ok(Note::Complete(0)) };
    let loaded = feed(context, plan, file, &sink, &stream);
    let closed = context.close(sink);
    let note = loaded?;
    closed?;
    Ok(note)
}

fn feed(
    context: &Context<'_>,
    plan: &Plan,
    file: &InputFile,
    sink: &Sink,
    stream: &Stream,
) -> Result<Note, Failure> {
    let positions = stream.positions();
    // Lanes may stand at different places: reading goes on at the lowest, and a block ends where a lane stands.
    let (from, state) = positions.iter().min_by_key(|(position, _)| *position).cloned().unwrap_or_default();
    let state = FilePosition::decode(&state).unwrap_or_default();
    let key = if stream.lanes() > 1 { plan.destination.key.clone() } else { Vec::new() };
    check_lanes(context, &positions, &key)?;
    let mut stops: Vec<u64> =
        positions.iter().map(|(position, _)| *position).filter(|stop| *stop > from).collect();
    stops.sort_unstable();
    let (reader, from) = resume(file, from, &state)?;
    let parser = Parser::new(plan, reader, from)?;
    let resumed = (from != Position::START).then_some(state.records);
    let feed = Feed {
        plan,
        watch: context.watch,
        interrupt: context.interrupt,
        block_bytes: limits::block_bytes(context.args.memory),
        block_rows: context.args.batch_rows,
        state: FilePosition { key, ..state.clone() },
        stops,
        waiting: None,
        truncate: context.args.truncate && resumed.is_none(),
    };
    let mut drain = IntoLanes { context, sink, stream, key: plan.key_columns() };
    let (end, offset) = feed.run(parser, &mut drain)?;
    if !context.interrupt.asked() {
        // A file that changed its size meanwhile may have been cut for a moment: the next run looks for more.
        let size = file.size_now().filter(|size| *size == file.size_bytes);
        let end = FilePosition { size, ..end };
        context.wait(sink.finish(stream, offset, &end.encode()))?;
    }
    Ok(resumed.map_or(Note::Done, Note::Continued))
}

/// A key never changes its lane, whatever this run was told.
fn check_lanes(context: &Context<'_>, positions: &[(u64, String)], key: &[String]) -> Result<(), Failure> {
    if positions.len() == 1 {
        return Ok(());
    }
    if context.args.truncate {
        return Err(Failure::usage(format!(
            "--truncate works with one lane only; this stream has {}",
            positions.len()
        )));
    }
    // The lane that is furthest knows by which key it was filled, if any was.
    let (position, state) =
        positions.iter().max_by_key(|(position, _)| *position).cloned().unwrap_or_default();
    let filled_by = FilePosition::decode(&state).unwrap_or_default().key;
    if position > 0 && filled_by != key {
        return Err(Failure::usage(format!(
            "the lanes of this stream were filled by --key {}, and a key never changes its lane; give the same key",
            filled_by.join(",")
        )));
    }
    if key.is_empty() {
        return Err(Failure::usage(format!(
            "this stream has {} lanes; give the --key that it was begun with",
            positions.len()
        )));
    }
    Ok(())
}

/// Blocks of a file go straight to their lanes.
struct IntoLanes<'a> {
    context: &'a Context<'a>,
    sink: &'a Sink,
    stream: &'a Stream,
    key: Vec<usize>,
}

impl Drain for IntoLanes<'_> {
    fn take(&mut self, cut: Cut) -> Result<(), Failure> {
        let blocks = split::by_key(cut.block, self.stream, &self.key)?;
        let rows = Rows::from_blocks(blocks).at(cut.end.encode())?;
        self.context.wait(self.sink.write_at(self.stream, cut.range, rows))?;
        Ok(())
    }
}

/// How many records an earlier run read, when the ledger says that all of this file was applied and the file has not
/// changed since.
fn already_complete(file: &InputFile, ledger: &[LedgerRow], source: &str) -> Result<Option<u64>, Failure> {
    let complete =
        !ledger.is_empty() && ledger.iter().all(|row| row.complete && row.source.as_str() == source);
    let ends =
        ledger.iter().filter_map(|row| Some((row.position, FilePosition::decode(&row.source_position)?)));
    let last = ends.max_by_key(|(_, state)| state.records).filter(|_| complete);
    let Some((position, state)) = last.filter(|(_, state)| state.size == Some(file.size_bytes)) else {
        return Ok(None);
    };
    // A packed file of the same size and beginning is not unpacked again for the sake of its end.
    if file.is_seekable() && !is_same_end(file, position, &state)? {
        return Ok(None);
    }
    Ok(Some(state.records))
}

/// A ledger that says that rows were loaded into a table that is not there: the table was dropped since.
pub(crate) fn refuse_dropped_table(context: &Context<'_>, plan: &Plan) -> Result<(), Failure> {
    if !plan.create {
        return Ok(());
    }
    let rows =
        context.patiently(|| Ok(context.runtime.block_on(context.target.ledger(Some(&plan.stream)))?))?;
    match rows.iter().find(|row| row.position > 0) {
        Some(row) => Err(Failure::refused(format!(
            "table {} is not there, but the ledger says that stream {} was loaded into it up to byte {}: it was \
             dropped since. {ADVICE}",
            plan.destination.table, row.lane.stream, row.position
        ))),
        None => Ok(()),
    }
}

/// The same bytes under another name of the same table would be there twice.
fn refuse_second_name(context: &Context<'_>, plan: &Plan, source: &str) -> Result<(), Failure> {
    if context.args.stream.is_some() {
        return Ok(());
    }
    let table = format!("{}@", plan.destination.table);
    let rows = context.patiently(|| Ok(context.runtime.block_on(context.target.ledger(None))?))?;
    let twin = rows.iter().find(|row| {
        let stream = row.lane.stream.as_str();
        row.source.as_str() == source && stream.starts_with(&table) && stream != plan.stream.as_str()
    });
    match twin {
        Some(row) => Err(Failure::refused(format!(
            "the same contents were loaded into this table before, as stream {}; to go on with that load add \
             --stream '{0}', to load them once more give them a stream id of their own",
            row.lane.stream
        ))),
        None => Ok(()),
    }
}
