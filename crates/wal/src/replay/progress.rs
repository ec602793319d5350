use standpipe_log::Lsn;

/// How often progress is told, in frames.
const FRAMES: u32 = 64;

/// How far a replay has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Records handed out so far. A parallel replay may still be applying the last of them.
    pub records: u64,
    /// Bytes of the log passed so far.
    pub bytes: u64,
    /// Bytes of the log to pass in all.
    pub bytes_total: u64,
    /// The number of the next record.
    pub lsn: Lsn,
}

/// What a replay came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replayed {
    /// Records handed out and applied.
    pub records: u64,
    /// Bytes of the log read, headers included.
    pub bytes: u64,
    /// The number after the last record there is: where a later replay would go on.
    pub end: Lsn,
}

/// Who is told of the progress.
pub(crate) type Listener<'a> = Box<dyn FnMut(&Progress) + 'a>;

/// Counts what is read, and tells it now and then, without a clock.
pub(crate) struct Meter<'a> {
    so_far: Progress,
    frames: u32,
    listener: Option<Listener<'a>>,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(bytes_total: u64, from: Lsn, listener: Option<Listener<'a>>) -> Self {
        let so_far = Progress { records: 0, bytes: 0, bytes_total, lsn: from };
        Meter { so_far, frames: 0, listener }
    }

    #[inline]
    pub(crate) fn passed(&mut self, records: u64, bytes: u64, lsn: Lsn) {
        self.so_far.records += records;
        self.so_far.bytes += bytes;
        self.so_far.lsn = self.so_far.lsn.max(lsn);
        self.frames += 1;
        if self.frames == FRAMES {
            self.tell();
        }
    }

    /// The last word.
    pub(crate) fn end(mut self, end: Lsn) -> Replayed {
        self.so_far.lsn = self.so_far.lsn.max(end);
        self.tell();
        Replayed { records: self.so_far.records, bytes: self.so_far.bytes, end: self.so_far.lsn }
    }

    fn tell(&mut self) {
        self.frames = 0;
        if let Some(listener) = &mut self.listener {
            listener(&self.so_far);
        }
    }
}
