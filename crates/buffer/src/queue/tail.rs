use std::ptr;

use super::segment::Segment;

/// The last segment, whether the queue is closed, how many slots the segment has, and how many were asked for.
///
/// From the top: 42 bits of address (segments are aligned to 64 bytes, and addresses of a process have 48 bits),
/// 1 bit closed, 4 bits of size, 17 bits of count. A count goes past the size by at most one for each producer that
/// pushes at that moment: 98,303 of them fit.
#[derive(Clone, Copy)]
pub(super) struct Tail(pub(super) u64);

impl Tail {
    const COUNT_BITS: u32 = 17;
    const CLASS_BITS: u32 = 4;
    pub(super) const CLOSED: u64 = 1 << (Self::COUNT_BITS + Self::CLASS_BITS);
    const ADDRESS_SHIFT: u32 = Self::COUNT_BITS + Self::CLASS_BITS + 1;
    const ALIGN_BITS: u32 = 6;

    pub(super) fn of<T>(segment: *mut Segment<T>, class: u32, count: u32) -> Self {
        let address = segment.expose_provenance() as u64 >> Self::ALIGN_BITS;
        assert!(
            address >> (64 - Self::ADDRESS_SHIFT) == 0,
            "addresses of more than 48 bits are not supported on this machine"
        );
        Self(address << Self::ADDRESS_SHIFT | u64::from(class) << Self::COUNT_BITS | u64::from(count))
    }

    #[expect(clippy::cast_possible_truncation, reason = "it was a pointer, so it fits one")]
    #[inline]
    pub(super) fn segment<T>(self) -> *mut Segment<T> {
        ptr::with_exposed_provenance_mut(((self.0 >> Self::ADDRESS_SHIFT) << Self::ALIGN_BITS) as usize)
    }

    #[inline]
    pub(super) fn is_closed(self) -> bool {
        self.0 & Self::CLOSED != 0
    }

    #[inline]
    pub(super) fn class(self) -> u32 {
        (self.0 >> Self::COUNT_BITS) as u32 & ((1 << Self::CLASS_BITS) - 1)
    }

    #[inline]
    pub(super) fn has_room(self) -> bool {
        self.0 as u32 & ((1 << Self::COUNT_BITS) - 1) < 1 << self.class()
    }

    /// Slots given out.
    #[inline]
    pub(super) fn count(self) -> u32 {
        (self.0 as u32 & ((1 << Self::COUNT_BITS) - 1)).min(1 << self.class())
    }
}
