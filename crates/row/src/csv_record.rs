use crate::feed::Position;

/// A record, borrowed from the reader until the next one.
#[derive(Clone, Copy, Debug)]
pub struct CsvRecord<'a> {
    pub(crate) raw: &'a [u8],
    pub(crate) data: &'a [u8],
    pub(crate) ends: &'a [usize],
    /// What lies between two fields in `data`.
    pub(crate) gap: usize,
    pub(crate) start: Position,
    pub(crate) end: Position,
    pub(crate) line_end: bool,
}

impl<'a> CsvRecord<'a> {
    /// How many fields it has.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has no fields; no reader hands out such a one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// A field without its quotes, by its index from 0.
    #[must_use]
    #[inline]
    pub fn field(&self, index: usize) -> Option<&'a [u8]> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] + self.gap };
        self.data.get(start..end)
    }

    /// The fields in order.
    #[inline]
    pub fn fields(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (data, gap) = (self.data, self.gap);
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let field = &data[start..*end];
            start = end + gap;
            field
        })
    }

    /// The record as it stands in the file, with its line end.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Where it begins.
    #[must_use]
    #[inline]
    pub fn start(&self) -> Position {
        self.start
    }

    /// Where it ends, behind its line end: the position to go on from.
    #[must_use]
    #[inline]
    pub fn end(&self) -> Position {
        self.end
    }

    /// Whether a line end follows; the last record of a file may have none, and may then be one that is still written.
    #[must_use]
    pub fn has_line_end(&self) -> bool {
        self.line_end
    }
}
