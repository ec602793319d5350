use std::sync::Arc;

use standpipe_log::{File, LogError, LogId, Lsn, Storage};

use crate::{
    birth::{Active, Blocks, Draft, Origin, Pins, Stillborn, length_for},
    compress,
    cursor::{Cursor, Step},
    extent::Entry,
    frame,
    names::Names,
    record::{self, Kind},
    recovery::{NOT_LINKED, Tail, judge_tail, skipped_numbers},
    scan::{Found, Scan, first_data, links, scan, survey, take_ready},
    seal::Seal,
    segment::{self, Header},
    settings::Settings,
    supply::{FREE_MAX, Free},
};

/// What opening a log found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Where an interrupted, never acknowledged write was cut off.
    pub torn_tail: Option<TornTail>,
    /// How much was copied into a fresh segment, in bytes.
    pub rewritten_bytes: u64,
    /// Numbers that were left out because records with them may have been read and lost again; only after a log
    /// that acknowledged before it synced was not closed.
    pub skipped_numbers: u64,
}

/// The place of a write that did not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub segment: String,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// The number that the next record gets.
    pub lsn: Lsn,
}

/// A log ready to go on.
pub(crate) struct Opened<F> {
    pub(crate) id: LogId,
    pub(crate) entries: Vec<Entry>,
    pub(crate) active: Active<F>,
    /// The active segment must not be written to; see [`resume`].
    pub(crate) is_sealed: bool,
    pub(crate) pins: Pins,
    pub(crate) recovery: Recovery,
    /// Files that can become segments.
    pub(crate) free: Vec<Free>,
}

/// A segment that is made while the caller waits is no longer than this: the first of a log, and of each opening that finds no
/// file to use again. Writing and syncing it is most of what opening takes; the next one is made ahead, and larger.
const FIRST_BYTES_MAX: u64 = 256 << 10;
/// A last segment that holds less is copied whole rather than left behind.
const COPIED_BYTES_MAX: u64 = 1 << 20;

/// Opens what is there, or makes a new log. The caller owns the directory.
pub(crate) fn open<S: Storage>(
    storage: &S,
    settings: &Settings,
    names: &Names,
) -> Result<Opened<S::File>, LogError> {
    let mut found = survey(storage)?;
    let ready = take_ready(&mut found);
    let links = links(&found);
    if let Some((at, fault)) = links.iter().enumerate().find_map(|(at, link)| Some((at, link.clone().err()?)))
    {
        return Err(found[at].damage(fault));
    }
    let headers: Vec<Header> = found.iter().filter_map(|found| found.header.clone().ok()).collect();
    let (Some(last), Some(header)) = (found.pop(), headers.last().copied()) else {
        remove_drafts(storage)?;
        return begin(storage, settings, names);
    };
    let mut entries = Vec::with_capacity(headers.len());
    for (at, segment) in found.iter().enumerate() {
        let link = found.get(at + 1).unwrap_or(&last).link();
        entries.push(sealed_entry(storage, segment, &headers[at], link)?);
    }
    let file = last.open(storage)?;
    let mut scan = scan(&file, &header, last.limit(&header)).map_err(|error| last.unreadable(error))?;
    // Nothing is missing behind the place where the log was closed.
    scan.facts.is_cut = last.is_cut() && !scan.is_closed;
    let mut recovery = Recovery::default();
    match judge_tail(scan.facts) {
        Tail::Clean => {}
        Tail::Torn => {
            recovery.torn_tail = Some(TornTail {
                segment: last.name.clone(),
                offset: scan.cursor.offset,
                lsn: scan.cursor.lsn,
            });
        }
        Tail::Corrupt => return Err(last.corrupt(&scan)),
        Tail::Unsupported => return Err(last.unknown_frame(&scan)),
    }
    if let Some(ready) = &ready {
        if !ready.follows(&header) {
            return Err(ready.damage_at(0, scan.cursor.lsn, NOT_LINKED));
        }
        if !scan.is_closed {
            ready.check_ready(storage)?;
        }
    }
    // Nothing is changed before everything was looked at.
    remove_drafts(storage)?;
    let free = free_files(storage, settings, names, ready)?;
    let last = Last { found: last, file, header };
    resume(storage, settings, names, entries, last, scan, recovery, free)
}

