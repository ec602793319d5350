use standpipe_harness::{Outcome, check};

/// The size of every record.
pub(crate) const RECORD_BYTES: usize = 256;

/// A record: the writer's sequence number, the writer's number, and bytes that do not compress.
pub(crate) type Record = [u8; RECORD_BYTES];

const HEAD_BYTES: usize = 16;

/// The records of one writer, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    record: Record,
    last: u64,
}

impl Records {
    pub(crate) fn of(writer: u64) -> Self {
        let mut record = filled();
        record[8..HEAD_BYTES].copy_from_slice(&writer.to_le_bytes());
        Records { record, last: 0 }
    }

    /// The next one: a sequence number is written, nothing else is touched.
    pub(crate) fn next(&mut self) -> &Record {
        self.last += 1;
        self.record[..8].copy_from_slice(&self.last.to_le_bytes());
        &self.record
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.last
    }
}

/// The sequence number in a record, from 1.
pub(crate) fn sequence(record: &[u8]) -> u64 {
    number(record, 0)
}

/// The writer's number in a record.
pub(crate) fn writer(record: &[u8]) -> u64 {
    number(record, 8)
}

fn number(record: &[u8], at: usize) -> u64 {
    record.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn filled() -> Record {
    let mut record = [0; RECORD_BYTES];
    let mut state = 0x5EED_u64;
    for word in record[HEAD_BYTES..].chunks_exact_mut(8) {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word.copy_from_slice(&(bits ^ (bits >> 31)).to_le_bytes());
    }
    record
}

/// What was read back: every record of every writer, once, in the writer's order, whole.
#[derive(Debug)]
pub(crate) struct Seen {
    fill: Record,
    last: Vec<u64>,
    wrong: Option<String>,
    whole: bool,
}

impl Seen {
    /// Looks at every byte.
    pub(crate) fn whole() -> Self {
        Seen { fill: filled(), last: Vec::new(), wrong: None, whole: true }
    }

    /// Looks at numbers and lengths only, so that looking costs little beside reading.
    pub(crate) fn numbers() -> Self {
        Seen { whole: false, ..Seen::whole() }
    }

    /// One more record.
    #[inline]
    pub(crate) fn record(&mut self, record: &[u8]) {
        let (writer, sequence) = (writer(record) as usize, sequence(record));
        if writer >= self.last.len() {
            self.last.resize(writer.min(1 << 16) + 1, 0);
        }
        let Some(last) = self.last.get_mut(writer) else {
            self.wrong = Some(format!("a record of writer {writer}"));
            return;
        };
        if record.len() != RECORD_BYTES
            || sequence != *last + 1
            || (self.whole && record[HEAD_BYTES..] != self.fill[HEAD_BYTES..])
        {
            self.wrong.get_or_insert_with(|| {
                format!("record {sequence} of writer {writer}, {} bytes, after record {last}", record.len())
            });
        }
        *last = sequence;
    }

    /// Refuses anything but `expected[w]` records of each writer `w`.
    pub(crate) fn check(&self, expected: &[u64]) -> Outcome<()> {
        if let Some(wrong) = &self.wrong {
            return Err(format!("wrong result: {wrong}").into());
        }
        check("records read back, by writer", &self.last[..], expected)
    }
}
