//! Values that the server reads from text: what it would cut or round without a word is refused.

use standpipe_core::Type;
use standpipe_testkit::target::Value;

use crate::{
    adversary::{ID, Loader},
    server::Database,
};

/// A column, a value that it would not keep whole, and one that it does, as the server shows it.
const CASES: &[(&str, &str, &str, &str)] = &[
    ("numeric(5,1)[]", "[1.25]", "[1.2, null]", "{1.2,NULL}"),
    ("numeric(5,1)[]", "{{1.2},{1.25}}", "{{1.2},{\"1.30\"}}", "{{1.2},{1.3}}"),
    ("tenths[]", "[1.25]", "[1.5]", "{1.5}"),
    ("all_tenths", "[1.25]", "[1.5]", "{1.5}"),
    ("date[]", "[\"2020-01-01 10:00:00\"]", "[\"2020-01-01\"]", "{2020-01-01}"),
    (
        "timestamp[]",
        "[\"2020-01-01T00:00:00+05:00\"]",
        "[\"2020-01-01T00:00:00\"]",
        "{\"2020-01-01 00:00:00\"}",
    ),
    (
        "timestamp(0)[]",
        "[\"2020-01-01T00:00:00.7\"]",
        "[\"2020-01-01T00:00:01.0\"]",
        "{\"2020-01-01 00:00:01\"}",
    ),
    ("varchar(3)[]", "[\"abc  \"]", "[\"ab \"]", "{\"ab \"}"),
    ("\"char\"[]", "[\"ab\"]", "[\"a\"]", "{a}"),
    ("interval(0)[]", "[\"1.6 s\"]", "[\"1 s\"]", "{00:00:01}"),
    ("interval(0)", "1.6 s", "2.0 s", "00:00:02"),
    ("interval", "0.1234567 s", "0.123456 s", "00:00:00.123456"),
    ("timetz(0)", "10:00:00.7+02", "10:00:00+02", "10:00:00+02"),
    ("\"char\"", "abc", "a", "a"),
    ("varchar(3)", "abc   ", "ab ", "ab "),
    ("date", "2020-01-01 10:00:00", "2020-01-01", "2020-01-01"),
    ("timestamp", "2020-01-01T00:00:00+05:00", "2020-01-01T00:00:00", "2020-01-01 00:00:00"),
    ("timestamptz", "2020-01-01T00:00:00", "2020-01-01T00:00:00Z", "2020-01-01 00:00:00+00"),
    ("timestamptz(0)", "2020-01-01T00:00:00.7Z", "infinity", "infinity"),
    ("time(0)", "10:00:00.7", "10:00:00.0", "10:00:00"),
    ("time", "2020-01-01 10:00:00", "10:00:00", "10:00:00"),
];

#[tokio::test]
async fn what_the_server_would_cut_or_round_is_refused() {
    let Some(database) = Database::new("what_the_server_would_cut_or_round_is_refused").await else { return };
    database.run("CREATE DOMAIN tenths AS numeric(5,1); CREATE DOMAIN all_tenths AS numeric(5,1)[]; ").await;
    let mut loaders = Loader::all(&database).await;
    for (number, (declared, lossy, whole, shown)) in CASES.iter().enumerate() {
        for (way, loader) in loaders.iter_mut().enumerate() {
            let table = format!("t{number}_{way}");
            database.run(&format!("CREATE TABLE {table} (id int8 PRIMARY KEY, v {declared})")).await;
            let rows = [
                vec![Value::Int8(1), Value::text(*lossy)],
                vec![Value::Int8(2), Value::text(*whole)],
                vec![Value::Int8(3), Value::Null],
            ];
            let refused = loader.load(&table, &[ID, ("v", Type::Text)], &rows).await;
            let what = format!("{lossy} into {declared}, way {way}");
            let refused = refused.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(refused.len(), 1, "{what}: {refused:?}");
            assert_eq!(refused[0].0, 0, "{what}: {refused:?}");
            let found =
                database.rows(&format!("SET timezone = 'UTC'; SELECT v FROM {table} ORDER BY id")).await;
            assert_eq!(found, [[Some((*shown).to_owned())], [None]], "{what}");
        }
    }
    database.end().await;
}

/// In text form and in merges the server would cut it; in its binary form it refuses it by a code of its own.
#[tokio::test]
async fn a_name_that_is_too_long_is_refused() {
    let Some(database) = Database::new("a_name_that_is_too_long_is_refused").await else { return };
    let columns = [ID, ("n", Type::Text), ("i", Type::Text)];
    for (way, loader) in Loader::all(&database).await.iter_mut().enumerate() {
        database.run(&format!("CREATE TABLE t{way} (id int8 PRIMARY KEY, n name, i inet)")).await;
        let row = |id, length| vec![Value::Int8(id), Value::text("é".repeat(length)), Value::text("::1")];
        let refused = loader.load(&format!("t{way}"), &columns, &[row(1, 32), row(2, 31)]).await.unwrap();
        assert_eq!(
            refused,
            [(0, String::new(), "a name of 64 bytes, of which the column keeps 63".to_owned())]
        );
        assert_eq!(database.value(&format!("SELECT id FROM t{way}")).await, "2");
    }
    database.end().await;
}
