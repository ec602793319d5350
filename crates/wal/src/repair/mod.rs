use standpipe_log::{LogError, LogId, Lsn, Storage};

use crate::{
    birth::{Blocks, Draft, Origin, Pins, Stillborn},
    frame,
    inspect::{Damage, TailReport, Watch, interrupted},
    names::Names,
    plan::Plan,
    seal::Seal,
    segment::{self, Birth, Header, Predecessor},
    settings::{Compression, Durability, Entropy, Settings},
    tour::{Halt, Sound, Visit, tour},
    wal::Wal,
};

mod copy;
mod dir;

use copy::Copy;
pub use dir::repair_dir;

/// Segments of a repaired log are not longer than this, in bytes, unless a record needs it.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// What identity a repaired log gets.
///
/// A ledger remembers a log by its identity, and how far it is applied by the log's numbers. Both are kept by default, and
/// this is what makes a repair safe for it: every record that is left has the number that it had, so what was applied
/// is not applied again and what was not is; no number of a lost record is given to another one, for the repaired
/// log goes on above every number that the original can have given; and where the log's beginning is lost, its start says so,
/// which a ledger that is behind it refuses as a gap. Under a new identity a ledger would take the repaired log for another
/// one, and refuse it, or apply all of it a second time.
///
/// It holds as long as **only one of the two goes on**: two logs of one identity that both take records give the same
/// numbers to different ones, and no ledger can tell. So the original is to be put away. Where it has to go on, the copy
/// must be another log: [`New`](Identity::New).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// That of the original, which is not to be used any more.
    #[default]
    Kept,
    /// A fresh one: for a copy that is looked at, or read from its beginning by something that never saw the original.
    New,
}

/// How [`repair`] goes about it.
#[derive(Clone, Debug, Default)]
pub struct RepairSettings {
    /// Whose identity the new log has.
    pub identity: Identity,
    /// Where identities come from.
    pub entropy: Entropy,
}

/// What a repair saved, and what it could not save.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repaired {
    /// The identity of the original.
    pub original: LogId,
    /// The identity of the new log.
    pub id: LogId,
    /// Records that were copied.
    pub records: u64,
    /// Their bytes.
    pub data_bytes: u64,
    /// Keys that are pinned at the end.
    pub pins: u64,
    /// The first record's number; `None` when there is no record.
    pub start: Option<Lsn>,
    /// The number that the new log gives next. Above all that the original can have given.
    pub next: Lsn,
    /// What was damaged in the original, oldest first, and which records are lost by it.
    pub damage: Vec<Damage>,
    /// How the original ended. What is torn was never acknowledged and is left out, as opening the log would.
    pub tail: TailReport,
    /// Whether a pin may have its value from before the damage: nothing behind it states all pins again.
    pub has_stale_pins: bool,
}

impl Repaired {
    /// Whether all that was durable is in the new log.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        !self.has_stale_pins && self.damage.iter().all(|damage| damage.lost.is_none())
    }
}

/// Copies everything sound of a log to a new one in an empty storage: the same records with the same numbers, with gaps
/// where records are lost, and the pins. Changes nothing in the original, and holds its lock meanwhile. Blocks. Memory is
/// bounded by the largest frame, the pins and some MiB.
///
/// Behind damage it goes on at the next frame whose checksum is right, found in a time linear in the segment's length. The frames of a
/// segment whose header is damaged are told by what its successor says of it; without that they could be those
/// of an earlier use of the same blocks, and are lost.
///
/// When it fails, or the process dies, `to` holds a part of a log that looks like a whole one: see [`repair_dir`], which gives the
/// directory its name when all is done.
///
/// # Errors
/// [`LogError::Invalid`] when `to` is not empty or `from` holds no log; [`LogError::InUse`]; [`LogError::Corrupt`] when nothing can be
/// saved; [`LogError::Unsupported`]; [`LogError::Full`]; [`LogError::Io`], of the kind `Interrupted` when the watcher breaks.
pub fn repair<S: Storage, T: Storage>(
    from: &S,
    to: T,
    settings: &RepairSettings,
    watch: Watch<'_>,
) -> Result<Repaired, LogError> {
    let _owner = from.lock().map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => LogError::InUse { place: from.describe() },
        _ => LogError::io(format!("locking {}", from.describe()), error),
    })?;
    let there = to.list().map_err(|error| LogError::io(format!("listing {}", to.describe()), error))?;
    if !there.is_empty() {
        let place = to.describe();
        return Err(LogError::Invalid(format!(
            "{place} is not empty; name a directory that is not there yet"
        )));
    }
    let plan = Plan::make(from)?;
    let original = original(from, &plan)?;
    let first = first_segment(from, &plan)?;
    let id = match settings.identity {
        Identity::Kept => original,
        Identity::New => LogId(settings.entropy.draw()),
    };
    let settings = settings_like(&plan, settings.entropy.clone());
    plant(&to, &settings, id, &first)?;
    let mut copy = Copy::new(Wal::open_in(to, settings)?, &plan, watch);
    match tour(from, &plan, &mut copy) {
        Ok(()) => copy.finish(original, id),
        Err(Halt::Enough) => Err(interrupted()),
        // It is locked; somebody else removed a file.
        Err(Halt::Moved) => {
            Err(LogError::Invalid(format!("the log in {} was changed meanwhile", from.describe())))
        }
        Err(Halt::Failed(error)) => Err(error),
    }
}

