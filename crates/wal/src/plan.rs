use std::{collections::BTreeMap, io};

use standpipe_log::{File, FileExt, LogError, LogId, Storage};

use crate::{
    extent::Seal,
    patient::Patient,
    scan::{Found, links},
    segment::{self, Header, HeaderFault, Predecessor},
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
    /// Files that are no segments; their names and lengths in bytes.
    pub(crate) others: Vec<(String, u64)>,
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
    /// What is wrong with its header or its place.
    pub(crate) fault: Option<String>,
    /// Where its successor says that it ends.
    pub(crate) seal: Option<Seal>,
    pub(crate) is_last: bool,
}

impl Stop {
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

    /// Whether a frame may be looked for by what another segment says, and the base is not known.
    pub(crate) fn is_vouched_for(&self) -> bool {
        self.header.is_some() && self.written.is_err()
    }
}

impl Plan {
    /// Looks at every header, again and again until two looks in a row agree where the first found something wrong: beside an
    /// owner that truncates, a listing may hold what is gone by now.
    pub(crate) fn make<S: Storage>(storage: &S) -> Result<Self, LogError> {
        let mut plan = Plan::look(storage)?;
        for _ in 0..TRIES_MAX {
            if plan.stops.iter().all(|stop| stop.fault.is_none()) && plan.refusal.is_none() {
                break;
            }
            let again = Plan::look(storage)?;
            let agree = again == plan;
            plan = again;
            if agree {
                break;
            }
        }
        Ok(plan)
    }

    fn look<S: Storage>(storage: &S) -> Result<Self, LogError> {
        let (found, others) = survey(storage)?;
        let id = identity(&found);
        let refusal = links(&found).into_iter().enumerate().find_map(|(at, link)| match link.err()? {
            HeaderFault::Damaged(what) => Some((at, what)),
            HeaderFault::Unsupported(_) => None,
        });
        let count = found.len();
        let mut stops = Vec::with_capacity(count);
        // From the newest to the oldest: each says which one it was written after.
        let mut named: Option<Predecessor> = None;
        for (at, found) in found.into_iter().enumerate().rev() {
            let by = named.take().filter(|named| named.sequence == found.sequence);
            let stop = stop(found, id, by, at + 1 == count)?;
            named = stop.header.and_then(|header| header.predecessor);
            stops.push(stop);
        }
        stops.reverse();
        Ok(Plan { id: id.map(LogId), stops, refusal, others })
    }
}

/// What to make of one segment, and of what its successor says of it.
fn stop(found: Found, id: Option<u128>, by: Option<Predecessor>, is_last: bool) -> Result<Stop, LogError> {
    let seal = by.map(|by| Seal { end: by.end, end_lsn: by.end_lsn, chain: by.chain });
    let (header, fault) = match &found.header {
        Err(HeaderFault::Unsupported(_)) => {
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
    let Found { name, sequence, file_bytes, header: written } = found;
    Ok(Stop { name, sequence, file_bytes, written, header, fault, seal, is_last })
}

/// What must have been in a header that is damaged, as far as its successor says. Its base is not known, nor what came before it.
fn stand_in(found: &Found, log: u128, by: Predecessor) -> Header {
    Header {
        log,
        sequence: found.sequence,
        incarnation: by.incarnation,
        base: standpipe_log::Lsn::FIRST,
        length: found.file_bytes,
        born_end: segment::HEADER_BYTES,
        relaxed: false,
        predecessor: None,
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

/// Segments, and other files with their lengths in bytes.
type Listing = (Vec<Found>, Vec<(String, u64)>);

/// Every segment in the order of their numbers, and every other file. A header that a medium has lost is a damaged one.
fn survey<S: Storage>(storage: &S) -> Result<Listing, LogError> {
    let place = storage.describe();
    let failed = |name: &str, error| LogError::io(format!("reading {name} in {place}"), error);
    let mut names = storage.list().map_err(|error| LogError::io(format!("listing {place}"), error))?;
    names.sort_unstable();
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for name in names {
        let sequence = segment::sequence_of(&name);
        let file = match storage.open(&name) {
            Ok(file) => Patient::new(file),
            // Removed since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
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
                found.push(Found { name, sequence, file_bytes, header });
            }
        }
    }
    Ok((found, others))
}

/// The header as it is in the file now.
pub(crate) fn read_header<F: File>(file: &F) -> io::Result<Result<Header, HeaderFault>> {
    let mut bytes = vec![0; segment::HEADER_BYTES as usize];
    let read = file.read_full_at(&mut bytes, 0)?;
    Ok(Header::decode(&bytes[..read]))
}
