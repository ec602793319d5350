use std::{
    future::Future,
    io::Read,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use standpipe::{
    Rows, Sink, SinkError, Stream, StreamSpec, TargetUrl, Window,
    core::{Block, LedgerRow},
    log::Log,
    row::Position,
    sink::NoLog,
};
use tokio::runtime::Runtime;

use super::{
    SharedTarget,
    encode::Parser,
    feed::{Cut, Drain, Feed},
    identity::{self, FilePosition},
    input::InputFile,
    interrupt::Interrupt,
    log_dir,
    plan::{Origin, Plan},
    settings, split,
    stdin::Stdin,
    summary::Summary,
    watch::Watch,
};
use crate::{
    args::LoadArgs,
    exit::Failure,
    output, size,
};

/// How long a load that was interrupted goes on applying what it has read.
const DRAIN: Duration = Duration::from_secs(30);

/// What every step of a load works with.
struct Context<'a> {
    args: &'a LoadArgs,
    url: &'a TargetUrl,
    target: &'a SharedTarget,
    runtime: &'a Runtime,
    watch: &'a Arc<Watch>,
    interrupt: &'a Interrupt,
}

/// Loads every plan, one after the other. A plan that fails does not stop the next; the worst failure is told last.
#[allow(clippy::too_many_arguments, reason = "the parts of the command, gathered once")]
pub(crate) fn all(
    args: &LoadArgs,
    url: &TargetUrl,
    plans: Vec<(Plan, Origin)>,
    target: &SharedTarget,
    runtime: &Runtime,
    watch: &Arc<Watch>,
    interrupt: &Interrupt,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let context = Context { args, url, target, runtime, watch, interrupt };
    let mut worst: Option<Failure> = None;
    for (plan, origin) in plans {
        if interrupt.asked() {
            summary.tell(format!("{}: not begun", plan.name));
            continue;
        }
        let label = format!("{} -> {}", plan.name, plan.destination.table);
        let before = watch.applied_rows.load(Relaxed);
        match context.load(&plan, origin, summary) {
            Ok(Some(note)) => summary.tell(format!("{label}: {note}")),
            Ok(None) => {
                let applied = watch.applied_rows.load(Relaxed) - before;
                summary.tell(format!("{label}: {} rows applied", size::count(applied)));
            }
            Err(failure) => {
                let failure = failure.at(&label);
                if let Some(earlier) = worst.take() {
                    output::complain(&earlier);
                    worst = Some(if earlier.exit > failure.exit { earlier } else { failure });
                } else {
                    worst = Some(failure);
                }
            }
        }
    }
    worst.map_or(Ok(()), Err)
}

