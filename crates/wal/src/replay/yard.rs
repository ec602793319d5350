use std::{
    any::Any,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use standpipe_log::{Entry, Lsn};

use super::block::Block;
use crate::lock::lock;

/// How many blocks' worth of memory may wait to be applied.
const BLOCKS_WAITING: usize = 16;
/// Lists kept for their memory.
const SPARES_MAX: usize = 64;
/// A block or list whose memory is above this is not kept.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// One record of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    lsn: Lsn,
    frame: u32,
    at: u32,
    len: u32,
}

impl Place {
    /// A record `at` some place in the payload of one of the block's frames.
    pub(crate) fn new(lsn: Lsn, frame: usize, bytes: &std::ops::Range<usize>) -> Self {
        // A payload is at most 1 GiB, and a block has not that many frames.
        Place { lsn, frame: frame as u32, at: bytes.start as u32, len: bytes.len() as u32 }
    }

    fn entry<'a>(&self, block: &'a Block) -> Entry<'a> {
        let payload = block.payload(&block.frames[self.frame as usize]);
        Entry { lsn: self.lsn, payload: &payload[self.at as usize..][..self.len as usize] }
    }
}

/// A block that several lanes work on, and what it counts for.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) block: Block,
    cost_bytes: usize,
}

/// Records of one block for one lane.
struct Parcel {
    load: Arc<Load>,
    places: Vec<Place>,
}

/// Where records wait for the threads that apply them: a lane for each thread, first in, first out, and a bound on
/// the memory of all together.
pub(crate) struct Yard<E> {
    lanes: Vec<Lane>,
    state: Mutex<State<E>>,
    /// Something was applied.
    freed: Condvar,
    /// Records at and above this are not applied any more.
    cut: AtomicU64,
    waiting_bytes_max: usize,
}

#[derive(Default)]
struct Lane {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Default)]
struct Queue {
    parcels: VecDeque<Parcel>,
    is_closed: bool,
}

struct State<E> {
    /// Parcels that are not done.
    parcels: usize,
    waiting_bytes: usize,
    failure: Option<(Lsn, E)>,
    panic: Option<Box<dyn Any + Send>>,
    spare_blocks: Vec<Block>,
    spare_lists: Vec<Vec<Place>>,
}

impl<E> Yard<E> {
    pub(crate) fn new(lanes: usize, block_bytes: usize) -> Self {
        let state = State {
            parcels: 0,
            waiting_bytes: 0,
            failure: None,
            panic: None,
            spare_blocks: Vec::new(),
            spare_lists: Vec::new(),
        };
        Yard {
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
            state: Mutex::new(state),
            freed: Condvar::new(),
            cut: AtomicU64::new(u64::MAX),
            waiting_bytes_max: BLOCKS_WAITING * block_bytes,
        }
    }

    /// Whether some record could not be applied. Those below it still are.
    pub(crate) fn has_failed(&self) -> bool {
        self.cut.load(Ordering::Relaxed) != u64::MAX
    }