/// Goes on after the last segment, and never in it: after a failed sync the system may show pages that are not on
/// disk, so what is not proven is copied and synced before any of it counts. A small segment, or one of which nothing is
/// proven, is replaced in one step by its copy; a larger one gets a successor that says where it ends.
#[allow(clippy::too_many_arguments, reason = "each is a part of what was found")]
fn resume<S: Storage>(
    storage: &S,
    settings: &Settings,
    names: &Names,
    mut entries: Vec<Entry>,
    last: Last<S::File>,
    scan: Scan,
    mut recovery: Recovery,
    mut free: Vec<Free>,
) -> Result<Opened<S::File>, LogError> {
    let header = last.header;
    let end = scan.cursor.offset;
    // What was lost may have been compressed: as far as LZ4 can go.
    let expansion = if header.version == 1 { 1 } else { compress::EXPANSION_MAX as u64 };
    let lost = header.length.saturating_sub(end).saturating_mul(expansion);
    recovery.skipped_numbers = skipped_numbers(header.relaxed || scan.tells_early, scan.is_closed, lost);
    let next = scan.cursor.lsn.checked_add(recovery.skipped_numbers);
    let next = next.ok_or_else(|| LogError::Full { what: "the number space is used up".to_owned() })?;

    let proven = scan.proven.min(scan.content.end);
    // Where not even the first frame is proven there would be nothing that says how the segment begins.
    let is_small = scan.content.end < COPIED_BYTES_MAX.min(settings.segment_bytes / 2);
    let replaces = is_small || proven < scan.opening_end;
    // Where all is proven, as after a close, what was read once says all of it.
    let again = if proven == scan.content.end { None } else { Some(last.prefix(proven)?) };
    let kept = again.as_ref().unwrap_or(&scan);
    let seal = again.as_ref().map_or(scan.content, |kept| kept.cursor.seal());
    let fresh = Header {
        version: segment::VERSION,
        incarnation: settings.entropy.draw() as u64,
        relaxed: settings.durability.is_relaxed(),
        recycled: false,
        birth: None,
        ..header
    };
    let (fresh, base, link, pins, from) = if replaces {
        (fresh, last.found.base(), last.found.link(), &scan.opening_pins, scan.opening_end)
    } else {
        let (sequence, predecessor) = (header.sequence + 1, Some(header.named()));
        (Header { sequence, predecessor, ..fresh }, seal.end_lsn, Some(seal), &kept.pins, proven)
    };
    let advance = frame::span(record::HEADER_BYTES + 8);
    // A frame that is believed only in a segment as long as its payload is keeps such a one.
    let copied = (end.saturating_sub(from) + advance).max(scan.longest_bytes);
    let usual = first_length(settings);
    let (length, origin) = match Free::pick(&mut free, length_for(pins, copied, 0)) {
        Some(free) => (free.bytes, Origin::Free(free.name)),
        None => (length_for(pins, copied, usual), Origin::New(blocks(fresh.relaxed))),
    };
    let fresh = Header { length, ..fresh };

    let made = Draft::create(storage, fresh, &origin).and_then(|mut draft| {
        draft.begin(storage, base, link.as_ref(), pins)?;
        last.copy(from, end, &mut draft).map_err(Stillborn::Failed)?;
        if next > scan.cursor.lsn {
            let mut bytes = vec![0; frame::HEADER_BYTES];
            record::lay(&mut bytes, Kind::Advance, &[&next.number().to_le_bytes()]);
            let wrote = draft.write(&mut bytes, 0, 1, scan.cursor.lsn, next, None);
            wrote.map_err(|error| Stillborn::Failed(LogError::io("writing a segment", error)))?;
        }
        draft.publish(storage, names)
    });
    let (mut active, is_sealed) = match made {
        Ok(active) => (active, false),
        Err(Stillborn::Failed(error)) => return Err(error),
        // Nothing unproven: the log can be read, truncated and so freed of its want of room; the first append tries again.
        Err(Stillborn::Full(_)) if proven == scan.content.end && next == scan.cursor.lsn => {
            let (file, base) = (last.file, last.found.base());
            let (offset, chain) = (seal.end, seal.chain);
            let first = scan.first;
            let seed = header.seed();
            let flags = 0;
            (
                Active { file, header, seed, base, offset, synced: offset, chain, lsn: next, flags, first },
                true,
            )
        }
        Err(Stillborn::Full(what)) => return Err(LogError::Full { what }),
    };
    if !replaces && !is_sealed {
        entries.push(entry(&last.found, &header, kept.first, Some(seal)));
    }
    if !is_sealed {
        recovery.rewritten_bytes = active.offset - segment::HEADER_BYTES;
    }
    active.lsn = next;
    entries.push(active.entry());
    Ok(Opened { id: LogId(header.log), entries, active, is_sealed, pins: scan.pins, recovery, free })
}

/// A log of its own in an empty directory.
fn begin<S: Storage>(storage: &S, settings: &Settings, names: &Names) -> Result<Opened<S::File>, LogError> {
    let pins = Pins::new();
    let relaxed = settings.durability.is_relaxed();
    let header = Header {
        version: segment::VERSION,
        log: settings.entropy.draw(),
        sequence: 1,
        incarnation: settings.entropy.draw() as u64,
        length: length_for(&pins, 0, first_length(settings)),
        born_end: 0,
        relaxed,
        recycled: false,
        predecessor: None,
        birth: None,
    };
    let made = Draft::create(storage, header, &Origin::New(blocks(relaxed))).and_then(|mut draft| {
        draft.begin(storage, Lsn::FIRST, None, &pins)?;
        draft.publish(storage, names)
    });
    let active = made.map_err(|error| match error {
        Stillborn::Full(what) => LogError::Full { what },
        Stillborn::Failed(error) => error,
    })?;
    let entries = vec![active.entry()];
    let recovery = Recovery::default();
    Ok(Opened { id: LogId(header.log), entries, active, is_sealed: false, pins, recovery, free: Vec::new() })
}

