use std::{collections::BTreeMap, io};

use standpipe_log::{File, FileExt, LogError, LogId, Lsn, Storage};

use crate::{
    cursor::Fault,
    patient::Patient,
    remainder::search,
    scan::{Found, beginning, links, opening_frame, take_ready},
    seal::Seal,
    segment::{self, Birth, Header, HeaderFault, Predecessor},
};

/// How often a directory that changes meanwhile is listed anew.
const TRIES_MAX: u32 = 8;

/// The segments of a log that may be damaged, and by what each is to be read.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) id: Option<LogId>,
    /// Oldest first.
    pub(crate) stops: Vec<Stop>,
    /// What opening the log would say of its segments' headers, and of which one.
    pub(crate) refusal: Option<(usize, &'static str)>,
    /// The next segment, made ahead of its time: its name and length in bytes. Nothing is in it, and it names the last one.
    pub(crate) ready: Option<(String, u64)>,
    /// Files that are no segments; their names and lengths in bytes.
    pub(crate) others: Vec<(String, u64)>,
    /// Every segment was truncated before it could be opened: there are later ones.
    is_outrun: bool,
}

/// One segment.
#[derive(Debug, PartialEq)]
pub(crate) struct Stop {
    pub(crate) name: String,
    pub(crate) sequence: u64,
    pub(crate) file_bytes: u64,
    /// As it is in the file.
    pub(crate) written: Result<Header, HeaderFault>,
    /// What its frames are believed by; `None` where nothing says which of them are its own.
    pub(crate) header: Option<Header>,
    /// How it begins; `None` where nothing says it.
    pub(crate) birth: Option<Birth>,
    /// What is wrong with its header or its place.
    pub(crate) fault: Option<String>,
    /// Where its successor says that it ends.
    pub(crate) seal: Option<Seal>,
    pub(crate) is_last: bool,
}

impl Stop {
    /// The segment that is named by the one that was made ahead of time to follow it, where another one is the last.
    fn missing(ready: &Found, last: &Found) -> Option<Stop> {
        let sequence = ready.sequence.checked_sub(1).filter(|before| *before > last.sequence)?;
        let what = "it is missing";
        let fault = format!("{what}; {} was made to follow it", ready.name);
        Some(Stop {
            name: segment::name(sequence),
            sequence,
            file_bytes: 0,
            written: Err(HeaderFault::Damaged(what)),
            header: None,
            birth: None,
            fault: Some(fault),
            seal: None,
            is_last: true,
        })
    }

    /// Where its frames end at the latest.
    pub(crate) fn limit(&self) -> u64 {
        let end = match (&self.seal, &self.header) {
            (Some(seal), _) => seal.end,
            (None, Some(header)) => header.length,
            (None, None) => u64::MAX,
        };
        // A length that is only claimed is no reason to make room for it.
        end.min(self.file_bytes)
    }

    /// The number of its first record, or a lower one.
    pub(crate) fn base(&self) -> Option<Lsn> {
        self.birth.map(|birth| birth.base)
    }

    /// Whether its frames are told by what another segment says.
    pub(crate) fn is_vouched_for(&self) -> bool {
        self.header.is_some() && self.written.is_err()
    }

    /// Whether what is missing behind its last frame may have been cut off with the end of its file.
    pub(crate) fn may_be_cut(&self) -> bool {
        match (&self.written, &self.header) {
            (Ok(_), Some(header)) => self.seal.is_none() && self.file_bytes < header.length,
            // How long it was is not known.
            (Err(_), Some(_)) => self.seal.is_none(),
            (_, None) => false,
        }
    }

    fn is_doubtful(&self) -> bool {
        self.fault.is_some() || self.birth.is_none()
    }
}

impl Plan {
    /// Looks at every header, again and again until two looks in a row agree where the first found something wrong: beside an
    /// owner that truncates, a listing may hold what is gone by now.
    pub(crate) fn make<S: Storage>(storage: &S) -> Result<Self, LogError> {
        let mut plan = Plan::look(storage)?;
        for _ in 0..TRIES_MAX {
            if !plan.stops.iter().any(Stop::is_doubtful) && plan.refusal.is_none() && !plan.is_outrun {
                break;
            }
            let again = Plan::look(storage)?;
            let agree = again == plan && !plan.is_outrun;
            plan = again;
            if agree {
                break;
            }
        }
        Ok(plan)
    }