fn original<S: Storage>(from: &S, plan: &Plan) -> Result<LogId, LogError> {
    if let Some(id) = plan.id {
        return Ok(id);
    }
    match plan.stops.first() {
        None => Err(LogError::Invalid(format!("{} holds no log: no segment is in it", from.describe()))),
        Some(_) => Err(nothing(plan, NO_HEADER)),
    }
}

const NO_HEADER: &str = "no segment has a sound header, so nothing can be saved";

/// How the new log begins.
struct First {
    sequence: u64,
    predecessor: Option<Predecessor>,
    birth: Birth,
}

/// What the first segment of the new log says of itself: the same as the first one that can be read, so that numbers below
/// it are known to be gone.
fn first_segment<S: Storage>(from: &S, plan: &Plan) -> Result<First, LogError> {
    let Some((stop, header)) = plan.stops.iter().find_map(|stop| Some((stop, stop.header?))) else {
        return Err(nothing(plan, NO_HEADER));
    };
    let sequence = stop.sequence;
    // Without a header that there was something before follows from the number.
    let stands_in = Predecessor { sequence: sequence.saturating_sub(1), incarnation: 0 };
    let has_predecessor = header.predecessor.is_some() || stop.is_vouched_for() && sequence > 1;
    let predecessor = has_predecessor.then(|| header.predecessor.unwrap_or(stands_in));
    let base = match (stop.base(), predecessor) {
        (Some(base), _) => base,
        (None, None) => Lsn::FIRST,
        (None, Some(_)) => first_base(from, plan)?,
    };
    // It ends nowhere: it is gone.
    let gone = Seal { end: segment::HEADER_BYTES, end_lsn: base, chain: 0 };
    Ok(First { sequence, predecessor, birth: Birth { base, link: predecessor.map(|_| gone) } })
}

/// The number that the first sound frame begins with. Without one nothing says which numbers were given: a copy would give
/// them again.
fn first_base<S: Storage>(from: &S, plan: &Plan) -> Result<Lsn, LogError> {
    struct Earliest(Option<Lsn>);
    impl Visit for Earliest {
        fn frame(&mut self, sound: &Sound<'_>) -> Result<(), Halt> {
            self.0 = Some(sound.frame.base);
            Err(Halt::Enough)
        }
    }
    let mut earliest = Earliest(None);
    match (tour(from, plan, &mut earliest), earliest.0) {
        (Err(Halt::Failed(error)), _) => Err(error),
        (_, Some(base)) => Ok(base),
        (_, None) => Err(nothing(
            plan,
            "no frame is sound, so nothing can be saved: not even which numbers were given",
        )),
    }
}

/// What is said of a log of which nothing is left.
fn nothing(plan: &Plan, what: &str) -> LogError {
    let segment = plan.stops.first().map_or_else(String::new, |stop| stop.name.clone());
    LogError::Corrupt { segment, offset: 0, lsn: Lsn::FIRST, what: what.to_owned() }
}

fn settings_like(plan: &Plan, entropy: Entropy) -> Settings {
    let length = plan.stops.iter().rev().find_map(|stop| Some(stop.header?.length));
    let segment_bytes = segment::round_up(length.unwrap_or(SEGMENT_BYTES_MAX));
    Settings {
        // Everything is synced before the copy gets its name; who waits is nobody.
        durability: Durability::Os,
        // The original may have been compressed, and the copy is to fit where that did.
        compression: Compression::lz4(),
        segment_ahead: false,
        segment_bytes: segment_bytes.clamp(2 * segment::HEADER_BYTES, SEGMENT_BYTES_MAX),
        record_bytes_max: frame::PAYLOAD_BYTES_MAX - 64,
        size_bytes_max: u64::MAX / 2,
        idle_proof: None,
        entropy,
        ..Settings::default()
    }
}

/// Makes the first segment of the new log.
fn plant<T: Storage>(to: &T, settings: &Settings, id: LogId, first: &First) -> Result<(), LogError> {
    let header = Header {
        version: segment::VERSION,
        log: id.0,
        sequence: first.sequence,
        incarnation: settings.entropy.draw() as u64,
        length: settings.segment_bytes,
        born_end: 0,
        relaxed: false,
        recycled: false,
        predecessor: first.predecessor,
        birth: None,
    };
    let Birth { base, link } = &first.birth;
    let made = Draft::create(to, header, &Origin::New(Blocks::Reserved)).and_then(|mut draft| {
        draft.begin(to, *base, link.as_ref(), &Pins::new())?;
        draft.publish(to, &Names::default())
    });
    match made {
        Ok(_) => Ok(()),
        Err(Stillborn::Full(what)) => Err(LogError::Full { what }),
        Err(Stillborn::Failed(error)) => Err(error),
    }
}
