use std::sync::Arc;

use bytes::Bytes;
use standpipe_core::{Block, Origin, RejectedRow, Schema, Type};

use crate::error::RowError;
use crate::lines::LineTable;

/// Whether NaN and the infinities may stand in float and numeric columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NonFinite {
    /// They are refused, since not every target can hold them (SQLite turns NaN into NULL).
    #[default]
    Reject,
    /// They are taken.
    Allow,
}

/// Builds blocks: values are written once, straight into the bytes that are logged, held and sent.
///
/// A row is [`begin_row`](Self::begin_row), one value for each column in order, [`end_row`](Self::end_row). The
/// writers return the builder and remember the first fault, which `end_row` reports after taking the whole row back:
/// a bad row leaves no trace, unless it is put on record with [`reject`](Self::reject). Nothing is allocated for a row
/// or a value; one buffer grows to the size of the block and is handed out without a copy.
///
/// ```
/// use std::sync::Arc;
/// use standpipe_core::{Column, Schema, Type};
/// use standpipe_row::BlockBuilder;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let schema = Schema::new(vec![Column::new("id", Type::Int4), Column::new("name", Type::Text)])?;
/// let mut builder = BlockBuilder::new(Arc::new(schema));
/// builder.begin_row().int(1).text("standpipe").end_row()?;
/// let fault = builder.begin_row().int(1 << 40).text("too wide").end_row().unwrap_err();
/// assert_eq!(fault.column.as_deref(), Some("id"));
/// assert_eq!(builder.finish().rows, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BlockBuilder {
    schema: Arc<Schema>,
    pub(crate) columns: Box<[Slot]>,
    pub(crate) tuples: Vec<u8>,
    capacity: usize,
    rows: u32,
    pub(crate) row_start: usize,
    /// The column of the next value.
    pub(crate) next: usize,
    /// The first column that no value may be written to before the next call of `column`.
    pub(crate) stop: usize,
    open: bool,
    placed: bool,
    /// For rows written by place: where in the row each column's value begins; 0 is none.
    places: Vec<u32>,
    scratch: Vec<u8>,
    pub(crate) failed: Option<Box<RowError>>,
    rejected: Vec<RejectedRow>,
    rejected_bytes: usize,
    lines: LineTable,
    origin: Arc<str>,
    pub(crate) row_bytes_max: usize,
    pub(crate) non_finite: NonFinite,
    pub(crate) text_scratch: Vec<u8>,
    /// The columns of the fields of the struct that was serialized last, in its order.
    pub(crate) order: Vec<usize>,
}

/// What the writers need to know of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) kind: Type,
    pub(crate) nullable: bool,
}

impl BlockBuilder {
    /// The most bytes of a row unless set otherwise: 16 MiB.
    pub const ROW_BYTES_DEFAULT: usize = 16 << 20;
    /// The most bytes of a row that can be allowed: 1 GiB.
    pub const ROW_BYTES_MAX: usize = 1 << 30;
    /// The most bytes that are kept of a rejected row: 64 KiB.
    pub const RAW_BYTES_MAX: usize = 64 << 10;
    /// The size that a block's buffer begins with unless set otherwise: 64 KiB.
    pub const CAPACITY_DEFAULT: usize = 64 << 10;

    /// A builder of blocks with this schema.
    #[must_use]
    pub fn new(schema: Arc<Schema>) -> Self {
        Self::with_capacity(schema, Self::CAPACITY_DEFAULT)
    }

    /// A builder whose buffers begin with `bytes` bytes, for the first block and every further one. A little more than
    /// the size at which blocks are cut means that a buffer is never moved.
    #[must_use]
    pub fn with_capacity(schema: Arc<Schema>, bytes: usize) -> Self {
        let columns: Box<[Slot]> = schema
            .columns()
            .iter()
            .map(|column| Slot { kind: column.kind, nullable: column.nullable })
            .collect();
        BlockBuilder {
            schema,
            columns,
            tuples: Vec::new(),
            capacity: bytes,
            rows: 0,
            row_start: 0,
            next: 0,
            stop: 0,
            open: false,
            placed: false,
            places: Vec::new(),
            scratch: Vec::new(),
            failed: None,
            rejected: Vec::new(),
            rejected_bytes: 0,
            lines: LineTable::default(),
            origin: Arc::from(""),
            row_bytes_max: Self::ROW_BYTES_DEFAULT,
            non_finite: NonFinite::Reject,
            text_scratch: Vec::new(),
            order: Vec::new(),
        }
    }