    fn look<S: Storage>(storage: &S) -> Result<Self, LogError> {
        let (mut found, others, is_outrun) = survey(storage)?;
        let ready = match take_ready(&mut found) {
            Some(last) if was_begun(storage, &last)? => {
                found.push(last);
                None
            }
            other => other,
        };
        let id = identity(&found);
        let refusal = links(&found).into_iter().enumerate().find_map(|(at, link)| match link.err()? {
            HeaderFault::Damaged(what) => Some((at, what)),
            HeaderFault::Unsupported(_) | HeaderFault::UnknownFlags(_) => None,
        });
        let count = found.len();
        let missing = ready.as_ref().and_then(|ready| Stop::missing(ready, found.last()?));
        let mut stops = Vec::with_capacity(count);
        // From the newest to the oldest: each says which one it was written after, and where that ends.
        let mut after: Option<Stop> = None;
        for (at, found) in found.into_iter().enumerate().rev() {
            let next = after.as_ref().filter(|after| found.sequence.checked_add(1) == Some(after.sequence));
            let by = match (&ready, at + 1 == count) {
                // The one that was made ahead of time was made to follow this one.
                (Some(ready), true) => ready.header.as_ref().ok().and_then(|header| header.predecessor),
                _ => next.and_then(|next| next.header?.predecessor),
            };
            let by = by.filter(|by| by.sequence == found.sequence);
            let seal = next.filter(|next| by.is_some() || next.is_vouched_for());
            // One that ends before its first frame does is nonsense, of which `refusal` tells.
            let seal = seal.and_then(|next| next.birth?.link).filter(|seal| seal.end > segment::HEADER_BYTES);
            let mut stop = stop(found, id, by, seal, at + 1 == count && missing.is_none())?;
            if let (true, Some(header)) = (stop.is_vouched_for(), &stop.header) {
                stop.birth = first_words(storage, &stop, header)?;
            }
            stops.extend(after.replace(stop));
        }
        stops.extend(after);
        stops.reverse();
        stops.extend(missing);
        let ready = ready.map(|ready| (ready.name, ready.file_bytes));
        Ok(Plan { id: id.map(LogId), stops, refusal, ready, others, is_outrun })
    }
}

/// Whether a last segment without a sound first frame was begun all the same: a later frame proves the first one.
fn was_begun<S: Storage>(storage: &S, last: &Found) -> Result<bool, LogError> {
    let Ok(header) = &last.header else { return Ok(false) };
    let unreadable = |error| LogError::io(format!("reading {}", last.name), error);
    let file = match storage.open(&last.name) {
        Ok(file) => Patient::new(file),
        // Taken back since it was listed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unreadable(error)),
    };
    let found = search(&file, header, segment::HEADER_BYTES, header.seed(), last.limit(header));
    found.map(|found| found.proof.is_some()).map_err(unreadable)
}

/// How a segment without a sound header begins, by its first frame.
fn first_words<S: Storage>(storage: &S, stop: &Stop, header: &Header) -> Result<Option<Birth>, LogError> {
    let unreadable = |error| LogError::io(format!("reading {}", stop.name), error);
    match storage.open(&stop.name) {
        Ok(file) => {
            let begun = opening_frame(&Patient::new(file), header.incarnation, stop.limit());
            begun.map(Result::ok).map_err(unreadable)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(error)),
    }
}

