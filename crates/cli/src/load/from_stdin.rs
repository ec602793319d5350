use std::io::{Cursor, Read};

use standpipe::{
    Rows, Sink, Stream, StreamId, Wal,
    log::Log,
    row::{BlockBuilder, Position},
};

use super::{
    context::{Context, patiently},
    encode::Parser,
    feed::{Cut, Drain, Feed},
    identity::{FilePosition, tail_of},
    interrupt::Interrupt,
    limits, log_dir,
    plan::Plan,
    run::Note,
    settings, split,
    stdin::Stdin,
};
use crate::{
    exit::{Exit, Failure},
    output, size,
};

/// What the log of standard input had from an earlier run, all of it applied by now.
pub(crate) struct Kept {
    sink: Sink<Wal>,
    position: StdinPosition,
}

/// Opens the log and applies what an earlier run acknowledged; then the ledger knows how much of its input that was.
/// Tells it before a byte of input is read: a producer may wait for the number.
pub(crate) fn recover(context: &Context<'_>, stream: &StreamId) -> Result<Kept, Failure> {
    let dir = log_dir::place(context.args, context.url, stream)?;
    let _runtime = context.runtime.enter();
    let before = context.applied_rows();
    let sink = patiently(context.args.retry_for, context.interrupt, || {
        let wal = log_dir::open(context.args, &dir)?;
        let builder =
            Sink::builder().shared_target(context.target.clone()).events(context.watch.clone()).log(wal);
        Ok(context.runtime.block_on(builder.settings(settings(context.args, context.url)?).open()))
    })?;
    context.wait(sink.flush())?;
    let recovered = context.applied_rows() - before;
    let ledger =
        context.patiently(|| Ok(context.runtime.block_on(context.target.ledger(Some(stream)))?))?;
    let positions = ledger.iter().filter_map(|row| StdinPosition::decode(&row.source_position));
    let position = positions.max().unwrap_or_default();
    output::complain(position.told(context.args.skip_acknowledged));
    if recovered > 0 {
        output::complain(format!("{} of them had not reached the table, and do now", size::count(recovered)));
    }
    Ok(Kept { sink, position })
}

/// Ends without having loaded anything.
pub(crate) fn abandon(context: &Context<'_>, kept: Kept) {
    // What is wrong with the load is being told already, and the log keeps what it has.
    if let Err(failure) = context.close(kept.sink) {
        tracing::warn!(%failure, "closing the log");
    }
}

/// Loads standard input through the log.
pub(crate) fn load(context: &Context<'_>, plan: &Plan, stdin: Stdin, kept: Kept) -> Result<Note, Failure> {
    let _runtime = context.runtime.enter();
    let Kept { sink, position } = kept;
    let records = if position.ended { 0 } else { position.records };
    let claimed = context.patiently(|| context.runtime.block_on(sink.stream(context.spec(plan))));
    let loaded = claimed.and_then(|stream| feed(context, plan, stdin, &sink, &stream, position));
    let closed = context.close(sink);
    loaded?;
    closed?;
    Ok(if records > 0 { Note::Continued(records) } else { Note::Done })
}

fn feed<L: Log>(
    context: &Context<'_>,
    plan: &Plan,
    mut stdin: Stdin,
    sink: &Sink<L>,
    stream: &Stream,
    earlier: StdinPosition,
) -> Result<(), Failure> {
    let starts_over = context.args.skip_acknowledged && begins_like(plan, &mut stdin, &earlier)?;
    let (reader, waiting) = stdin.into_reader()?;
    let mut parser = Parser::new(plan, reader, Position::START)?;
    let kept = if starts_over {
        skip(&mut parser, &earlier, context.interrupt)?;
        earlier
    } else {
        earlier.next()
    };
    let feed = Feed {
        plan,
        watch: context.watch,
        interrupt: context.interrupt,
        block_bytes: limits::block_bytes(context.args.memory),
        block_rows: context.args.batch_rows,
        state: FilePosition {
            records: kept.records,
            first: kept.first.clone(),
            tail: kept.tail.clone(),
            ..FilePosition::default()
        },
        stops: Vec::new(),
        waiting: Some(waiting),
        truncate: context.args.truncate && kept.records == 0,
    };
    let first = parser.position().offset;
    let mut drain = IntoLog { context, sink, stream, key: plan.key_columns(), kept, first };
    let (_, end) = feed.run(parser, &mut drain)?;
    // An input without a record is no input: what is remembered of the one before stays.
    if !context.interrupt.asked() && drain.kept.records > 0 {
        // The next input begins at zero; this one is remembered, for a producer that does not know that it has ended.
        let position = StdinPosition { ended: true, ..drain.kept };
        let position = StdinPosition { bytes: position.bytes + end.saturating_sub(drain.first), ..position };
        let empty = BlockBuilder::new(stream.schema().clone()).finish();
        let ends = (0..stream.lanes()).map(|lane| (lane, empty.clone())).collect();
        context.wait(sink.write(stream, Rows::from_blocks(ends).at(position.encode())?))?;
    }
    context.wait(sink.flush())
}

