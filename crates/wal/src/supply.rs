use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use standpipe_log::{File, LogError, Storage};

use crate::{
    birth::{Active, Blocks, Draft, Origin, Stillborn},
    lock::lock,
    segment::{self, Header},
    shared::Shared,
};

/// The next segment, made before it is needed, and the files that can become segments again.
///
/// A segment is ready when its header is on disk under its own name; the frame with which it begins is written with the
/// first group that goes into it, so that changing over costs no sync of its own.
#[derive(Debug)]
pub(crate) struct Supply<F> {
    state: Mutex<State<F>>,
    changed: Condvar,
    /// Someone waits for the segment that is being made.
    hurry: Arc<AtomicBool>,
}

#[derive(Debug)]
struct State<F> {
    slot: Slot<F>,
    /// Files that held a segment.
    free: Vec<Free>,
    has_thread: bool,
    stops: bool,
}

#[derive(Debug)]
enum Slot<F> {
    Empty,
    Wanted(Order),
    Making,
    Ready(Active<F>),
    Failed(Stillborn),
}

/// A file that can become a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Free {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

impl Free {
    /// Takes one that is long enough.
    pub(crate) fn pick(free: &mut Vec<Free>, length_min: u64) -> Option<Free> {
        let at = free.iter().position(|free| free.bytes >= length_min)?;
        Some(free.swap_remove(at))
    }
}

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// The segment before.
    pub(crate) after: Header,
    /// In bytes.
    pub(crate) length: u64,
    /// A segment that was made earlier does when it is as long as this.
    pub(crate) length_min: u64,
    /// Whether a new file is written once before it is used.
    pub(crate) is_zeroed: bool,
}

/// Files kept to become segments again, beside the one that is ready.
pub(crate) const FREE_MAX: usize = 1;

impl<F: File> Supply<F> {
    pub(crate) fn new(free: Vec<Free>, has_thread: bool) -> Self {
        let state = State { slot: Slot::Empty, free, has_thread, stops: false };
        Supply { state: Mutex::new(state), changed: Condvar::new(), hurry: Arc::default() }
    }

    /// Has the next segment made in the background, when there is none and nobody is at it.
    pub(crate) fn order(&self, order: Order) {
        let mut state = lock(&self.state);
        if state.has_thread && matches!(state.slot, Slot::Empty) {
            state.slot = Slot::Wanted(order);
            self.hurry.store(false, Ordering::Relaxed);
            self.changed.notify_all();
        }
    }

    /// Whether one more free file would be kept.
    pub(crate) fn wants_free(&self) -> bool {
        let state = lock(&self.state);
        !state.stops && state.free.len() < FREE_MAX
    }

    /// Keeps a file for a segment to come.
    pub(crate) fn give(&self, free: Free) {
        lock(&self.state).free.push(free);
    }

    /// Leaves the rest of the segment that is being made as it is.
    pub(crate) fn hurry(&self) {
        self.hurry.store(true, Ordering::Relaxed);
    }

    /// Nothing is made any more; what is being made is finished first.
    pub(crate) fn stop(&self) {
        let mut state = lock(&self.state);
        state.stops = true;
        self.hurry();
        self.changed.notify_all();
    }

    /// Makes what is ordered, until it is stopped.
    pub(crate) fn run<S: Storage<File = F>>(&self, shared: &Shared<S>) {
        let mut state = lock(&self.state);
        loop {
            if state.stops {
                // Whoever waits makes it without us.
                state.has_thread = false;
                if matches!(state.slot, Slot::Wanted(_)) {
                    state.slot = Slot::Empty;
                }
                self.changed.notify_all();
                return;
            }
            let Slot::Wanted(order) = state.slot else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.slot = Slot::Making;
            drop(state);
            let made = catch_unwind(AssertUnwindSafe(|| self.make(shared, order)));
            state = lock(&self.state);
            state.slot = match made {
                Ok(Ok(active)) => Slot::Ready(active),
                Ok(Err(why)) => Slot::Failed(why),
                Err(_) => {
                    let cause = "the thread that makes segments panicked".into();
                    Slot::Failed(Stillborn::Failed(LogError::Poisoned { cause }))
                }
            };
            self.changed.notify_all();
        }
    }