/// What to make of one segment, and of what its successor says of it: which one it is, and where it ends.
fn stop(
    found: Found,
    id: Option<u128>,
    by: Option<Predecessor>,
    seal: Option<Seal>,
    is_last: bool,
) -> Result<Stop, LogError> {
    let (header, fault) = match &found.header {
        Err(HeaderFault::Unsupported(_) | HeaderFault::UnknownFlags(_)) => {
            let fault = found.header.clone().err();
            return Err(fault.map_or(LogError::Closed, |fault| found.damage(fault)));
        }
        Err(HeaderFault::Damaged(what)) => match (by, id) {
            // Only the incarnation is needed to tell its frames from all others.
            (Some(by), Some(log)) => (Some(stand_in(&found, log, by)), Some((*what).to_owned())),
            _ => (None, Some(format!("{what}; without it its frames cannot be told from older ones"))),
        },
        Ok(header) if header.sequence != found.sequence => {
            let right = segment::name(header.sequence);
            (None, Some(format!("by its header this is {right}; give it that name back if that is missing")))
        }
        Ok(header) if Some(header.log) != id => {
            (None, Some(format!("it belongs to another log, {}", LogId(header.log))))
        }
        Ok(header) => match by {
            Some(by) if by.incarnation != header.incarnation => {
                (None, Some("another segment lies in the place of this one".to_owned()))
            }
            _ => (Some(*header), None),
        },
    };
    let Found { name, sequence, file_bytes, header: written, beginning } = found;
    let birth = beginning.ok().filter(|_| header.is_some());
    Ok(Stop { name, sequence, file_bytes, written, header, birth, fault, seal, is_last })
}

/// What must have been in a header that is damaged, as far as its successor says. What came before it is not known.
fn stand_in(found: &Found, log: u128, by: Predecessor) -> Header {
    Header {
        version: segment::VERSION,
        log,
        sequence: found.sequence,
        incarnation: by.incarnation,
        length: found.file_bytes,
        born_end: segment::HEADER_BYTES,
        // As that can have been: numbers are left out rather than given twice.
        relaxed: true,
        // Nothing that lies in it may be taken for its own without a proof.
        recycled: true,
        predecessor: None,
        birth: None,
    }
}

/// The log that most segments say they belong to; of several the newest.
fn identity(found: &[Found]) -> Option<u128> {
    let mut counts = BTreeMap::new();
    for (at, header) in
        found.iter().enumerate().filter_map(|(at, found)| Some((at, found.header.as_ref().ok()?)))
    {
        let (count, newest) = counts.entry(header.log).or_insert((0, 0));
        (*count, *newest) = (*count + 1, at);
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(id, _)| id)
}

/// Segments, other files with their lengths in bytes, and whether all segments that were listed are gone.
type Listing = (Vec<Found>, Vec<(String, u64)>, bool);

/// Every segment in the order of their numbers, and every other file. A header that a medium has lost is a damaged one.
fn survey<S: Storage>(storage: &S) -> Result<Listing, LogError> {
    let place = storage.describe();
    let failed = |name: &str, error| LogError::io(format!("reading {name} in {place}"), error);
    let mut names = storage.list().map_err(|error| LogError::io(format!("listing {place}"), error))?;
    names.sort_unstable();
    let (mut found, mut others, mut has_gone) = (Vec::new(), Vec::new(), false);
    for name in names {
        let sequence = segment::sequence_of(&name);
        let file = match storage.open(&name) {
            Ok(file) => Patient::new(file),
            // Removed since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                has_gone |= sequence.is_some();
                continue;
            }
            Err(_) if sequence.is_none() => {
                others.push((name, 0));
                continue;
            }
            Err(error) => return Err(failed(&name, error)),
        };
        let file_bytes = file.len().map_err(|error| failed(&name, error))?;
        match sequence {
            None => others.push((name, file_bytes)),
            Some(sequence) => {
                let header = read_header(&file).map_err(|error| failed(&name, error))?;
                let beginning = match &header {
                    Ok(header) => beginning(&file, header, header.length.min(file_bytes)),
                    Err(_) => Ok(Err(Fault::Broken("the segment header is damaged"))),
                };
                let beginning = beginning.map_err(|error| failed(&name, error))?;
                found.push(Found { name, sequence, file_bytes, header, beginning });
            }
        }
    }
    let is_outrun = has_gone && found.is_empty();
    Ok((found, others, is_outrun))
}

/// The header as it is in the file now.
pub(crate) fn read_header<F: File>(file: &F) -> io::Result<Result<Header, HeaderFault>> {
    let mut bytes = vec![0; segment::HEADER_BYTES as usize];
    let read = file.read_full_at(&mut bytes, 0)?;
    Ok(Header::decode(&bytes[..read]))
}
