use crate::{
    frame,
    queue::Pending,
    record,
    segment::{self, PAGE_BYTES},
};

/// How much the log may still take on disk, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Space {
    /// What all files take.
    pub(crate) taken: u64,
    /// What is free in the segment that is written.
    pub(crate) active_free: u64,
    /// The length of the segment that is ready, or 0.
    pub(crate) ready: u64,
    /// The length of the files that are kept to become segments again.
    pub(crate) kept: u64,
    pub(crate) cap: u64,
    pub(crate) segment_bytes: u64,
}

/// What waits to be written, in bytes; frames with all that may be added to them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    pub(crate) bytes: u64,
    pub(crate) frames: u64,
    pub(crate) frame_bytes_max: u64,
}

impl Load {
    pub(crate) fn of<'a>(pending: impl Iterator<Item = &'a Pending>) -> Self {
        pending.fold(Load::default(), |load, pending| load.with_frame(pending.cost))
    }

    pub(crate) fn with_frame(self, bytes: u64) -> Self {
        Load {
            bytes: self.bytes + bytes,
            frames: self.frames + 1,
            frame_bytes_max: self.frame_bytes_max.max(bytes),
        }
    }

    /// With so much more in a frame that is counted already, which has `frame_bytes` then.
    pub(crate) fn with_more(self, bytes: u64, frame_bytes: u64) -> Self {
        Load { bytes: self.bytes + bytes, frame_bytes_max: self.frame_bytes_max.max(frame_bytes), ..self }
    }
}

impl Space {
    /// Whether all of it finds room, however its frames fall, where every segment begins with pins of so many bytes: what was
    /// let in is not refused later.
    pub(crate) fn holds(&self, load: Load, pinned_bytes: usize) -> bool {
        if load.bytes <= self.active_free {
            return true;
        }
        let overhead = segment::HEADER_BYTES + frame::span(record::link_bytes() + pinned_bytes) + PAGE_BYTES;
        let room = |length: u64| length.saturating_sub(overhead);
        let left = self.cap.saturating_sub(self.taken);
        let usual = room(self.segment_bytes);
        if load.frame_bytes_max > usual {
            // Each may need a segment of its own size. Files that are too short make way.
            let each = segment::round_up(load.frame_bytes_max + overhead).max(self.segment_bytes);
            return load.frames.saturating_mul(each) <= left + self.kept + self.ready;
        }
        let rooms = [(room(self.ready), 1), (room(self.kept), 1), (usual, left / self.segment_bytes)];
        let rooms = rooms.iter().filter(|(room, count)| *room >= load.frame_bytes_max && *count > 0);
        if rooms.clone().next().is_none() {
            return false;
        }
        // As many as of the largest; or as many bytes, where each segment but the last leaves over what the largest takes.
        let largest = load.frame_bytes_max.max(1);
        let frames: u64 = rooms.clone().map(|(room, count)| room / largest * count).sum();
        let bytes: u64 = rooms.map(|(room, count)| (room - largest) * count).sum();
        load.frames <= frames || load.bytes <= bytes + largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: Space =
        Space { taken: 64 << 10, active_free: 0, ready: 0, kept: 0, cap: 64 << 10, segment_bytes: 64 << 10 };

    fn frames(count: u64, bytes: u64) -> Load {
        (0..count).fold(Load::default(), |load, _| load.with_frame(bytes))
    }

    #[test]
    fn whatever_can_become_a_segment_is_room() {
        let load = frames(10, 5_000);
        assert!(!EMPTY.holds(load, 0) && !EMPTY.holds(frames(1, 5_000), 0));
        assert!(Space { active_free: 50_000, ..EMPTY }.holds(load, 0));
        assert!(Space { ready: 64 << 10, taken: 128 << 10, cap: 128 << 10, ..EMPTY }.holds(load, 0));
        assert!(Space { kept: 64 << 10, taken: 128 << 10, cap: 128 << 10, ..EMPTY }.holds(load, 0));
        assert!(Space { cap: 128 << 10, ..EMPTY }.holds(load, 0));
        assert!(!Space { cap: 127 << 10, ..EMPTY }.holds(load, 0));
    }

    #[test]
    fn what_segments_begin_with_and_leave_over_is_no_room() {
        let space = Space { cap: 5 * (64 << 10), ..EMPTY };
        // Four of them, with 57,000 bytes each.
        assert!(space.holds(frames(1, 57_000), 0));
        assert!(space.holds(frames(4, 50_000), 0) && !space.holds(frames(5, 50_000), 0));
        assert!(space.holds(frames(44, 5_000), 0) && !space.holds(frames(45, 5_000), 0));
        assert!(!space.holds(frames(44, 5_000), 30_000), "pins");
        // Pins leave less than a frame needs: each gets a segment of its own.
        assert!(space.holds(frames(3, 5_000), 55_000) && !space.holds(frames(4, 5_000), 55_000));
    }

    #[test]
    fn what_is_longer_than_a_segment_takes_the_place_of_files_that_are_kept() {
        let space = Space { kept: 64 << 10, ready: 64 << 10, taken: 192 << 10, cap: 256 << 10, ..EMPTY };
        assert!(space.holds(frames(1, 180_000), 0) && !space.holds(frames(1, 200_000), 0));
        assert!(!space.holds(frames(2, 180_000), 0));
    }
}