    /// The segment after `order.after`: the one that is ready, or one that is made now.
    pub(crate) fn take<S: Storage<File = F>>(
        &self,
        shared: &Shared<S>,
        order: Order,
    ) -> Result<Active<F>, Stillborn> {
        let mut state = lock(&self.state);
        // What failed ahead of time may do now: there may be room again.
        if matches!(state.slot, Slot::Failed(Stillborn::Full(_))) {
            state.slot = Slot::Empty;
        }
        loop {
            match std::mem::replace(&mut state.slot, Slot::Empty) {
                Slot::Ready(ready) if ready.header.length >= order.length_min => {
                    return Ok(ready);
                }
                Slot::Ready(small) => {
                    // Its name is taken over by the larger one.
                    drop(state);
                    let mut queue = lock(&shared.queue);
                    queue.space.taken -= small.header.length;
                    queue.space.ready = 0;
                    drop(queue);
                    return self.make(shared, order);
                }
                Slot::Failed(why) => return Err(why),
                Slot::Empty if state.has_thread && order.length <= shared.settings.segment_bytes => {
                    state.slot = Slot::Wanted(order);
                    self.changed.notify_all();
                }
                Slot::Empty => {
                    drop(state);
                    return self.make(shared, order);
                }
                busy @ (Slot::Wanted(_) | Slot::Making) => state.slot = busy,
            }
            self.hurry();
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn make<S: Storage<File = F>>(&self, shared: &Shared<S>, order: Order) -> Result<Active<F>, Stillborn> {
        let Order { after, length, length_min, is_zeroed } = order;
        let settings = &shared.settings;
        let relaxed = settings.durability.is_relaxed();
        let free = Free::pick(&mut lock(&self.state).free, length_min);
        let is_new = free.is_none();
        let length = free.as_ref().map_or(length, |free| free.bytes);
        let blocks = if is_zeroed { Blocks::Zeroed(self.hurry.clone()) } else { Blocks::Reserved };
        let origin = free.map_or(Origin::New(blocks), |free| Origin::Free(free.name));
        let header = Header {
            version: segment::VERSION,
            sequence: after.sequence + 1,
            incarnation: settings.entropy.draw() as u64,
            length,
            born_end: segment::HEADER_BYTES,
            relaxed,
            recycled: false,
            predecessor: Some(after.named()),
            birth: None,
            ..after
        };
        let cap = settings.size_bytes_max;
        while is_new && lock(&shared.queue).space.taken + length > cap {
            // What is kept is too short for this one.
            let Some(short) = lock(&self.state).free.pop() else {
                let taken = lock(&shared.queue).space.taken;
                return Err(Stillborn::Full(format!(
                    "its files take {taken} of at most {cap} bytes, the next one needs {length}"
                )));
            };
            let removed = shared.storage.remove(&short.name);
            removed
                .map_err(|error| Stillborn::Failed(LogError::io("removing a file that was kept", error)))?;
            let mut queue = lock(&shared.queue);
            queue.space.taken -= short.bytes;
            queue.space.kept -= short.bytes;
        }
        let made = Draft::create(&shared.storage, header, &origin)
            .and_then(|draft| draft.publish(&shared.storage, &shared.names));
        let mut queue = lock(&shared.queue);
        let space = &mut queue.space;
        // A file that was kept is a segment now, or gone.
        let (taken, kept) = match (is_new, &made) {
            (true, Ok(_)) => (space.taken + length, space.kept),
            (true, Err(_)) => (space.taken, space.kept),
            (false, Ok(_)) => (space.taken, space.kept - length),
            (false, Err(_)) => (space.taken - length, space.kept - length),
        };
        (space.taken, space.kept) = (taken, kept);
        if made.is_ok() {
            space.ready = length;
        }
        made
    }
}
