use std::io;

use standpipe_log::{File, LogError, Lsn, Storage};

use crate::{
    cursor::{Cursor, Fault, Step},
    frame,
    inspect::{Damage, Lost, TailReport},
    patient::Patient,
    plan::{Plan, Stop, read_header},
    recovery::{CUT, Tail, TailFacts, judge_tail},
    remainder::look,
    resync::Finder,
    scan::CLEAN,
    segment,
};

/// How often the length of a segment may be spent on frames whose checksums are right and which make no sense.
const SENSELESS_LENGTHS_MAX: u64 = 4;

/// Someone who is shown a log from the oldest segment to the newest: every sound frame, and every place where one is missing.
pub(crate) trait Visit {
    /// Whether this segment is to be read. One that is not has to be sealed.
    fn wants(&self, _: &Stop) -> bool {
        true
    }

    /// A segment begins.
    fn enter(&mut self, _: &Stop) -> Result<(), Halt> {
        Ok(())
    }

    /// A sound frame.
    fn frame(&mut self, _: &Sound<'_>) -> Result<(), Halt> {
        Ok(())
    }

    /// Something that is not what was written. What it took becomes known at the next sound frame, so it comes right before that.
    fn damage(&mut self, _: Damage) -> Result<(), Halt> {
        Ok(())
    }

    /// A segment ends.
    fn leave(&mut self, _: &Stop, _: &Left) -> Result<(), Halt> {
        Ok(())
    }
}

/// Why a tour ends before its end.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The visitor has seen enough.
    Enough,
    /// The segments are no longer those of the plan: the log's owner truncated it.
    Moved,
    Failed(LogError),
}

impl From<LogError> for Halt {
    fn from(error: LogError) -> Self {
        Halt::Failed(error)
    }
}

/// A frame that was found sound.
pub(crate) struct Sound<'a> {
    pub(crate) stop: &'a Stop,
    pub(crate) offset: u64,
    pub(crate) frame: &'a frame::Header,
    /// Behind the frame, with its payload.
    pub(crate) cursor: &'a Cursor,
}

/// How a segment ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    /// The end of the last sound frame.
    pub(crate) offset: u64,
    pub(crate) lsn: Lsn,
    /// The chain checksum there.
    pub(crate) tail: Option<TailReport>,
    /// Below this, everything was known durable.
    pub(crate) proven: u64,
}

struct Tour<'a, S, V> {
    storage: &'a S,
    visit: &'a mut V,
    /// Where something is missing, until it is known how much.
    hole: Option<Damage>,
    /// What is told behind it, because it lies behind it.
    behind: Option<Damage>,
    /// The number that the next record has at least, once anything is known.
    lsn: Option<Lsn>,
    sequence: Option<u64>,
    is_damaged: bool,
}

/// Shows the log to the visitor.
pub(crate) fn tour<S: Storage, V: Visit>(storage: &S, plan: &Plan, visit: &mut V) -> Result<(), Halt> {
    let mut tour =
        Tour { storage, visit, hole: None, behind: None, lsn: None, sequence: None, is_damaged: false };
    for stop in &plan.stops {
        tour.stop(stop)?;
    }
    tour.close(None)?;
    if let (false, Some((at, what))) = (tour.is_damaged, plan.refusal) {
        // Nothing that was read says so, and still the log would not open.
        let stop = &plan.stops[at];
        tour.open(stop, 0, what.to_owned(), 0)?;
        tour.close(tour.lsn)?;
    }
    Ok(())
}

