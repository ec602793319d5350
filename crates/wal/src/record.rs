use std::ops::Range;

use standpipe_log::Lsn;

use crate::{
    bytes::{u32_at, u64_at},
    seal::Seal,
};

/// The bytes in front of each record.
pub(crate) const HEADER_BYTES: usize = 8;

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The caller's. Takes a number.
    Data = 1,
    /// A key's length, the key, and its value (empty: removed).
    Pin = 2,
    /// The number that the next record gets.
    Advance = 3,
    /// Where the segment before ends. The first record of a segment.
    Link = 4,
}

const LINK_BYTES: usize = 24;

/// Lays a record behind what is there. The caller has checked that the parts fit 32 bits.
pub(crate) fn lay(out: &mut Vec<u8>, kind: Kind, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    header[4] = kind as u8;
    out.extend_from_slice(&header);
    for part in parts {
        out.extend_from_slice(part);
    }
}

pub(crate) fn lay_pin(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let key_bytes = u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes();
    lay(out, Kind::Pin, &[&key_bytes, key, value]);
}

pub(crate) fn lay_link(out: &mut Vec<u8>, link: &Seal) {
    let (end, lsn, chain) =
        (link.end.to_le_bytes(), link.end_lsn.number().to_le_bytes(), link.chain.to_le_bytes());
    lay(out, Kind::Link, &[&end, &lsn, &chain, &[0; 4]]);
}

/// Whether a frame begins with a link, as that of a segment does and no other.
pub(crate) fn begins_with_link(payload: &[u8]) -> bool {
    payload.get(4) == Some(&(Kind::Link as u8))
}

/// The space of a link's record, in bytes.
pub(crate) const fn link_bytes() -> usize {
    HEADER_BYTES + LINK_BYTES
}

/// The space of a pin's record, in bytes.
pub(crate) fn pin_bytes(key: &[u8], value: &[u8]) -> usize {
    HEADER_BYTES + 4 + key.len() + value.len()
}

/// One record, as places in the payload that it was found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Data { lsn: Lsn, bytes: Range<usize> },
    Pin { key: Range<usize>, value: Range<usize> },
    Advance,
    Link(Seal),
}

/// A walk over the records of a frame. Keeps no borrow, so that it can live beside the buffer it walks over.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    at: usize,
    left: u32,
    lsn: Lsn,
}

impl Walk {
    pub(crate) fn new(records: u32, base: Lsn) -> Self {
        Walk { at: 0, left: records, lsn: base }
    }

