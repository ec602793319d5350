//! Rows that workloads write: each is a function of its number, costs no allocation, and says what a table of the
//! first so many adds up to.

use serde::{Serialize, Serializer, ser::SerializeStruct};
use standpipe_core::{Column, Schema, Type};
use standpipe_harness::Outcome;

/// A kind of row whose `id` is its number.
pub trait Row: Serialize + Send + Sync + 'static {
    /// The row of this number.
    fn of(number: u64) -> Self;

    /// Its columns; `id` is the first, and never NULL.
    ///
    /// # Errors
    /// None in practice: the names differ.
    fn schema() -> Outcome<Schema>;
}

/// Rows of so many numbers from `first` on.
#[must_use]
pub fn rows<R: Row>(first: u64, count: u64) -> Vec<R> {
    (first..first + count).map(R::of).collect()
}

/// What the numbers below `rows` add up to.
#[must_use]
pub fn sum_below(rows: u64) -> u64 {
    rows * rows.saturating_sub(1) / 2
}

/// A flight: ten columns, about a hundred bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Flight {
    /// The key.
    pub id: i64,
    month: i16,
    dep_delay: Option<f64>,
    carrier: &'static str,
    /// Tells one version of a row from another.
    pub flight: i64,
    tailnum: &'static str,
    origin: &'static str,
    dest: Option<&'static str>,
    distance: f64,
    time_hour: &'static str,
}

const CARRIERS: [&str; 8] = ["UA", "AA", "B6", "DL", "EV", "MQ", "US", "WN"];
const TAILS: [&str; 8] = ["N14228", "N24211", "N619AA", "N804JB", "N668DN", "N39463", "N516JB", "N829AS"];
const ORIGINS: [&str; 3] = ["EWR", "LGA", "JFK"];
const DESTINATIONS: [&str; 8] = ["IAH", "MIA", "BQN", "ATL", "ORD", "FLL", "IAD", "MCO"];
const HOURS: [&str; 8] = [
    "2013-01-01T10:00:00Z",
    "2013-02-11T11:00:00Z",
    "2013-03-21T12:00:00Z",
    "2013-04-02T13:00:00Z",
    "2013-05-12T14:00:00Z",
    "2013-06-22T15:00:00Z",
    "2013-07-03T16:00:00Z",
    "2013-08-13T17:00:00Z",
];

impl Flight {
    /// Another version of the row of this number.
    #[must_use]
    pub fn version(number: u64, flight: u64) -> Self {
        Flight { flight: flight as i64, ..Flight::of(number) }
    }
}

impl Row for Flight {
    fn of(number: u64) -> Self {
        let small = (number % 1024) as usize;
        Flight {
            id: number as i64,
            month: 1 + (number % 12) as i16,
            dep_delay: (small % 16 != 7).then_some(small as f64 - 10.5),
            carrier: CARRIERS[small % 8],
            flight: number as i64,
            tailnum: TAILS[small / 8 % 8],
            origin: ORIGINS[small % 3],
            dest: (small % 32 != 9).then_some(DESTINATIONS[small / 4 % 8]),
            distance: 200.25 + small as f64 * 2.5,
            time_hour: HOURS[small / 64 % 8],
        }
    }

    fn schema() -> Outcome<Schema> {
        Ok(Schema::new(vec![
            Column::new("id", Type::Int8).not_null(),
            Column::new("month", Type::Int2),
            Column::new("dep_delay", Type::Float8),
            Column::new("carrier", Type::Text),
            Column::new("flight", Type::Int8),
            Column::new("tailnum", Type::Text),
            Column::new("origin", Type::Text),
            Column::new("dest", Type::Text),
            Column::new("distance", Type::Float8),
            Column::new("time_hour", Type::Timestamptz),
        ])?)
    }
}

/// A row of a log-and-trace table: 88 columns, a third of those behind the first 28 NULL, about a kilobyte.
#[derive(Clone, Copy, Debug)]
pub struct Wide(u64);

impl Wide {
    /// The columns.
    pub const COLUMNS: usize = 88;

    fn is_null(self, column: usize) -> bool {
        column >= 28 && (self.0 as usize).wrapping_add(column * 7).is_multiple_of(3)
    }
}