fn first_length(settings: &Settings) -> u64 {
    settings.segment_bytes.min(FIRST_BYTES_MAX)
}

/// The files that can become segments: the one that was made ahead of time, which loses its name first, and one that was
/// truncated. Others are removed.
fn free_files<S: Storage>(
    storage: &S,
    settings: &Settings,
    names: &Names,
    ready: Option<Found>,
) -> Result<Vec<Free>, LogError> {
    let failed = |error| LogError::io(format!("clearing {}", storage.describe()), error);
    if let Some(ready) = ready {
        // Its header will be written over, which must not be seen under a segment's name.
        names.change(storage, "after taking back a segment", |storage| {
            storage.rename(&ready.name, &segment::free_name(ready.sequence)).map_err(failed)
        })?;
    }
    let mut free: Vec<Free> = Vec::new();
    for name in storage.list().map_err(failed)?.into_iter().filter(|name| segment::is_free(name)) {
        let bytes = storage.open(&name).and_then(|file| file.len()).map_err(failed)?;
        let is_whole = bytes.is_multiple_of(segment::PAGE_BYTES);
        let is_usual = is_whole && bytes <= settings.segment_bytes && bytes >= first_length(settings);
        if is_usual && !settings.durability.is_relaxed() && free.len() < FREE_MAX {
            free.push(Free { name, bytes });
        } else {
            storage.remove(&name).map_err(failed)?;
        }
    }
    Ok(free)
}

/// The last segment.
struct Last<F> {
    found: Found,
    file: F,
    header: Header,
}

impl<F: File> Last<F> {
    /// The segment read again up to a place below which everything is proven.
    fn prefix(&self, end: u64) -> Result<Scan, LogError> {
        let kept = scan(&self.file, &self.header, end).map_err(|error| self.found.unreadable(error))?;
        if kept.cursor.offset != end {
            return Err(self.found.corrupt(&kept));
        }
        Ok(kept)
    }

    /// Copies the frames that hold anything, one at a time and as they are stored: what was compressed stays as small as the
    /// room that was made for it.
    fn copy(&self, from: u64, end: u64, draft: &mut Draft<F>) -> Result<(), LogError> {
        let mut cursor = Cursor::new(self.header.incarnation, Lsn::new(0));
        let mut bytes = Vec::new();
        while cursor.offset < end {
            let at = cursor.offset;
            let frame = match cursor.step(&self.file, end).map_err(|error| self.found.unreadable(error))? {
                Step::Frame(frame) => frame,
                // It was sound a moment ago.
                Step::Bad(fault) => return Err(self.found.damage_at(at, cursor.lsn, fault.what())),
                Step::End => break,
            };
            if at < from || frame.flags & frame::PROOF != 0 {
                continue;
            }
            bytes.clear();
            bytes.resize(frame::HEADER_BYTES, 0);
            bytes.extend_from_slice(cursor.stored());
            let first = first_data(&cursor, &frame);
            let (codec, end) = (frame.codec, cursor.lsn);
            let wrote =
                draft.write_stored(&mut bytes, codec, frame.flags, frame.records, frame.base, end, first);
            wrote.map_err(|error| LogError::io("copying the end of the log", error))?;
        }
        Ok(())
    }
}

/// What is remembered of a segment that has a successor. Its frames are read when they are wanted.
fn sealed_entry<S: Storage>(
    storage: &S,
    segment: &Found,
    header: &Header,
    seal: Option<Seal>,
) -> Result<Entry, LogError> {
    let file = segment.open(storage)?;
    let end = seal.map_or(0, |seal| seal.end);
    let mut cursor = Cursor::new(header.incarnation, Lsn::new(0)).narrow();
    let mut first = None;
    while first.is_none() {
        match cursor.step(&file, end).map_err(|error| segment.unreadable(error))? {
            Step::Frame(frame) => first = first_data(&cursor, &frame),
            Step::Bad(fault) => return Err(segment.damage_at(cursor.offset, cursor.lsn, fault.what())),
            Step::End => break,
        }
    }
    if seal.is_some_and(|seal| cursor.lsn > seal.end_lsn) {
        return Err(segment.damage_at(cursor.offset, cursor.lsn, "a record's number is beyond its segment"));
    }
    Ok(entry(segment, header, first, seal))
}

fn entry(found: &Found, header: &Header, first: Option<Lsn>, seal: Option<Seal>) -> Entry {
    Entry {
        sequence: header.sequence,
        incarnation: header.incarnation,
        base: found.base(),
        length: found.file_bytes,
        has_predecessor: header.predecessor.is_some(),
        first,
        seal,
    }
}

fn remove_drafts<S: Storage>(storage: &S) -> Result<(), LogError> {
    let failed = |error| LogError::io(format!("clearing {}", storage.describe()), error);
    for name in storage.list().map_err(failed)?.iter().filter(|name| segment::is_draft(name)) {
        storage.remove(name).map_err(failed)?;
    }
    Ok(())
}

/// Those of a log's first segments. They are few.
fn blocks(relaxed: bool) -> Blocks {
    if relaxed { Blocks::Reserved } else { Blocks::Zeroed(Arc::default()) }
}