    /// Sets the most bytes of an encoded row, at most [`ROW_BYTES_MAX`](Self::ROW_BYTES_MAX). A longer row fails.
    pub fn set_row_bytes_max(&mut self, bytes: usize) -> &mut Self {
        self.row_bytes_max = bytes.min(Self::ROW_BYTES_MAX);
        self
    }

    /// Sets whether NaN and the infinities are taken.
    pub fn set_non_finite(&mut self, non_finite: NonFinite) -> &mut Self {
        self.non_finite = non_finite;
        self
    }

    /// Sets the name of the file or other source, for messages and dead letters of this block and the next ones.
    pub fn set_origin(&mut self, name: Arc<str>) -> &mut Self {
        self.origin = name;
        self
    }

    /// The schema of the blocks.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Rows encoded so far.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Rows encoded and rows rejected so far.
    #[must_use]
    pub fn entries(&self) -> u64 {
        u64::from(self.rows) + self.rejected.len() as u64
    }

    /// Rows rejected so far, in order.
    #[must_use]
    pub fn rejected(&self) -> &[RejectedRow] {
        &self.rejected
    }

    /// Whether there is nothing to hand out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries() == 0
    }

    /// The size of the block so far, as [`Block::size_bytes`] will tell it. Bytes of an open row count.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        (self.tuples.len() + self.rejected_bytes + self.lines.size_bytes() + 64) as u64
    }

    /// The bytes that the builder holds on to at present.
    #[must_use]
    pub fn capacity_bytes(&self) -> usize {
        self.tuples.capacity() + self.scratch.capacity() + self.text_scratch.capacity() + self.rejected_bytes
    }

    /// Tells the line of the row that is open, or of the entry that comes next. Tell it for every entry or for none.
    #[inline]
    pub fn line(&mut self, line: u64) -> &mut Self {
        self.lines.tell(line);
        self
    }

    /// Begins a row whose values come in the order of the columns, one for each. A row that is still open is dropped.
    #[inline]
    pub fn begin_row(&mut self) -> &mut Self {
        self.begin(false);
        self.stop = self.columns.len();
        self
    }

    /// Begins a row whose values come in any order, each after a call of [`column`](Self::column); columns without a
    /// value are NULL. A row that is still open is dropped.
    #[inline]
    pub fn begin_placed_row(&mut self) -> &mut Self {
        self.begin(true);
        self.stop = 0;
        self.places.clear();
        self.places.resize(self.columns.len(), 0);
        self
    }

    #[inline]
    fn begin(&mut self, placed: bool) {
        if self.open {
            self.drop_row();
        }
        if self.tuples.capacity() == 0 {
            self.tuples.reserve_exact(self.capacity);
        }
        self.open = true;
        self.placed = placed;
        self.next = 0;
        self.row_start = self.tuples.len();
        self.tuples.extend_from_slice(&(self.columns.len() as i16).to_be_bytes());
    }

    /// Says which column the next value of a placed row is for, counted from 0. A column's second value is a fault of
    /// the row.
    ///
    /// # Panics
    /// If the schema has no such column.
    #[inline]
    pub fn column(&mut self, index: usize) -> &mut Self {
        if !self.placed {
            self.fail_row("a column was chosen in a row that is written in order".to_owned());
            return self;
        }
        let at = (self.tuples.len() - self.row_start) as u32;
        if self.stop == self.next + 1 {
            // Nothing was written to the column before: it is NULL.
            self.places[self.next] = 0;
        }
        if self.places[index] != 0 {
            self.fail_at(index, "there twice in the row".to_owned());
        }
        self.places[index] = at;
        self.next = index;
        self.stop = index + 1;
        self
    }

    /// Ends the row.
    ///
    /// # Errors
    /// The first fault of the row's values, or a wrong number of them. The builder is then as it was before
    /// [`begin_row`](Self::begin_row), but for a line that was told.
    #[inline]
    pub fn end_row(&mut self) -> Result<(), RowError> {
        if self.placed && self.failed.is_none() {
            self.place();
        }
        if self.failed.is_some() || self.next != self.columns.len() || !self.open || self.rows == u32::MAX {
            return Err(self.refuse_row());
        }
        if self.tuples.len() - self.row_start > self.row_bytes_max {
            self.fail_row(format!("the row is longer than {} bytes", self.row_bytes_max));
            return Err(self.refuse_row());
        }
        let ordinal = self.rows + self.rejected.len() as u32;
        self.open = false;
        self.lines.enter(ordinal);
        self.rows += 1;
        Ok(())
    }

    /// Drops the open row, if one is, without a record.
    pub fn drop_row(&mut self) {
        if self.open {
            self.tuples.truncate(self.row_start);
        }
        self.open = false;
        self.failed = None;
        self.stop = 0;
    }

    /// Puts a row on record that could not be encoded; it takes its place among the block's entries. Its raw bytes
    /// are cut to [`RAW_BYTES_MAX`](Self::RAW_BYTES_MAX), and the reason then says so. A row that is still open is dropped.
    pub fn reject(&mut self, fault: RowError, raw: &[u8]) {
        self.drop_row();
        let mut reason = fault.reason;
        let kept = raw.len().min(Self::RAW_BYTES_MAX);
        if kept < raw.len() {
            reason.push_str(&format!(" (the row has {} bytes, of which {kept} are kept)", raw.len()));
        }
        let ordinal = self.rows + self.rejected.len() as u32;
        self.lines.enter(ordinal);
        self.rejected_bytes +=
            RejectedRow::OVERHEAD_BYTES + fault.column.as_ref().map_or(0, String::len) + reason.len() + kept;
        self.rejected.push(RejectedRow {
            ordinal,
            column: fault.column,
            reason,
            raw: Bytes::copy_from_slice(&raw[..kept]),
        });
    }

    /// Hands out the block, without copying its rows, and starts the next one. A row that is still open is dropped.
    #[must_use]
    pub fn finish(&mut self) -> Block {
        self.drop_row();
        let (first_line, lines) = self.lines.finish();
        self.rejected_bytes = 0;
        Block {
            schema: Arc::clone(&self.schema),
            rows: std::mem::take(&mut self.rows),
            tuples: Bytes::from(std::mem::take(&mut self.tuples)),
            rejected: std::mem::take(&mut self.rejected),
            origin: Origin { name: Arc::clone(&self.origin), first_line, lines },
            truncate: false,
        }
    }

    /// Brings the values of a placed row into the order of the columns.
    fn place(&mut self) {
        if self.stop == self.next + 1 {
            self.places[self.next] = 0;
        }
        self.next = self.columns.len();
        let mut end = 2;
        let in_order = self.places.iter().all(|place| {
            let here = *place as usize == end;
            end += if here { field_size(&self.tuples[self.row_start + end..]) } else { 0 };
            here
        });
        if in_order {
            return;
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.tuples[self.row_start..]);
        self.tuples.truncate(self.row_start + 2);
        for index in 0..self.columns.len() {
            match self.places[index] as usize {
                0 if self.columns[index].nullable => self.tuples.extend_from_slice(&(-1_i32).to_be_bytes()),
                0 => self.fail_at(index, "is missing and must not be NULL".to_owned()),
                place => {
                    let size = field_size(&self.scratch[place..]);
                    self.tuples.extend_from_slice(&self.scratch[place..place + size]);
                }
            }
        }
        // One huge row must not keep its room for ever.
        self.scratch.shrink_to(Self::CAPACITY_DEFAULT);
    }

    #[cold]
    fn refuse_row(&mut self) -> RowError {
        let fault = match self.failed.take() {
            Some(fault) => *fault,
            None if !self.open => RowError::of_row("no row is open"),
            None if self.rows == u32::MAX => RowError::of_row("the block is full"),
            None => RowError::of_row(format!("{} values for {} columns", self.next, self.columns.len())),
        };
        self.drop_row();
        fault
    }

    #[cold]
    pub(crate) fn fail_at(&mut self, column: usize, reason: String) {
        if self.failed.is_none() {
            let column = self.schema.columns().get(column).map(|column| column.name.clone());
            self.failed = Some(Box::new(RowError { column, reason }));
        }
    }

    #[cold]
    pub(crate) fn fail_row(&mut self, reason: String) {
        if self.failed.is_none() {
            self.failed = Some(Box::new(RowError::of_row(reason)));
        }
    }
}

/// The bytes of a field that this builder wrote, its length included.
fn field_size(field: &[u8]) -> usize {
    let length = field.first_chunk::<4>().map_or(-1, |bytes| i32::from_be_bytes(*bytes));
    4 + usize::try_from(length).unwrap_or(0)
}