impl Context<'_> {
    /// Loads one input; a note says what is special about how it went.
    fn load(&self, plan: &Plan, origin: Origin, summary: &mut Summary) -> Result<Option<String>, Failure> {
        if self.args.dry_run {
            return self.dry_run(plan, origin, summary);
        }
        plan.prepare(&**self.target, self.runtime)?;
        match origin {
            Origin::File(file) => self.load_file(plan, &file),
            Origin::Stdin(stdin) => self.load_stdin(plan, stdin),
        }
    }

    fn load_file(&self, plan: &Plan, file: &InputFile) -> Result<Option<String>, Failure> {
        let ledger = self.runtime.block_on(self.target.ledger(Some(&plan.stream)))?;
        let source = identity::source_of(file, &ledger)?;
        if let Some(note) = already_complete(file, &ledger, source.as_str())? {
            return Ok(Some(note));
        }
        self.refuse_second_name(plan, source.as_str())?;
        let end = if file.is_seekable() { file.size_bytes } else { u64::MAX };
        let window = Window { start: 0, end, floors: Vec::new() };
        let _runtime = self.runtime.enter();
        let builder = Sink::builder().shared_target(self.target.clone()).events(self.watch.clone());
        let sink = self.runtime.block_on(builder.settings(settings(self.args)).open())?;
        let opened = self.runtime.block_on(sink.source(self.spec(plan), source, window, true))?;
        let Some(stream) = opened else { return Ok(Some("already complete; nothing written".into())) };
        let loaded = self.feed_file(plan, file, &sink, &stream);
        let closed = self.close(sink);
        let note = loaded?;
        closed?;
        Ok(note)
    }

    fn feed_file(
        &self,
        plan: &Plan,
        file: &InputFile,
        sink: &Sink,
        stream: &Stream,
    ) -> Result<Option<String>, Failure> {
        let positions = stream.positions();
        // Lanes may stand at different places: reading goes on at the lowest, and a block ends where a lane stands.
        let (from, state) = positions.iter().min_by_key(|(position, _)| *position).cloned().unwrap_or_default();
        let state = FilePosition::decode(&state).unwrap_or_default();
        let mut stops: Vec<u64> = positions.iter().map(|(position, _)| *position).filter(|stop| *stop > from).collect();
        stops.sort_unstable();
        let (reader, from) = resume(file, from, &state)?;
        let parser = Parser::new(plan, reader, from)?;
        let resumed = (from != Position::START).then_some(state.records);
        let feed = Feed {
            plan,
            watch: self.watch,
            interrupt: self.interrupt,
            block_bytes: self.block_bytes(),
            records: state.records,
            stops,
            waiting: None,
            truncate: self.args.truncate && resumed.is_none(),
        };
        let mut drain = IntoLanes { context: self, sink, stream, key: key_columns(plan) };
        let (end, offset) = feed.run(parser, &mut drain)?;
        if !self.interrupt.asked() {
            let end = FilePosition { size: Some(file.size_bytes), ..end };
            self.wait(sink.finish(stream, offset, &end.encode()))?;
        }
        Ok(resumed.map(|records| {
            format!("continued after {} rows that were applied before", size::count(records))
        }))
    }

    fn load_stdin(&self, plan: &Plan, stdin: Stdin) -> Result<Option<String>, Failure> {
        let dir = log_dir::place(self.args, self.url, &plan.stream)?;
        let wal = log_dir::open(self.args, &dir)?;
        let builder = Sink::builder().shared_target(self.target.clone()).events(self.watch.clone()).log(wal);
        let sink = self.runtime.block_on(builder.settings(settings(self.args)).open())?;
        let stream = self.runtime.block_on(sink.stream(self.spec(plan)))?;
        let loaded = self.feed_stdin(plan, stdin, &sink, &stream);
        let closed = self.close(sink);
        let note = loaded?;
        closed?;
        Ok(note)
    }

    fn feed_stdin<L: Log>(
        &self,
        plan: &Plan,
        stdin: Stdin,
        sink: &Sink<L>,
        stream: &Stream,
    ) -> Result<Option<String>, Failure> {
        // What an earlier run acknowledged is applied first: then the ledger knows how much of its input that was.
        self.wait(sink.flush())?;
        let kept = stream.positions().iter().filter_map(|(_, state)| StdinPosition::decode(state)).max().unwrap_or_default();
        if kept.records > 0 {
            let what = if self.args.skip_acknowledged { "they are dropped from this input" } else { "this input goes on behind them" };
            output::complain(format!("acknowledged: {} records, {} bytes of an interrupted input; {what}", kept.records, kept.bytes));
        } else {
            output::complain("acknowledged: 0 records, 0 bytes of an interrupted input");
        }
        let (reader, waiting) = stdin.into_reader(self.interrupt.clone())?;
        let mut parser = Parser::new(plan, reader, Position::START)?;
        if self.args.skip_acknowledged {
            for _ in 0..kept.records {
                if !parser.skip()? {
                    break;
                }
            }
        }
        let first = parser.position().offset;
        let feed = Feed {
            plan,
            watch: self.watch,
            interrupt: self.interrupt,
            block_bytes: self.block_bytes(),
            records: kept.records,
            stops: Vec::new(),
            waiting: Some(waiting),
            truncate: self.args.truncate && kept.records == 0,
        };
        let key = key_columns(plan);
        let mut drain = IntoLog { context: self, sink, stream, key, kept_bytes: kept.bytes, first };
        feed.run(parser, &mut drain)?;
        if !self.interrupt.asked() {
            // The input has ended: the next one begins at zero.
            let empty = standpipe::row::BlockBuilder::new(stream.schema().clone()).finish();
            let ends = (0..stream.lanes()).map(|lane| (lane, empty.clone())).collect();
            self.wait(sink.write(stream, Rows::from_blocks(ends).at(StdinPosition::default().encode())?))?;
        }
        self.wait(sink.flush())?;
        Ok((kept.records > 0).then(|| format!("{} rows of an interrupted input were applied first", size::count(kept.records))))
    }

    fn dry_run(&self, plan: &Plan, origin: Origin, summary: &mut Summary) -> Result<Option<String>, Failure> {
        let (reader, waiting) = match origin {
            Origin::File(file) => (file.read().map_err(|error| Failure::usage(error.to_string()))?, None),
            Origin::Stdin(stdin) => {
                let (reader, waiting) = stdin.into_reader(self.interrupt.clone())?;
                (reader, Some(waiting))
            }
        };
        let parser = Parser::new(plan, reader, Position::START)?;
        let feed = Feed {
            plan,
            watch: self.watch,
            interrupt: self.interrupt,
            block_bytes: self.block_bytes(),
            records: 0,
            stops: Vec::new(),
            waiting,
            truncate: false,
        };
        feed.run(parser, &mut IntoNothing { summary })?;
        let columns: Vec<String> =
            plan.schema.columns().iter().map(|column| format!("{} {}", column.name, column.kind)).collect();
        let table = if plan.create { "would be made with" } else { "takes" };
        Ok(Some(format!("the table {table} {}", columns.join(", "))))
    }

    fn spec(&self, plan: &Plan) -> StreamSpec {
        StreamSpec {
            id: plan.stream.clone(),
            destination: plan.destination.clone(),
            schema: plan.schema.clone(),
            lanes: self.args.lanes,
        }
    }

    /// The same bytes under another name of the same table would be there twice.
    fn refuse_second_name(&self, plan: &Plan, source: &str) -> Result<(), Failure> {
        if self.args.stream.is_some() {
            return Ok(());
        }
        let table = format!("{}@", plan.destination.table);
        let rows = self.runtime.block_on(self.target.ledger(None))?;
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

    fn block_bytes(&self) -> u64 {
        // The same bound as the sink's own: several blocks fit into the share of the log.
        (256 << 10).min(self.args.memory / 16).max(1)
    }

    /// Waits for the sink, giving up when the load is interrupted while the target does not take anything.
    fn wait<T>(&self, work: impl Future<Output = Result<T, SinkError>>) -> Result<T, Failure> {
        self.runtime.block_on(async {
            tokio::select! {
                done = work => done.map_err(Failure::from),
                () = self.given_up() => Err(Failure {
                    exit: crate::exit::Exit::Interrupted,
                    message: "interrupted; run the same command again to go on".into(),
                }),
            }
        })
    }

    /// Ends when the load was interrupted, and the time to drain has passed.
    async fn given_up(&self) {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while !self.interrupt.asked() {
            ticks.tick().await;
        }
        tokio::time::sleep(DRAIN).await;
    }

    fn close<L: Log>(&self, sink: Sink<L>) -> Result<(), Failure> {
        let closed = self.runtime.block_on(sink.close(DRAIN))?;
        if closed.left_in_log > 0 {
            output::complain(format!(
                "{} acknowledged records are in the log and not applied yet; the next run applies them",
                size::count(closed.left_in_log)
            ));
        }
        Ok(())
    }
}

