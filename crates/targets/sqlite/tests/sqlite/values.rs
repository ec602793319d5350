use std::sync::Arc;

use standpipe_core::{Column, Schema, Type};
use standpipe_row::{BlockBuilder, NonFinite};
use standpipe_testkit::block_on;

use crate::world::{World, append};

#[test]
fn values_are_kept_as_the_readme_says() {
    block_on(async {
        let names: Vec<&str> = Type::ALL.iter().map(|kind| kind.name()).collect();
        let world = World::new().await;
        let columns = Type::ALL.into_iter().map(|kind| Column::new(kind.name(), kind)).collect();
        let schema = Arc::new(Schema::new(columns).unwrap());
        let table = append("v").table;
        standpipe_core::Target::create(&world.target, &table, &schema, &[]).await.unwrap();
        let mut builder = BlockBuilder::new(Arc::clone(&schema));
        let day_us = 86_400_000_000;
        builder
            .begin_row()
            .bool(true)
            .int(-2)
            .int(4)
            .int(i64::MIN)
            .float(0.5)
            .float(0.1)
            .text("t\u{e4}xt")
            .bytes(b"\x00\xff")
            .date(8_825)
            .time(3_600_000_001)
            .timestamp(8_825 * day_us)
            .timestamp(8_825 * day_us + 1_500_000)
            .uuid(*b"\x01\x23\x45\x67\x89\xab\xcd\xef\xfe\xdc\xba\x98\x76\x54\x32\x10")
            .json("[1.0]")
            .parse(b"-123456789012345678901234567890.1200")
            .end_row()
            .unwrap();
        assert_eq!(world.load(&append("v"), vec![builder.finish()]).await.unwrap(), []);
        let kept: Vec<String> = names
            .iter()
            .flat_map(|name| world.rows(&format!("SELECT typeof({name}), {name} FROM v")))
            .collect();
        assert_eq!(
            kept,
            [
                "integer|1",
                "integer|-2",
                "integer|4",
                "integer|-9223372036854775808",
                "real|0.5",
                "real|0.1",
                "text|t\u{e4}xt",
                "blob|[00, ff]",
                "text|2024-02-29",
                "text|01:00:00.000001",
                "text|2024-02-29T00:00:00",
                "text|2024-02-29T00:00:01.5Z",
                "text|01234567-89ab-cdef-fedc-ba9876543210",
                "text|[1.0]",
                "text|-123456789012345678901234567890.1200",
            ]
        );
        let read =
            "SELECT julianday(timestamptz) > julianday(timestamp), date(date, '+1 day'), time(time) FROM v";
        assert_eq!(world.rows(read), ["1|2024-03-01|01:00:00"], "SQLite's own functions read them");
    });
}

#[test]
fn nan_is_a_reject_and_infinity_is_kept() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER CHECK (id <> 2), x REAL)").await;
        let columns = vec![Column::new("id", Type::Int8), Column::new("x", Type::Float8)];
        let mut builder = BlockBuilder::new(Arc::new(Schema::new(columns).unwrap()));
        builder.set_non_finite(NonFinite::Allow);
        for id in 0..40 {
            let value = if id % 10 == 7 { f64::NAN } else { f64::INFINITY };
            builder.begin_row().int(id).float(value).end_row().unwrap();
        }
        let rejects = world.load(&append("t"), vec![builder.finish()]).await.unwrap();
        assert_eq!(rejects.iter().map(|reject| reject.row).collect::<Vec<_>>(), [2, 7, 17, 27, 37]);
        assert_eq!(
            (rejects[1].column.as_deref(), rejects[1].reason.as_str()),
            (Some("x"), "SQLite cannot keep NaN")
        );
        assert_eq!(world.rows("SELECT count(*), min(x), typeof(min(x)) FROM t"), ["35|inf|real"]);
    });
}