const WIDE: [(&str, Type); Wide::COLUMNS] = {
    use Type::{Bool, Float8, Int8, Text, Timestamptz};
    [
        ("id", Int8),
        ("project_id", Int8),
        ("org_id", Int8),
        ("trace_id", Text),
        ("span_id", Text),
        ("parent_span_id", Text),
        ("root_span_id", Text),
        ("session_id", Text),
        ("started_at", Timestamptz),
        ("ended_at", Timestamptz),
        ("received_at", Timestamptz),
        ("level", Text),
        ("service", Text),
        ("environment", Text),
        ("host", Text),
        ("region", Text),
        ("release", Text),
        ("name", Text),
        ("kind", Text),
        ("status", Text),
        ("is_root", Bool),
        ("is_error", Bool),
        ("duration_us", Int8),
        ("queue_us", Int8),
        ("cpu_us", Int8),
        ("bytes_in", Int8),
        ("bytes_out", Int8),
        ("message", Text),
        ("http_method", Text),
        ("http_route", Text),
        ("http_status", Int8),
        ("http_host", Text),
        ("http_agent", Text),
        ("client_ip", Text),
        ("user_id", Int8),
        ("user_plan", Text),
        ("user_country", Text),
        ("db_system", Text),
        ("db_table", Text),
        ("db_rows", Int8),
        ("db_us", Int8),
        ("cache_hits", Int8),
        ("cache_misses", Int8),
        ("retries", Int8),
        ("error_type", Text),
        ("error_text", Text),
        ("error_file", Text),
        ("error_line", Int8),
        ("model", Text),
        ("provider", Text),
        ("temperature", Float8),
        ("top_p", Float8),
        ("tokens_in", Int8),
        ("tokens_out", Int8),
        ("tokens_cached", Int8),
        ("cost_in", Float8),
        ("cost_out", Float8),
        ("cost_total", Float8),
        ("first_token_us", Int8),
        ("score_1", Float8),
        ("score_2", Float8),
        ("score_3", Float8),
        ("score_4", Float8),
        ("flag_1", Bool),
        ("flag_2", Bool),
        ("flag_3", Bool),
        ("tag_1", Text),
        ("tag_2", Text),
        ("tag_3", Text),
        ("tag_4", Text),
        ("tag_5", Text),
        ("tag_6", Text),
        ("count_1", Int8),
        ("count_2", Int8),
        ("count_3", Int8),
        ("count_4", Int8),
        ("count_5", Int8),
        ("count_6", Int8),
        ("gauge_1", Float8),
        ("gauge_2", Float8),
        ("gauge_3", Float8),
        ("gauge_4", Float8),
        ("gauge_5", Float8),
        ("gauge_6", Float8),
        ("queued_at", Timestamptz),
        ("updated_at", Timestamptz),
        ("archived_at", Timestamptz),
        ("expires_at", Timestamptz),
    ]
};

const WORDS: [&str; 8] = [
    "checkout",
    "eu-central-1",
    "GET /api/v2/orders/:id",
    "info",
    "worker-17.internal",
    "connection reset by peer",
    "7f3a9c5e12d84b60",
    "span finished without error after one retry of the upstream call",
];

impl Serialize for Wide {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("Wide", Wide::COLUMNS)?;
        for (column, (name, kind)) in WIDE.iter().enumerate() {
            let mixed = (self.0 as usize).wrapping_mul(31).wrapping_add(column * 17);
            match kind {
                _ if column == 0 => row.serialize_field(name, &self.0)?,
                _ if self.is_null(column) => row.serialize_field(name, &None::<i64>)?,
                Type::Int8 => row.serialize_field(name, &((mixed % 1_000_003) as i64))?,
                Type::Float8 => row.serialize_field(name, &(mixed as f64 * 0.125))?,
                Type::Bool => row.serialize_field(name, &mixed.is_multiple_of(2))?,
                Type::Timestamptz => row.serialize_field(name, HOURS[mixed % 8])?,
                _ => row.serialize_field(name, WORDS[mixed % 8])?,
            }
        }
        row.end()
    }
}

impl Row for Wide {
    fn of(number: u64) -> Self {
        Wide(number)
    }

    fn schema() -> Outcome<Schema> {
        let column = |(name, kind): &(&str, Type)| Column::new(*name, *kind);
        let mut columns: Vec<Column> = WIDE.iter().map(column).collect();
        columns[0] = Column::new("id", Type::Int8).not_null();
        Ok(Schema::new(columns)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use standpipe_row::BlockBuilder;

    fn block_of<R: Row>(count: u64) -> Outcome<standpipe_core::Block> {
        let mut builder = BlockBuilder::new(std::sync::Arc::new(R::schema()?));
        for row in rows::<R>(0, count) {
            builder.serialize(&row).map_err(|fault| fault.to_string())?;
        }
        Ok(builder.finish())
    }

    #[test]
    fn every_row_fits_its_columns_and_is_about_as_large_as_it_says() -> Outcome<()> {
        for (block, least, most) in [(block_of::<Flight>(1024)?, 80, 120), (block_of::<Wide>(96)?, 800, 1400)]
        {
            assert!(block.rejected.is_empty());
            let each = block.size_bytes() / u64::from(block.rows);
            assert!((least..=most).contains(&each), "{each}");
        }
        Ok(())
    }

    #[test]
    fn sums_are_those_of_the_numbers() {
        assert_eq!([0, 1, 2, 5].map(sum_below), [0, 0, 1, 10]);
    }
}
