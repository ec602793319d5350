//! Rows like those of the flights data, ten columns of six types, made from nothing.

use serde::Serialize;
use standpipe_core::{Column, Schema, Type};
use standpipe_harness::Outcome;
use standpipe_row::{BlockBuilder, RowError, render_timestamp, us_from_unix};

/// Rows before they come again. Each differs in what it holds and how long it is.
pub const CYCLE: u64 = 64;

/// One row.
#[derive(Clone, Debug, Serialize)]
pub struct Flight {
    id: i64,
    month: i64,
    dep_delay: Option<f64>,
    carrier: &'static str,
    flight: i64,
    tailnum: String,
    origin: &'static str,
    dest: Option<&'static str>,
    distance: f64,
    time_hour: String,
    #[serde(skip)]
    time_hour_us: i64,
}

/// 2013-01-01 00:00:00 UTC.
const YEAR_BEGAN_UNIX_US: i64 = 1_356_998_400_000_000;
const HOUR_US: i64 = 3_600_000_000;

impl Flight {
    /// The row of this number: its columns repeat after [`CYCLE`] rows, and so does `id`.
    ///
    /// # Errors
    /// None in practice: the moment is within the range of timestamps.
    pub fn new(number: u64) -> Outcome<Self> {
        let place = number % CYCLE;
        let number = i64::try_from(place)?;
        let small = u8::try_from(place)?;
        let time_hour_us =
            us_from_unix(YEAR_BEGAN_UNIX_US + number * HOUR_US).ok_or("2013 is within the range")?;
        let mut time_hour = Vec::new();
        render_timestamp(time_hour_us, true, &mut time_hour);
        Ok(Flight {
            id: number,
            month: 1 + number % 12,
            dep_delay: (number % 16 != 7).then(|| f64::from(small) - 10.5),
            carrier: ["UA", "AA", "B6", "DL"][usize::from(small % 4)],
            flight: 100 + number * 37,
            tailnum: format!("N{}", 7 + number * 313),
            origin: ["EWR", "LGA", "JFK"][usize::from(small % 3)],
            dest: (number % 32 != 9).then_some(["IAH", "MIA", "ATL", "ORD", "FLL"][usize::from(small % 5)]),
            distance: 200.25 + f64::from(small) * 13.0,
            time_hour: String::from_utf8(time_hour)?,
            time_hour_us,
        })
    }

    /// The rows of one cycle.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn cycle() -> Outcome<Vec<Flight>> {
        (0..CYCLE).map(Flight::new).collect()
    }

    /// The columns.
    ///
    /// # Errors
    /// None in practice: the names differ.
    pub fn schema() -> Outcome<Schema> {
        Ok(Schema::new(vec![
            Column::new("id", Type::Int8).not_null(),
            Column::new("month", Type::Int2),
            Column::new("dep_delay", Type::Float8),
            Column::new("carrier", Type::Text),
            Column::new("flight", Type::Int4),
            Column::new("tailnum", Type::Text),
            Column::new("origin", Type::Text),
            Column::new("dest", Type::Text),
            Column::new("distance", Type::Float8),
            Column::new("time_hour", Type::Timestamptz),
        ])?)
    }

    /// Writes the row under another id.
    ///
    /// # Errors
    /// None in practice: the values are of their columns' types.
    #[inline]
    pub fn write(&self, id: i64, builder: &mut BlockBuilder) -> Result<(), RowError> {
        let row = builder.begin_row().int(id).int(self.month);
        match self.dep_delay {
            Some(delay) => row.float(delay),
            None => row.null(),
        };
        let row = row.text(self.carrier).int(self.flight).text(&self.tailnum).text(self.origin);
        match self.dest {
            Some(dest) => row.text(dest),
            None => row.null(),
        };
        row.float(self.distance).timestamp(self.time_hour_us).end_row()
    }

    /// The row's number within the cycle.
    #[must_use]
    pub fn id(&self) -> i64 {
        self.id
    }

    /// The bytes of the row in a block, by the layout's definition: a count of two bytes, and a length of four before
    /// each value.
    #[must_use]
    pub fn tuple_bytes(&self) -> u64 {
        let texts = self.carrier.len() + self.tailnum.len() + self.origin.len();
        let nullable = self.dep_delay.map_or(0, |_| 8) + self.dest.map_or(0, str::len);
        let fixed = 8 + 2 + 4 + 8 + 8;
        (2 + 10 * 4 + texts + nullable + fixed) as u64
    }

    /// What the values of the row add up to: see `sum_of`.
    #[must_use]
    pub fn sum(&self) -> u64 {
        let texts =
            self.carrier.len() + self.tailnum.len() + self.origin.len() + self.dest.map_or(0, str::len);
        let floats = self.dep_delay.map_or(0, f64::to_bits).wrapping_add(self.distance.to_bits());
        let numbers = self.id.wrapping_add(self.month).wrapping_add(self.flight);
        (texts as u64).wrapping_add(floats).wrapping_add((numbers + self.time_hour_us) as u64)
    }

    /// The row as a line of CSV, in the order of the columns.
    #[must_use]
    pub fn csv_line(&self) -> String {
        let delay = self.dep_delay.map_or(String::new(), |delay| delay.to_string());
        let Flight { id, month, carrier, flight, tailnum, origin, distance, time_hour, .. } = self;
        let dest = self.dest.unwrap_or_default();
        format!("{id},{month},{delay},{carrier},{flight},{tailnum},{origin},{dest},{distance},{time_hour}\n")
    }
}

/// Adds a value: the bits of numbers, the length of texts, nothing for NULL.
#[must_use]
pub fn sum_of(value: &standpipe_row::Value<'_>) -> u64 {
    use standpipe_row::Value;
    match value {
        Value::Int(number) | Value::Timestamptz(number) => *number as u64,
        Value::Float(number) => number.to_bits(),
        Value::Text(text) => text.len() as u64,
        _ => 0,
    }
}

/// What `of` adds up to over so many rows, one cycle after the other.
pub fn sum_over(rows: u64, flights: &[Flight], of: impl Fn(&Flight) -> u64) -> u64 {
    let whole = flights.iter().map(&of).fold(0_u64, u64::wrapping_add);
    let rest = flights.iter().take((rows % CYCLE) as usize).map(&of).fold(0_u64, u64::wrapping_add);
    whole.wrapping_mul(rows / CYCLE).wrapping_add(rest)
}
