use standpipe_core::{Block, Column, Error, ErrorKind, Type};

use crate::value::Value;

/// Iterates over the tuples of a block. Every length is checked before it is used: a tuple that is handed out has a
/// field for each column, of the width its type asks for, and lies within the block. It ends after as many tuples as
/// the block says it has, or with the first error. Allocates nothing.
///
/// ```
/// use std::sync::Arc;
/// use standpipe_core::{Column, Schema, Type};
/// use standpipe_row::{BlockBuilder, Tuples, Value};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let schema = Schema::new(vec![Column::new("id", Type::Int8), Column::new("name", Type::Text)])?;
/// let mut builder = BlockBuilder::new(Arc::new(schema));
/// builder.begin_row().int(7).null().end_row()?;
/// let block = builder.finish();
/// for tuple in Tuples::new(&block) {
///     for field in tuple? {
///         match field.value()? {
///             Value::Int(number) => assert_eq!(number, 7),
///             value => assert_eq!(value, Value::Null),
///         }
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Tuples<'a> {
    columns: &'a [Column],
    bytes: &'a [u8],
    rows: u32,
    row: u32,
}

impl<'a> Tuples<'a> {
    /// The tuples of this block.
    #[must_use]
    pub fn new(block: &'a Block) -> Self {
        Tuples { columns: block.schema.columns(), bytes: &block.tuples, rows: block.rows, row: 0 }
    }

    /// Checks all tuples that are left, without reading their values.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) as iterating would tell.
    pub fn verify(mut self) -> Result<(), Error> {
        self.try_for_each(|tuple| tuple.map(drop))
    }

    #[inline]
    fn tuple(&mut self) -> Option<Tuple<'a>> {
        let bytes = self.bytes;
        let count = i16::from_be_bytes(*bytes.first_chunk::<2>()?);
        if usize::try_from(count) != Ok(self.columns.len()) {
            return None;
        }
        let mut end = 2;
        for column in self.columns {
            let length = i32::from_be_bytes(*bytes.get(end..)?.first_chunk::<4>()?);
            end += 4;
            if length != -1 {
                let length = usize::try_from(length).ok()?;
                if length > bytes.len() - end
                    || column.kind.width_bytes().is_some_and(|width| width != length)
                {
                    return None;
                }
                end += length;
            }
        }
        let (tuple, rest) = bytes.split_at(end);
        self.bytes = rest;
        Some(Tuple { columns: self.columns, bytes: tuple })
    }

    #[cold]
    fn corrupt(&mut self) -> Error {
        let message = format!(
            "the block is damaged: tuple {} of {} ({} bytes are left)",
            u64::from(self.row) + 1,
            self.rows,
            self.bytes.len()
        );
        self.bytes = &[];
        self.row = self.rows;
        Error::new(ErrorKind::Corrupt, message)
    }
}

impl<'a> Iterator for Tuples<'a> {
    type Item = Result<Tuple<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.row == self.rows {
            return if self.bytes.is_empty() { None } else { Some(Err(self.corrupt())) };
        }
        match self.tuple() {
            Some(tuple) => {
                self.row += 1;
                Some(Ok(tuple))
            }
            None => Some(Err(self.corrupt())),
        }
    }
}

/// One tuple of a block, its lengths already checked.
#[derive(Clone, Copy, Debug)]
pub struct Tuple<'a> {
    columns: &'a [Column],
    bytes: &'a [u8],
}

impl<'a> Tuple<'a> {
    /// The tuple as it lies in the block, its count of fields included.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The fields in the order of the columns.
    #[inline]
    #[must_use]
    pub fn fields(&self) -> Fields<'a> {
        Fields { columns: self.columns.iter(), bytes: &self.bytes[2..] }
    }

    /// The columns of the fields.
    #[must_use]
    pub fn columns(&self) -> &'a [Column] {
        self.columns
    }
}

impl<'a> IntoIterator for Tuple<'a> {
    type Item = Field<'a>;
    type IntoIter = Fields<'a>;

    #[inline]
    fn into_iter(self) -> Fields<'a> {
        self.fields()
    }
}

/// Iterates over the fields of a tuple.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    columns: std::slice::Iter<'a, Column>,
    bytes: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        let kind = self.columns.next()?.kind;
        let (length, rest) = self.bytes.split_first_chunk::<4>()?;
        match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                let (field, rest) = rest.split_at_checked(length)?;
                self.bytes = rest;
                Some(Field { kind, bytes: Some(field) })
            }
            Err(_) => {
                self.bytes = rest;
                Some(Field { kind, bytes: None })
            }
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.columns.size_hint()
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// One field of a tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The type of its column.
    pub kind: Type,
    /// Its bytes, of the width that the type asks for; `None` is NULL.
    pub bytes: Option<&'a [u8]>,
}

impl<'a> Field<'a> {
    /// The value.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) when text is no UTF-8, a bool is neither 0 nor 1, or a numeric is damaged.
    #[inline]
    pub fn value(&self) -> Result<Value<'a>, Error> {
        Value::decode(self.kind, self.bytes)
    }

    /// Appends what stands for the value in a key, its length before it so that several can follow each other: the same
    /// bytes for the same key. The scale of a numeric is left out, since `1.0` and `1.00` are one key to a database.
    /// NULL is like an empty value.
    pub fn append_key(&self, out: &mut Vec<u8>) {
        let bytes = self.bytes.unwrap_or_default();
        let (head, tail) = match (self.kind, bytes) {
            (Type::Numeric, [_, _, _, _, _, _, _, _, digits @ ..]) => (&bytes[..6], digits),
            _ => (bytes, &[][..]),
        };
        out.extend_from_slice(&((head.len() + tail.len()) as u32).to_be_bytes());
        out.extend_from_slice(head);
        out.extend_from_slice(tail);
    }
}
