use std::mem::MaybeUninit;
use std::ptr;

use crate::Weight;
use crate::planted::{self, Plant};
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, Ordering, UnsafeCell};

/// Slots of the smallest segment, as a power of two. In models segments are small, so that few pushes reach their ends.
pub(crate) const CLASS_MIN: u32 = if cfg!(loom) { 1 } else { 4 };
/// Slots of the largest segment that single pushes fill.
pub(crate) const CLASS_GROWN: u32 = if cfg!(loom) { 1 } else { 9 };
/// Slots of the largest segment.
pub(crate) const CLASS_MAX: u32 = if cfg!(loom) { 1 } else { 15 };

/// Where nobody times the items, each so many-th slot of a segment is timed.
pub(crate) const TIMED_EVERY: u32 = 16;

/// What a slot holds.
pub(crate) struct Entry<T> {
    pub(crate) weight: Weight,
    /// When it came, as a [word](crate::time); 0 where nobody looked at the clock.
    pub(crate) at: u64,
    pub(crate) item: T,
}

/// A piece of a lane: slots that producers fill and the lane's one reader empties, each slot once in a life.
///
/// The alignment leaves the low bits of its address free, for [`Tail`](super::tail::Tail).
#[repr(align(64))]
pub(crate) struct Segment<T> {
    class: u32,
    /// The segment behind this one. Stored once in a life, by whoever made this one not the last.
    pub(crate) next: AtomicPtr<Segment<T>>,
    /// How many slots were given out; told together with `next`, or when the lane closes.
    pub(crate) end: AtomicU32,
    slots: Box<[Slot<T>]>,
}

struct Slot<T> {
    is_full: AtomicBool,
    entry: UnsafeCell<MaybeUninit<Entry<T>>>,
}

// SAFETY: an entry is written by the one thread that was given its slot, and read or moved out only by the lane's one
// reader, after it saw `is_full`. So entries move between threads (`Send`) and are never shared by the segment.
unsafe impl<T: Send> Send for Segment<T> {}
// SAFETY: as above; shared access gives `&T` to the reader only.
unsafe impl<T: Send> Sync for Segment<T> {}

impl<T> Segment<T> {
    pub(crate) fn new(class: u32) -> Box<Self> {
        let slot = || Slot { is_full: AtomicBool::new(false), entry: UnsafeCell::new(MaybeUninit::uninit()) };
        Box::new(Self {
            class,
            next: AtomicPtr::new(ptr::null_mut()),
            end: AtomicU32::new(0),
            slots: (0..1_u32 << class).map(|_| slot()).collect(),
        })
    }

    pub(crate) fn class(&self) -> u32 {
        self.class
    }

    pub(crate) fn slots(&self) -> u32 {
        1 << self.class
    }

    /// Whether slot `index` holds an entry. What was written into it is seen by whoever sees it full.
    #[inline]
    pub(crate) fn is_full(&self, index: u32) -> bool {
        self.slots[index as usize].is_full.load(Ordering::Acquire)
    }

    /// Puts an entry into slot `index` and publishes it.
    ///
    /// # Safety
    /// The slot is empty, and was given to the caller alone.
    #[inline]
    pub(crate) unsafe fn fill(&self, index: u32, entry: Entry<T>) {
        let slot = &self.slots[index as usize];
        if planted::is(Plant::PublishesFirst) {
            slot.is_full.store(true, Ordering::Release);
        }
        // SAFETY: nobody else writes the slot, and nobody reads it before it is full.
        slot.entry.with_mut(|place| unsafe { (*place).write(entry) });
        slot.is_full.store(true, Ordering::Release);
    }

    /// Moves the entry out of slot `index`, which is empty then.
    ///
    /// # Safety
    /// The slot is full, and the caller is the only one who reads this segment.
    #[inline]
    pub(crate) unsafe fn empty(&self, index: u32) -> Entry<T> {
        let slot = &self.slots[index as usize];
        // SAFETY: the slot is full, so it was written; it is marked empty before anyone could read it again.
        let entry = slot.entry.with(|place| unsafe { (*place).assume_init_read() });
        slot.is_full.store(false, Ordering::Relaxed);
        entry
    }

    /// The entry in slot `index`.
    ///
    /// # Safety
    /// The slot is full and stays so while it is looked at, and only the reader of this segment asks.
    #[inline]
    pub(crate) unsafe fn entry(&self, index: u32) -> &Entry<T> {
        // SAFETY: the slot is full, so it was written, and nobody writes to a full slot.
        self.slots[index as usize].entry.with(|place| unsafe { (*place).assume_init_ref() })
    }

    /// The time of the last timed slot up to `index`.
    ///
    /// # Safety
    /// The slots up to `index` were filled in this life of the segment, and only its reader asks.
    pub(crate) unsafe fn timed_before(&self, index: u32) -> u64 {
        let mut index = index - index % TIMED_EVERY;
        loop {
            let slot = &self.slots[index as usize];
            // SAFETY: it was filled, and an emptied slot still holds its time. Nobody fills it again in this life.
            let at = slot.entry.with(|place| unsafe { std::ptr::addr_of!((*(*place).as_ptr()).at).read() });
            // Two who came at once may have mistaken their slots; the first of a segment is always timed.
            if at != 0 || index == 0 {
                return at;
            }
            index -= TIMED_EVERY;
        }
    }

    /// Makes an emptied segment as good as new.
    pub(crate) fn renew(&mut self) {
        self.next = AtomicPtr::new(ptr::null_mut());
        self.end = AtomicU32::new(0);
    }
}
