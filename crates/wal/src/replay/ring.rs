use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use standpipe_log::{FileExt, LogError, Storage};

use super::{
    block::{Block, Checked, Part},
    serial,
};
use crate::{
    cursor::{Outline, Rest, Standing},
    extent::{Entry, Readable},
    frame,
    lock::lock,
    segment,
    shared::Shared,
};

/// What may wait in a ring beside one block for each thread, in blocks.
const BLOCKS_AHEAD: usize = 8;
/// How many bytes may wait in a ring in any case: frames may be much larger than a block, and with room for less than
/// a few of them the threads would wait for each other.
const BYTES_AHEAD: usize = 8 << 20;
/// Blocks kept for their memory.
const SPARES_MAX: usize = 16;
/// A block whose memory is above this is not kept.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Checks the frames of a log on several threads and hands them out in order.
///
/// Whoever has nothing to do reads the next block (one at a time; the headers say where frames end) and checks it
/// beside the others. Who takes the blocks does the same while none is ready. Blocks wait in a ring of bounded bytes.
pub(crate) struct Ring<S: Storage> {
    source: Mutex<Source<S>>,
    state: Mutex<State>,
    turned: Condvar,
    block_bytes: usize,
}

#[derive(Default)]
struct State {
    /// What was begun and not taken, in order.
    slots: VecDeque<Slot>,
    /// How many blocks were taken.
    taken: u64,
    /// What lies in the ring, in bytes.
    held_bytes: usize,
    /// Places given to threads that have not begun.
    admitted: usize,
    ended: bool,
    stopped: bool,
    spares: Vec<Block>,
}

enum Slot {
    Pending,
    Done(Option<Checked>),
}

/// What comes next out of a ring.
pub(crate) enum Taken {
    Block(Checked),
    /// Something is not as it should be, or could not be read.
    Doubt,
    End,
}

impl<S: Storage> Ring<S> {
    pub(crate) fn new(shared: Arc<Shared<S>>, entry: &Entry, block_bytes: usize) -> Self {
        Ring {
            source: Mutex::new(Source::new(shared, entry, block_bytes)),
            state: Mutex::default(),
            turned: Condvar::new(),
            block_bytes,
        }
    }