/// Whether this input begins with the record that the earlier one began with: a producer that starts over.
///
/// # Errors
/// It does not, and the earlier one was interrupted: it must not be taken for its rest.
fn begins_like(plan: &Plan, stdin: &mut Stdin, earlier: &StdinPosition) -> Result<bool, Failure> {
    if earlier.records == 0 {
        return Ok(false);
    }
    let head = stdin.peek(plan.record_bytes_max, false)?;
    let mut record = Vec::new();
    Parser::new(plan, Cursor::new(head), Position::START)?.skip(&mut record)?;
    let same = earlier.first == Some(tail_of(&record).1);
    if same || earlier.ended {
        return Ok(same);
    }
    Err(Failure::refused(
        "wrong source: this input does not begin with the record that the interrupted one began with, so its first \
         records cannot be dropped; give the producer that was interrupted, or leave --skip-acknowledged out",
    ))
}

/// Passes over what was acknowledged, and checks that its last record is the one that was.
fn skip<R: Read>(
    parser: &mut Parser<R>,
    earlier: &StdinPosition,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let mut record = Vec::new();
    for passed in 0..earlier.records {
        let is_there = parser.skip(&mut record)?;
        if interrupt.asked() {
            return Err(Failure::new(
                Exit::Interrupted,
                "interrupted while what was acknowledged was passed over",
            ));
        }
        if !is_there {
            return Err(Failure::refused(format!(
                "wrong source: this input ends after {passed} records, but {} of it were acknowledged before",
                earlier.records
            )));
        }
    }
    if earlier.tail.as_ref().is_some_and(|tail| *tail != tail_of(&record)) {
        return Err(Failure::refused(format!(
            "wrong source: record {} of this input is not the one that was acknowledged; nothing of it was loaded",
            earlier.records
        )));
    }
    Ok(())
}

/// What standard input remembers about its position.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
struct StdinPosition {
    /// Which of the inputs that this stream had, from 0.
    input: u64,
    /// Records of it that were acknowledged, and their bytes.
    records: u64,
    bytes: u64,
    /// It has ended.
    ended: bool,
    /// Hashes of its first and its last record so far.
    first: Option<String>,
    tail: Option<(u32, String)>,
}

impl StdinPosition {
    fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Where an input goes on that does not start over.
    fn next(self) -> Self {
        if self.ended { StdinPosition { input: self.input + 1, ..StdinPosition::default() } } else { self }
    }

    /// What a producer needs to know. Its form is a promise: `acknowledged: N records, B bytes`.
    fn told(&self, skip: bool) -> String {
        let StdinPosition { records, bytes, .. } = self;
        let then = if skip { "dropped from this input" } else { "this input is taken to go on behind them" };
        match (records, self.ended) {
            (0, _) => "acknowledged: 0 records, 0 bytes of an interrupted input".to_owned(),
            (_, true) => format!(
                "acknowledged: 0 records, 0 bytes of an interrupted input; the one before has ended ({records} records, \
                 {bytes} bytes)"
            ),
            (_, false) => {
                format!("acknowledged: {records} records, {bytes} bytes of an interrupted input; {then}")
            }
        }
    }
}

/// Blocks of standard input go through the log.
struct IntoLog<'a, L: Log> {
    context: &'a Context<'a>,
    sink: &'a Sink<L>,
    stream: &'a Stream,
    key: Vec<usize>,
    /// What was acknowledged so far: before this run, then with every block.
    kept: StdinPosition,
    /// Where the rest of this run's input begins.
    first: u64,
}

impl<L: Log> Drain for IntoLog<'_, L> {
    fn take(&mut self, cut: Cut) -> Result<(), Failure> {
        self.kept = StdinPosition {
            input: self.kept.input,
            records: cut.end.records,
            bytes: self.kept.bytes + cut.range.end.saturating_sub(self.first),
            ended: false,
            first: cut.end.first,
            tail: cut.end.tail,
        };
        self.first = cut.range.end;
        let blocks = split::by_key(cut.block, self.stream, &self.key)?;
        let rows = Rows::from_blocks(blocks).at(self.kept.encode())?;
        self.context.wait(self.sink.write(self.stream, rows))?;
        Ok(())
    }
}