impl<S: Storage, V: Visit> Tour<'_, S, V> {
    fn stop(&mut self, stop: &Stop) -> Result<(), Halt> {
        if self.sequence.is_none() && stop.sequence == 1 {
            self.lsn = Some(Lsn::FIRST);
        }
        if let Some(first) = self.sequence.map(|before| before + 1).filter(|first| *first < stop.sequence) {
            let (first, last) = (segment::name(first), segment::name(stop.sequence - 1));
            let what = if first == last {
                format!("the segment before it, {first}, is missing")
            } else {
                format!("the segments before it, {first} to {last}, are missing")
            };
            self.open(stop, 0, what, 0)?;
        }
        self.sequence = Some(stop.sequence);
        let Some(header) = &stop.header else {
            self.visit.enter(stop)?;
            self.open(stop, 0, stop.fault.clone().unwrap_or_default(), stop.file_bytes)?;
            return self.leave(stop, 0, 0, stop.is_last.then_some(TailReport::Damaged));
        };
        match &stop.fault {
            Some(fault) => {
                // Its frames say all that the header did.
                self.is_damaged = true;
                let lsn = self.lsn.unwrap_or(Lsn::FIRST);
                let bytes = segment::HEADER_BYTES;
                let what = format!("{fault}; its frames are told by what its successor says");
                let damage = Damage { segment: stop.name.clone(), offset: 0, lsn, what, bytes, lost: None };
                if self.hole.is_some() {
                    self.behind = Some(damage);
                } else {
                    self.visit.damage(damage)?;
                }
            }
            None => {
                if let Some(base) = stop.base() {
                    self.close(Some(base))?;
                    self.lsn = self.lsn.max(Some(base));
                }
            }
        }
        if let (false, Some(seal)) = (self.visit.wants(stop), stop.seal) {
            self.lsn = self.lsn.max(Some(seal.end_lsn));
            return Ok(());
        }
        self.visit.enter(stop)?;
        self.read(stop, header)
    }

    fn read(&mut self, stop: &Stop, header: &segment::Header) -> Result<(), Halt> {
        let unreadable = |error| LogError::io(format!("reading {}", stop.name), error);
        let file = match self.storage.open(&stop.name) {
            Ok(file) => Patient::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Halt::Moved),
            Err(error) => return Err(unreadable(error).into()),
        };
        // Numbers that were met are not believed a second time.
        let base = stop.base().max(self.lsn).unwrap_or(Lsn::FIRST);
        let mut cursor = Cursor::new(header.incarnation, base);
        let mut finder = Finder::new(header.seed(), stop.limit());
        let (mut proven, mut is_closed, mut tail) = (header.born_end, false, None);
        let mut doubted = None;
        loop {
            let mut at = cursor.offset;
            let frame = match cursor.step(&file, stop.limit()).map_err(unreadable)? {
                Step::Frame(frame) => frame,
                Step::End => break,
                Step::Bad(Fault::Unknown) => return Err(unknown(stop, at).into()),
                // Nothing was written behind where the log was closed.
                Step::Bad(Fault::Broken(_)) if is_closed && stop.seal.is_none() => break,
                Step::Bad(fault) => {
                    let mut facts = TailFacts { fault: Some(fault), ..CLEAN };
                    if stop.seal.is_none() {
                        let remainder = look(&file, header, &mut finder, at, cursor.chain);
                        let remainder = remainder.map_err(unreadable)?;
                        // One that was not begun is no stop.
                        let is_born = at < header.born_end.max(segment::HEADER_BYTES + 1);
                        let is_cut = stop.may_be_cut();
                        facts = TailFacts { fault: Some(fault), is_born, is_cut, remainder };
                        let judged = judge_tail(facts);
                        // A file that became another segment meanwhile ends where this one's frames are written over.
                        if matches!(judged, Tail::Clean | Tail::Torn) && !self.is_current(stop)? {
                            return Err(Halt::Moved);
                        }
                        match judged {
                            Tail::Clean => break,
                            Tail::Torn => {
                                tail = Some(TailReport::Torn(at));
                                break;
                            }
                            Tail::Unsupported => return Err(unknown(stop, at).into()),
                            // In a log that is being written the frame may have come since: look once more.
                            Tail::Corrupt if doubted != Some(at) => {
                                doubted = Some(at);
                                cursor.refresh();
                                finder = Finder::new(header.seed(), stop.limit());
                                continue;
                            }
                            Tail::Corrupt => tail = Some(TailReport::Damaged),
                        }
                    }
                    if !self.is_current(stop)? {
                        return Err(Halt::Moved);
                    }
                    self.open(stop, at, describe(stop, facts.what(), &file), 0)?;
                    let next = resync(&file, &mut cursor, &mut finder, stop).map_err(unreadable)?;
                    let to = next.as_ref().map_or(end_of(stop, header), |(place, _)| *place);
                    if let Some(hole) = &mut self.hole {
                        hole.bytes = to.saturating_sub(hole.offset);
                    }
                    let Some((place, frame)) = next else { break };
                    (at, tail) = (place, None);
                    frame
                }
            };
            self.close(Some(frame.base))?;
            self.lsn = Some(cursor.lsn);
            proven = proven.max(frame.proven);
            is_closed = frame.flags & frame::CLOSED != 0;
            self.visit.frame(&Sound { stop, offset: at, frame: &frame, cursor: &cursor })?;
        }
        if tail.is_none() && !is_closed && stop.may_be_cut() {
            if !self.is_current(stop)? {
                return Err(Halt::Moved);
            }
            let bytes = end_of(stop, header).saturating_sub(cursor.offset);
            self.open(stop, cursor.offset, describe(stop, CUT, &file), bytes)?;
            tail = Some(TailReport::Damaged);
        }
        if stop.is_last && tail.is_none() {
            tail = Some(if is_closed { TailReport::Closed } else { TailReport::Open });
        }
        if let (Some(seal), None) = (stop.seal, &self.hole)
            && ((cursor.offset, cursor.chain) != (seal.end, seal.chain) || cursor.lsn > seal.end_lsn)
        {
            let what = "the segment does not end as its successor says".to_owned();
            self.open(stop, cursor.offset, what, seal.end.saturating_sub(cursor.offset))?;
        }
        self.leave(stop, cursor.offset, proven, tail.filter(|_| stop.is_last))
    }

    fn leave(&mut self, stop: &Stop, offset: u64, proven: u64, tail: Option<TailReport>) -> Result<(), Halt> {
        if let Some(seal) = stop.seal {
            self.close(Some(seal.end_lsn))?;
            self.lsn = self.lsn.max(Some(seal.end_lsn));
        }
        let lsn = self.lsn.unwrap_or(Lsn::FIRST);
        self.visit.leave(stop, &Left { offset, lsn, tail, proven })
    }

    /// From here on something is missing. An earlier hole ends here without having taken anything: what is missing is counted with
    /// the later one.
    fn open(&mut self, stop: &Stop, offset: u64, what: String, bytes: u64) -> Result<(), Halt> {
        self.is_damaged = true;
        for earlier in self.hole.take().into_iter().chain(self.behind.take()) {
            self.visit.damage(earlier)?;
        }
        let lsn = self.lsn.unwrap_or(Lsn::FIRST);
        self.hole = Some(Damage { segment: stop.name.clone(), offset, lsn, what, bytes, lost: None });
        Ok(())
    }

    /// Here it goes on, at this number; `None` at the end of the log.
    fn close(&mut self, to: Option<Lsn>) -> Result<(), Halt> {
        let Some(mut hole) = self.hole.take() else { return Ok(()) };
        if to.is_none() || self.lsn < to {
            hole.lost = Some(Lost { from: self.lsn, to });
        }
        self.visit.damage(hole)?;
        self.behind.take().map_or(Ok(()), |behind| self.visit.damage(behind))
    }

    /// Whether the file of this name is still the one that was planned for.
    fn is_current(&self, stop: &Stop) -> Result<bool, Halt> {
        match self.storage.open(&stop.name) {
            Ok(file) => {
                let header = read_header(&Patient::new(file));
                let header = header.map_err(|error| LogError::io(format!("reading {}", stop.name), error))?;
                Ok(header == stop.written)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(LogError::io(format!("reading {}", stop.name), error).into()),
        }
    }
}

