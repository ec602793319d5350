use standpipe_core::{Error, Schema};

use crate::builder::BlockBuilder;
use crate::csv::{CsvEntry, CsvSettings};
use crate::csv_record::CsvRecord;
use crate::error::RowError;

/// Writes CSV records into a builder: one field of the file for each column of the schema.
#[derive(Clone, Debug)]
pub struct CsvEncoder {
    /// For each column the field that it comes from.
    fields: Box<[usize]>,
    /// Whether these are all fields of a record in their order.
    straight: bool,
    record_fields: usize,
    null: Box<[u8]>,
}

impl CsvEncoder {
    /// An encoder of files with this header into blocks of this schema. Fields that the schema does not name are left
    /// out.
    ///
    /// # Errors
    /// [`Invalid`](standpipe_core::ErrorKind::Invalid) when the header has not each of the schema's columns once.
    pub fn new(schema: &Schema, header: &[String], settings: &CsvSettings) -> Result<Self, Error> {
        let mut fields = Vec::with_capacity(schema.columns().len());
        for column in schema.columns() {
            let mut places = (0..header.len()).filter(|index| header[*index] == column.name);
            match (places.next(), places.next()) {
                (Some(place), None) => fields.push(place),
                (None, _) => return Err(Error::invalid(format!("the file has no column {:?}", column.name))),
                (Some(first), Some(second)) => {
                    return Err(Error::invalid(format!(
                        "the header names the column {:?} twice, as column {} and {}",
                        column.name,
                        first + 1,
                        second + 1
                    )));
                }
            }
        }
        let straight =
            fields.len() == header.len() && fields.iter().enumerate().all(|(at, field)| at == *field);
        Ok(CsvEncoder {
            fields: fields.into(),
            straight,
            record_fields: header.len(),
            null: settings.null.as_slice().into(),
        })
    }

    /// Puts an entry into the block: as a row, or on record as a rejected one with its raw bytes. Tells which.
    pub fn encode(&self, entry: &CsvEntry<'_>, builder: &mut BlockBuilder) -> bool {
        match entry {
            CsvEntry::Record(record) => {
                builder.line(record.start().line);
                match self.write(record, builder) {
                    Ok(()) => true,
                    Err(fault) => {
                        builder.reject(fault, record.raw());
                        false
                    }
                }
            }
            CsvEntry::Refused(refused) => {
                builder.line(refused.start.line);
                builder.reject(RowError::of_row(refused.reason.clone()), refused.raw);
                false
            }
        }
    }

    /// Writes a record as a row; a bad one leaves no trace.
    ///
    /// # Errors
    /// The first column at fault and why, or the number of fields when it is not the header's.
    #[inline]
    pub fn write(&self, record: &CsvRecord<'_>, builder: &mut BlockBuilder) -> Result<(), RowError> {
        if record.len() != self.record_fields {
            return Err(self.ragged(record.len()));
        }
        builder.begin_row();
        if self.straight {
            for field in record.fields() {
                self.field(field, builder);
            }
        } else {
            for index in &self.fields {
                self.field(record.field(*index).unwrap_or_default(), builder);
            }
        }
        builder.end_row()
    }

    #[inline]
    fn field(&self, field: &[u8], builder: &mut BlockBuilder) {
        if field.len() == self.null.len() && (field.is_empty() || *field == *self.null) {
            builder.null();
        } else {
            builder.parse(field);
        }
    }

    #[cold]
    fn ragged(&self, found: usize) -> RowError {
        RowError::of_row(format!("the record has {found} fields, the header {}", self.record_fields))
    }
}
