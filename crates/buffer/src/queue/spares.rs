use std::sync::PoisonError;

use super::segment::{CLASS_MAX, Segment};
use crate::sync::Mutex;

/// The most slots in spare segments of one size.
const SLOTS_MAX: usize = 1 << 17;

/// Emptied segments, to be filled again: in a steady state pushing allocates nothing.
///
/// Nobody waits here: whoever finds the lock taken makes a segment of his own, or lets his go. So a producer that
/// stands still while it holds the lock keeps nobody from pushing.
pub(crate) struct Spares<T> {
    classes: Mutex<[Class<T>; CLASS_MAX as usize + 1]>,
}

struct Class<T> {
    // Boxed, because lanes hold their addresses.
    #[expect(clippy::vec_box, reason = "the address of a segment is kept while it is spare")]
    segments: Vec<Box<Segment<T>>>,
    /// The fewest there were since the last trim: so many were not needed.
    fewest: usize,
}

impl<T> Spares<T> {
    pub(crate) fn new() -> Self {
        let classes = std::array::from_fn(|_| Class { segments: Vec::new(), fewest: 0 });
        Self { classes: Mutex::new(classes) }
    }

    /// An empty segment of `1 << class` slots.
    pub(crate) fn take(&self, class: u32) -> Box<Segment<T>> {
        let spare = self.classes.try_lock().ok().and_then(|mut classes| {
            let class = &mut classes[class as usize];
            let spare = class.segments.pop();
            class.fewest = class.fewest.min(class.segments.len());
            spare
        });
        spare.unwrap_or_else(|| Segment::new(class))
    }

    /// Keeps an emptied segment.
    pub(crate) fn give(&self, mut segment: Box<Segment<T>>) {
        segment.renew();
        if let Ok(mut classes) = self.classes.try_lock() {
            let class = &mut classes[segment.class() as usize];
            if class.segments.len() < SLOTS_MAX >> segment.class() {
                class.segments.push(segment);
            }
        }
    }

    /// Lets go of what was not needed since the last trim. Returns whether anything is left that a later trim may free.
    pub(crate) fn trim(&self) -> bool {
        let mut unneeded = Vec::new();
        let mut classes = self.classes.lock().unwrap_or_else(PoisonError::into_inner);
        for class in classes.iter_mut() {
            let kept = class.segments.len() - class.fewest;
            unneeded.extend(class.segments.drain(kept..));
            class.fewest = kept;
            if kept == 0 {
                class.segments = Vec::new();
            }
        }
        let is_any_left = classes.iter().any(|class| !class.segments.is_empty());
        drop(classes);
        is_any_left
    }
}