/// Puts the cursor behind the next sound frame; what that frame follows on is lost, so its own word is taken for it.
fn resync<F: File>(
    file: &F,
    cursor: &mut Cursor,
    finder: &mut Finder,
    stop: &Stop,
) -> io::Result<Option<(u64, frame::Header)>> {
    let (end, chain, lsn) = (cursor.offset, cursor.chain, cursor.lsn);
    let mut from = end + 8;
    let mut spent = 0;
    while spent <= SENSELESS_LENGTHS_MAX * stop.limit() {
        let wanted = |place: u64, frame: &frame::Header| {
            frame.is_known() && frame.base >= lsn && frame.proven <= place
        };
        let Some((place, frame)) = finder.find(file, from, 8, wanted)? else { break };
        (cursor.offset, cursor.chain) = (place, frame.previous);
        if let Step::Frame(frame) = cursor.step(file, stop.limit())? {
            return Ok(Some((place, frame)));
        }
        spent += frame.bytes();
        from = place + 8;
    }
    (cursor.offset, cursor.chain) = (end, chain);
    Ok(None)
}

/// Where what may be lost of a segment ends.
fn end_of(stop: &Stop, header: &segment::Header) -> u64 {
    if stop.may_be_cut() { header.length.max(stop.limit()) } else { stop.limit() }
}

fn describe<F: File>(stop: &Stop, what: &str, file: &Patient<F>) -> String {
    let is_unknown = what == CUT && stop.is_vouched_for();
    let what = if is_unknown { "without its header nobody can say that nothing follows" } else { what };
    match file.unreadable_bytes() {
        0 => what.to_owned(),
        _ => format!("{what} (the disk cannot read all of this segment)"),
    }
}

fn unknown(stop: &Stop, offset: u64) -> LogError {
    LogError::Invalid(format!(
        "{} has at byte {offset} a frame of a later version, which this build does not read",
        stop.name
    ))
}