/// What standard input remembers about its position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
struct StdinPosition {
    records: u64,
    bytes: u64,
}

impl StdinPosition {
    fn encode(self) -> String {
        serde_json::to_string(&self).unwrap_or_default()
    }

    fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Blocks of a file go straight to their lanes.
struct IntoLanes<'a> {
    context: &'a Context<'a>,
    sink: &'a Sink<NoLog>,
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

/// Blocks of standard input go through the log.
struct IntoLog<'a, L: Log> {
    context: &'a Context<'a>,
    sink: &'a Sink<L>,
    stream: &'a Stream,
    key: Vec<usize>,
    /// Bytes that were acknowledged before this run.
    kept_bytes: u64,
    /// Where this run's first record begins in its own input.
    first: u64,
}

impl<L: Log> Drain for IntoLog<'_, L> {
    fn take(&mut self, cut: Cut) -> Result<(), Failure> {
        let position = StdinPosition {
            records: cut.end.records,
            bytes: self.kept_bytes + cut.range.end.saturating_sub(self.first),
        };
        let blocks = split::by_key(cut.block, self.stream, &self.key)?;
        let rows = Rows::from_blocks(blocks).at(position.encode())?;
        self.context.wait(self.sink.write(self.stream, rows))?;
        Ok(())
    }
}

