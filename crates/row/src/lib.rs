#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod builder;
mod codec;
mod csv;
mod csv_encode;
mod csv_record;
mod error;
mod feed;
mod infer;
mod json;
mod json_encode;
mod lines;
mod number;
mod numeric;
mod render;
mod ser;
mod ser_field;
mod text;
mod time;
mod trace;
mod tuples;
mod uuid;
mod value;
mod write;

pub use builder::{BlockBuilder, NonFinite};
pub use codec::{decode, encode_header};
pub use csv::{CsvEntry, CsvRows, CsvSettings};
pub use csv_encode::CsvEncoder;
pub use csv_record::CsvRecord;
pub use error::RowError;
pub use feed::{Position, Refused};
pub use infer::Inference;
pub use json::{JsonEntry, JsonLine, JsonLines};
pub use json_encode::{JsonEncoder, UnknownField};
pub use numeric::{Numeric, numeric_from_float, numeric_from_int, parse_numeric, render_numeric};
pub use render::render_json;
pub use time::{
    parse_date, parse_time, parse_timestamp, render_date, render_time, render_timestamp, us_from_unix,
};
pub use trace::trace;
pub use tuples::{Field, Fields, Tuple, Tuples};
pub use uuid::{parse_uuid, render_uuid};
pub use value::Value;