    /// Checks blocks until there are no more.
    pub(crate) fn work(&self) {
        let mut state = lock(&self.state);
        while !state.stopped && !state.ended {
            if !self.has_room(&state) {
                state = self.turned.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let spare = admit(&mut state);
            drop(state);
            // A panic comes again where the serial reader reads the same, on the thread of whoever called.
            let outcome = catch_unwind(AssertUnwindSafe(|| self.produce(spare)));
            state = lock(&self.state);
            state.stopped |= outcome.is_err();
            self.turned.notify_all();
        }
    }

    /// The next block in order.
    pub(crate) fn take(&self) -> Taken {
        let mut state = lock(&self.state);
        loop {
            if state.stopped {
                return Taken::Doubt;
            }
            if let Some(Slot::Done(found)) = state.slots.front_mut() {
                let found = found.take();
                state.slots.pop_front();
                state.taken += 1;
                let Some(found) = found else { return Taken::Doubt };
                state.held_bytes -= found.block.size_bytes();
                self.turned.notify_all();
                return Taken::Block(found);
            }
            if state.ended && state.slots.is_empty() && state.admitted == 0 {
                return Taken::End;
            }
            if !state.ended && self.has_room(&state) {
                let spare = admit(&mut state);
                drop(state);
                self.produce(spare);
                state = lock(&self.state);
            } else {
                state = self.turned.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Takes back the memory of a block.
    pub(crate) fn reuse(&self, block: Block) {
        keep(&mut lock(&self.state), block);
    }

    /// Lets every thread end.
    pub(crate) fn stop(&self) {
        lock(&self.state).stopped = true;
        self.turned.notify_all();
    }

    fn has_room(&self, state: &MutexGuard<'_, State>) -> bool {
        let begun = state.slots.len() + state.admitted;
        begun == 0
            || begun < BLOCKS_AHEAD && state.held_bytes < BYTES_AHEAD.max(BLOCKS_AHEAD * self.block_bytes)
    }

    /// Reads the next block and checks it.
    fn produce(&self, mut spare: Block) {
        let mut source = lock(&self.source);
        let read = if source.is_done { Ok(None) } else { source.read(spare.take_bytes()) };
        let number = {
            let mut state = lock(&self.state);
            state.admitted -= 1;
            if matches!(read, Ok(None)) {
                state.ended = true;
                keep(&mut state, spare);
                self.turned.notify_all();
                return;
            }
            state.slots.push_back(Slot::Pending);
            state.taken + state.slots.len() as u64 - 1
        };
        drop(source);
        let found = match read {
            Ok(Some(part)) => part.check(spare),
            _ => None,
        };
        let mut state = lock(&self.state);
        state.held_bytes += found.as_ref().map_or(0, |found| found.block.size_bytes());
        let at = (number - state.taken) as usize;
        if let Some(slot) = state.slots.get_mut(at) {
            *slot = Slot::Done(found);
        }
        drop(state);
        self.turned.notify_all();
    }
}

fn admit(state: &mut State) -> Block {
    state.admitted += 1;
    state.spares.pop().unwrap_or_default()
}

fn keep(state: &mut State, block: Block) {
    if state.spares.len() < SPARES_MAX && block.size_bytes() <= KEPT_BYTES_MAX {
        state.spares.push(block.emptied());
    }
}

/// Reads blocks of whole frames, in order.
struct Source<S: Storage> {
    shared: Arc<Shared<S>>,
    entry: Entry,
    file: Option<Arc<S::File>>,
    offset: u64,
    limit: u64,
    /// The checksum of the last frame that was read, as it says.
    chain: u32,
    block_bytes: usize,
    is_done: bool,
}

/// Something is not as it should be. What it is, the serial reader tells.
struct Doubt;

impl From<LogError> for Doubt {
    fn from(_: LogError) -> Self {
        Doubt
    }
}

impl<S: Storage> Source<S> {
    fn new(shared: Arc<Shared<S>>, entry: &Entry, block_bytes: usize) -> Self {
        let (offset, chain) = (segment::HEADER_BYTES, segment::seed(entry.incarnation));
        Source { shared, entry: *entry, file: None, offset, limit: 0, chain, block_bytes, is_done: false }
    }

    /// The next block; `None` at the end of the log. After a doubt there is none.
    fn read(&mut self, bytes: Vec<u8>) -> Result<Option<Part<S::File>>, Doubt> {
        let read = self.try_read(bytes);
        self.is_done = !matches!(read, Ok(Some(_)));
        read
    }

    fn try_read(&mut self, mut bytes: Vec<u8>) -> Result<Option<Part<S::File>>, Doubt> {
        while self.offset >= self.limit {
            match self.shared.extent.readable(self.entry.sequence, self.offset) {
                Readable::UpTo(limit) => self.limit = limit,
                Readable::Next(next, chain) if chain == self.chain => {
                    *self = Source::new(self.shared.clone(), &next, self.block_bytes);
                }
                Readable::CaughtUp(_) => return Ok(None),
                Readable::Next(..) | Readable::Gone(_) | Readable::Ended(_) => return Err(Doubt),
            }
        }
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.file.insert(Arc::new(serial::open(&self.shared, self.entry.sequence)?)).clone(),
        };
        let left = usize::try_from(self.limit - self.offset).unwrap_or(usize::MAX);
        let mut outline = Outline::new(self.offset, self.chain);
        let mut header = [0; frame::HEADER_BYTES];
        let read = file.read_full_at(&mut header, self.offset).map_err(|_| Doubt)?;
        let mut unread = outline.pass(&header[..read], self.limit).ok_or(Doubt)?;
        // A frame that is a block by itself is read by whoever checks it, so that others can read meanwhile.
        if unread < self.block_bytes / 2 {
            unread = 0;
            outline = Outline::new(self.offset, self.chain);
            self.read_several(&*file, &mut outline, &mut bytes, left)?;
        }
        let Some(first) = outline.first else { return Err(Doubt) };
        let start = Standing {
            incarnation: self.entry.incarnation,
            offset: self.offset,
            chain: self.chain,
            lsn: first,
        };
        (self.offset, self.chain) = (outline.end, outline.chain);
        let (sequence, segment_base, end) = (self.entry.sequence, self.entry.base, outline.end);
        Ok(Some(Part { file, sequence, segment_base, start, end, bytes, unread }))
    }

    /// Reads a block of whole frames.
    fn read_several(
        &self,
        file: &S::File,
        outline: &mut Outline,
        bytes: &mut Vec<u8>,
        left: usize,
    ) -> Result<(), Doubt> {
        let mut have = 0;
        let mut wanted = self.block_bytes.min(left);
        loop {
            bytes.resize(wanted, 0);
            let read = file.read_full_at(&mut bytes[have..], self.offset + have as u64).map_err(|_| Doubt)?;
            have += read;
            bytes.truncate(have);
            match outline.follow(bytes, self.limit) {
                // The rest of the frame that the block ends in, so that no byte is read twice.
                Rest::Wants(more) if have == wanted => wanted = more,
                _ => return Ok(()),
            }
        }
    }
}