/// A dry run only looks.
struct IntoNothing<'a> {
    summary: &'a mut Summary,
}

impl Drain for IntoNothing<'_> {
    fn take(&mut self, cut: Cut) -> Result<(), Failure> {
        const REASONS_SHOWN: usize = 5;
        self.summary.would_reject += cut.block.rejected.len() as u64;
        for row in &cut.block.rejected {
            if self.summary.would_reasons.len() < REASONS_SHOWN {
                self.summary.would_reasons.push(reason(&cut.block, row));
            }
        }
        Ok(())
    }
}

fn reason(block: &Block, row: &standpipe::core::RejectedRow) -> String {
    let line = block.origin.line_of(row.ordinal).map_or(String::new(), |line| format!(":{line}"));
    let column = row.column.as_ref().map_or(String::new(), |column| format!("column {column}: "));
    format!("{}{line}: {column}{}", block.origin.name, row.reason)
}

fn key_columns(plan: &Plan) -> Vec<usize> {
    plan.destination.key.iter().filter_map(|name| plan.schema.index_of(name)).collect()
}

/// A note when the ledger says that all of this file was applied, and the file has not changed since.
fn already_complete(file: &InputFile, ledger: &[LedgerRow], source: &str) -> Result<Option<String>, Failure> {
    let complete = !ledger.is_empty() && ledger.iter().all(|row| row.complete && row.source.as_str() == source);
    let state = ledger.iter().filter_map(|row| FilePosition::decode(&row.source_position)).max_by_key(|s| s.records);
    let Some(state) = state.filter(|_| complete) else { return Ok(None) };
    if state.size == Some(file.size_bytes) {
        let rows = size::count(state.records);
        return Ok(Some(format!("already complete ({rows} rows were applied before); nothing written")));
    }
    Ok(None)
}

/// A reader that stands at `from`, after checking that what lies before it is what was loaded.
fn resume(file: &InputFile, from: u64, state: &FilePosition) -> Result<(Box<dyn Read + Send>, Position), Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("it cannot be read up to byte {from}: {error}"));
    if from == 0 {
        return Ok((file.read().map_err(failed)?, Position::START));
    }
    let mut reader: Box<dyn Read + Send> =
        if file.is_seekable() { Box::new(file.from_byte(from).map_err(failed)?) } else { file.read().map_err(failed)? };
    let tail = state.tail.as_ref().map_or(0, |(length, _)| u64::from(*length));
    // The last record and its line end, which is at most two bytes.
    let reach = (tail + 2).min(from);
    let before = if file.is_seekable() {
        let mut before = Vec::new();
        file.from_byte(from - reach).and_then(|part| part.take(reach).read_to_end(&mut before)).map_err(failed)?;
        before
    } else {
        skip(&mut *reader, from - reach).map_err(failed)?;
        let mut before = Vec::new();
        (&mut reader).take(reach).read_to_end(&mut before).map_err(failed)?;
        before
    };
    if let Some((length, hash)) = &state.tail {
        let before = before.trim_ascii_end();
        let record = &before[before.len().saturating_sub(*length as usize)..];
        if identity::tail_of(record) != (*length, hash.clone()) {
            return Err(Failure::refused(format!(
                "wrong source: the record before byte {from} is not the one that was loaded; the file was replaced or \
                 edited. Load it under a stream id of its own (--stream), or into an empty table"
            )));
        }
    }
    if state.open_end && reader.read(&mut [0]).map_err(failed)? > 0 {
        return Err(Failure::refused(format!(
            "the file has grown behind byte {from}, but its last record had no line end when it was loaded: that \
             record may have been completed since. Load the file under a stream id of its own (--stream), or into an \
             empty table"
        )));
    }
    Ok((reader, Position { offset: from, line: state.line }))
}

fn skip(reader: &mut dyn Read, bytes: u64) -> std::io::Result<()> {
    let skipped = std::io::copy(&mut reader.take(bytes), &mut std::io::sink())?;
    if skipped < bytes { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}