    /// The next record, or what is wrong with it. Believes no length.
    #[inline]
    pub(crate) fn next(&mut self, payload: &[u8]) -> Option<Result<Item, &'static str>> {
        match self.data(payload) {
            Some((lsn, bytes)) => Some(Ok(Item::Data { lsn, bytes })),
            None => self.other(payload),
        }
    }

    /// Goes to the end of the frame and returns the number that the next record gets.
    pub(crate) fn finish(mut self, payload: &[u8]) -> Result<Lsn, &'static str> {
        while let Some(item) = self.next(payload) {
            item?;
        }
        Ok(self.lsn)
    }

    /// The next record where it is a sound one of the caller's, as almost all are.
    #[inline]
    fn data(&mut self, payload: &[u8]) -> Option<(Lsn, Range<usize>)> {
        let head: &[u8; HEADER_BYTES] = payload.get(self.at..)?.first_chunk()?;
        let body = self.at + HEADER_BYTES;
        let end = body.checked_add(u32_at(head, 0) as usize)?;
        if self.left == 0 || head[4] != Kind::Data as u8 || end > payload.len() {
            return None;
        }
        let lsn = self.lsn;
        self.lsn = lsn.checked_add(1)?;
        self.left -= 1;
        self.at = end;
        Some((lsn, body..end))
    }

    /// Everything else: other kinds, the end, and what is wrong.
    #[cold]
    fn other(&mut self, payload: &[u8]) -> Option<Result<Item, &'static str>> {
        if self.left == 0 {
            return (self.at != payload.len()).then(|| {
                self.at = payload.len();
                Err("a frame is longer than its records")
            });
        }
        let item = self.read(payload);
        if item.is_err() {
            (self.left, self.at) = (0, payload.len());
        }
        Some(item)
    }

    fn read(&mut self, payload: &[u8]) -> Result<Item, &'static str> {
        let body = self.at + HEADER_BYTES;
        if body > payload.len() {
            return Err("a record's header goes beyond its frame");
        }
        let length = u32_at(payload, self.at) as usize;
        let kind = payload[self.at + 4];
        let Some(end) = body.checked_add(length).filter(|end| *end <= payload.len()) else {
            return Err("a record goes beyond its frame");
        };
        self.left -= 1;
        self.at = end;
        if kind == Kind::Data as u8 {
            // One that can be had was found before.
            Err("a record's number is the last one there is")
        } else if kind == Kind::Pin as u8 {
            let key_at = body + 4;
            if key_at > end {
                return Err("a pin without a key");
            }
            let key_end = key_at.checked_add(u32_at(payload, body) as usize).filter(|at| *at <= end);
            let key_end = key_end.ok_or("a pin's key goes beyond its record")?;
            Ok(Item::Pin { key: key_at..key_end, value: key_end..end })
        } else if kind == Kind::Advance as u8 && length == 8 {
            let to = Lsn::new(u64_at(payload, body));
            if to < self.lsn {
                return Err("numbers go backwards");
            }
            self.lsn = to;
            Ok(Item::Advance)
        } else if kind == Kind::Link as u8 && body != HEADER_BYTES {
            Err("a link is not the first record of its frame")
        } else if kind == Kind::Link as u8 && length == LINK_BYTES {
            let (end, end_lsn) = (u64_at(payload, body), Lsn::new(u64_at(payload, body + 8)));
            Ok(Item::Link(Seal { end, end_lsn, chain: u32_at(payload, body + 16) }))
        } else {
            Err("a record of an unknown kind")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back() {
        let mut payload = Vec::new();
        let link = Seal { end: 8192, end_lsn: Lsn::new(5), chain: 77 };
        lay_link(&mut payload, &link);
        lay(&mut payload, Kind::Data, &[b"he", b"llo"]);
        lay_pin(&mut payload, b"key", b"value");
        lay(&mut payload, Kind::Advance, &[&50u64.to_le_bytes()]);
        lay(&mut payload, Kind::Data, &[]);
        let mut walk = Walk::new(5, Lsn::new(7));
        assert_eq!(walk.next(&payload), Some(Ok(Item::Link(link))));
        let Some(Ok(Item::Data { lsn, bytes })) = walk.next(&payload) else { panic!() };
        assert_eq!((lsn, &payload[bytes]), (Lsn::new(7), b"hello".as_slice()));
        let Some(Ok(Item::Pin { key, value })) = walk.next(&payload) else { panic!() };
        assert_eq!((&payload[key], &payload[value]), (b"key".as_slice(), b"value".as_slice()));
        assert_eq!(walk.next(&payload), Some(Ok(Item::Advance)));
        assert!(matches!(walk.next(&payload), Some(Ok(Item::Data { lsn, .. })) if lsn == Lsn::new(50)));
        assert_eq!(Walk::new(5, Lsn::new(7)).finish(&payload), Ok(Lsn::new(51)));
        assert_eq!((walk.next(&payload), walk.lsn), (None, Lsn::new(51)));
    }

    #[test]
    fn l14_hostile_lengths_are_refused() {
        for hostile in [u32::MAX, u32::MAX - 7, 1 << 31, 6] {
            let mut payload = Vec::new();
            lay(&mut payload, Kind::Data, &[b"hello"]);
            payload[..4].copy_from_slice(&hostile.to_le_bytes());
            let mut walk = Walk::new(1, Lsn::FIRST);
            assert!(matches!(walk.next(&payload), Some(Err(_))), "{hostile}");
            assert_eq!(walk.next(&payload), None);
            let mut pin = Vec::new();
            lay_pin(&mut pin, b"key", b"va");
            pin[8..12].copy_from_slice(&hostile.to_le_bytes());
            assert!(matches!(Walk::new(1, Lsn::FIRST).next(&pin), Some(Err(_))), "{hostile}");
        }
        for kind in (0..=255).filter(|kind| ![1, 2].contains(kind)) {
            let payload = [0, 0, 0, 0, kind, 0, 0, 0];
            assert!(matches!(Walk::new(1, Lsn::FIRST).next(&payload), Some(Err(_))), "kind {kind}");
        }
        let mut back = Vec::new();
        lay(&mut back, Kind::Advance, &[&3u64.to_le_bytes()]);
        assert!(matches!(Walk::new(1, Lsn::new(4)).next(&back), Some(Err(_))));
        assert!(matches!(Walk::new(0, Lsn::FIRST).next(&back), Some(Err(_))));
        let mut late = Vec::new();
        lay(&mut late, Kind::Data, &[]);
        lay_link(&mut late, &Seal { end: 8192, end_lsn: Lsn::FIRST, chain: 0 });
        let mut walk = Walk::new(2, Lsn::FIRST);
        assert!(walk.next(&late).is_some_and(|item| item.is_ok()));
        assert!(matches!(walk.next(&late), Some(Err(what)) if what.contains("first record")));
    }
}
