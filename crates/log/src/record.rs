/// One record as it is handed to a log: bytes of the caller's, in as many parts as it has them.
///
/// A log lays the parts down one after the other, so a caller that keeps a header and a body apart need not join
/// them first. The log never looks inside.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    parts: &'a [&'a [u8]],
}

impl<'a> Record<'a> {
    /// A record of these parts, in this order.
    #[must_use]
    pub const fn new(parts: &'a [&'a [u8]]) -> Self {
        Record { parts }
    }

    /// The parts in order.
    #[must_use]
    pub const fn parts(&self) -> &'a [&'a [u8]] {
        self.parts
    }

    /// The length of all parts together, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }
}