    /// Applies what comes into a lane until the lane is closed and empty.
    pub(crate) fn work(&self, lane: usize, apply: &(impl Fn(&Entry<'_>) -> Result<(), E> + Sync)) {
        while let Some(parcel) = self.lanes[lane].take() {
            let done = catch_unwind(AssertUnwindSafe(|| self.apply(&parcel, apply)));
            if let Err(panic) = done {
                self.cut.store(0, Ordering::Relaxed);
                lock(&self.state).panic.get_or_insert(panic);
            }
            self.finish(parcel);
        }
    }

    fn apply(&self, parcel: &Parcel, apply: &impl Fn(&Entry<'_>) -> Result<(), E>) {
        for place in &parcel.places {
            if place.lsn.number() >= self.cut.load(Ordering::Relaxed) {
                return;
            }
            if let Err(error) = apply(&place.entry(&parcel.load.block)) {
                self.cut.fetch_min(place.lsn.number(), Ordering::Relaxed);
                let mut state = lock(&self.state);
                if state.failure.as_ref().is_none_or(|(lsn, _)| place.lsn < *lsn) {
                    state.failure = Some((place.lsn, error));
                }
                return;
            }
        }
    }

    fn finish(&self, parcel: Parcel) {
        let Parcel { load, mut places } = parcel;
        let load = Arc::into_inner(load);
        places.clear();
        let mut state = lock(&self.state);
        state.parcels -= 1;
        if state.spare_lists.len() < SPARES_MAX && places.capacity() * size_of::<Place>() <= KEPT_BYTES_MAX {
            state.spare_lists.push(places);
        }
        state.release(load);
        // The one who hands out waits for a good deal of room, or for everything.
        if state.parcels == 0 || state.waiting_bytes <= self.waiting_bytes_max / 2 {
            self.freed.notify_one();
        }
    }

    /// Waits until there is room for more; one block always has.
    pub(crate) fn wait_for_room(&self) {
        let mut state = lock(&self.state);
        if state.waiting_bytes > self.waiting_bytes_max {
            while state.parcels > 0 && state.waiting_bytes > self.waiting_bytes_max / 2 {
                state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Waits until everything that was handed out is done.
    pub(crate) fn wait_for_all(&self) {
        let mut state = lock(&self.state);
        while state.parcels > 0 {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Counts a block in.
    pub(crate) fn load(&self, block: Block) -> Arc<Load> {
        let records: usize = block.frames.iter().map(|frame| frame.records as usize).sum();
        let cost_bytes = block.size_bytes() + records * size_of::<Place>();
        lock(&self.state).waiting_bytes += cost_bytes;
        Arc::new(Load { block, cost_bytes })
    }

    /// Gives up the hold of the one who hands out.
    pub(crate) fn unload(&self, load: Arc<Load>) {
        lock(&self.state).release(Arc::into_inner(load));
    }

    /// Hands out what was listed for each lane.
    pub(crate) fn send(&self, load: &Arc<Load>, lists: &mut [Vec<Place>]) {
        for (lane, list) in self.lanes.iter().zip(lists) {
            if list.is_empty() {
                continue;
            }
            let fresh = {
                let mut state = lock(&self.state);
                state.parcels += 1;
                state.spare_lists.pop().unwrap_or_default()
            };
            lane.put(Parcel { load: load.clone(), places: std::mem::replace(list, fresh) });
        }
    }

    /// Memory to read the next block into.
    pub(crate) fn spare(&self) -> Block {
        lock(&self.state).spare_blocks.pop().unwrap_or_default()
    }

    /// Gives what went wrong, once every thread has ended. Goes on with a panic of one of them.
    pub(crate) fn into_failure(self) -> Option<(Lsn, E)> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        match state.panic {
            Some(panic) => resume_unwind(panic),
            None => state.failure,
        }
    }
}

impl<E> State<E> {
    fn release(&mut self, load: Option<Load>) {
        let Some(Load { block, cost_bytes }) = load else { return };
        self.waiting_bytes -= cost_bytes;
        if self.spare_blocks.len() < BLOCKS_WAITING && block.size_bytes() <= KEPT_BYTES_MAX {
            self.spare_blocks.push(block);
        }
    }
}

impl Lane {
    fn put(&self, parcel: Parcel) {
        let mut queue = lock(&self.queue);
        queue.parcels.push_back(parcel);
        drop(queue);
        self.arrived.notify_one();
    }

    fn take(&self) -> Option<Parcel> {
        let mut queue = lock(&self.queue);
        loop {
            match queue.parcels.pop_front() {
                None if !queue.is_closed => {
                    queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                next => return next,
            }
        }
    }
}

/// Lets the threads of a yard end when what is in their lanes is done; when it goes in a panic, at once.
pub(crate) struct Closing<'a, E>(pub(crate) &'a Yard<E>);

impl<E> Drop for Closing<'_, E> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.cut.store(0, Ordering::Relaxed);
        }
        for lane in &self.0.lanes {
            lock(&lane.queue).is_closed = true;
            lane.arrived.notify_one();
        }
    }
}
