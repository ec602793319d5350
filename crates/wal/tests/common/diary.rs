//! Records that say who wrote them, so that whoever reads them knows what they must hold.

/// Who wrote a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    pub life: u32,
    pub writer: u32,
    /// Counts up in each writer.
    pub number: u32,
    /// Its place in its batch, and how many there are in it.
    pub part: u16,
    pub parts: u16,
}

const MARK_BYTES: usize = 16;

impl Mark {
    /// The whole record: the mark, then bytes that follow from it. Every other one is text that compresses.
    pub fn record(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2048);
        for field in [self.life, self.writer, self.number] {
            out.extend(field.to_le_bytes());
        }
        out.extend(self.part.to_le_bytes());
        out.extend(self.parts.to_le_bytes());
        let mut state = (u64::from(self.writer) << 40 | u64::from(self.number) << 8 | u64::from(self.part))
            .wrapping_add(u64::from(self.life) << 56)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            | 1;
        let mut draw = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let len = MARK_BYTES + (draw() % 1400) as usize;
        if self.number.is_multiple_of(2) {
            let line = format!("{} wrote {} in life {}; ", self.writer, self.number, self.life);
            while out.len() < len {
                out.extend(line.as_bytes());
            }
        }
        while out.len() < len {
            out.extend(draw().to_le_bytes());
        }
        out.truncate(len);
        out
    }

    /// Who wrote a record that is whole; `None` where a byte is not what it must be.
    pub fn of(record: &[u8]) -> Option<Mark> {
        let (mark, _) = record.split_first_chunk::<MARK_BYTES>()?;
        let word = |at: usize| u32::from_le_bytes([mark[at], mark[at + 1], mark[at + 2], mark[at + 3]]);
        let half = |at: usize| u16::from_le_bytes([mark[at], mark[at + 1]]);
        let mark = Mark { life: word(0), writer: word(4), number: word(8), part: half(12), parts: half(14) };
        (mark.record() == record).then_some(mark)
    }
}
