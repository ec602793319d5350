//! The ends of every type, what would be lost on the way into another one, and columns that are left to the server.

use standpipe_core::{ErrorKind, Mode, TableName, Target, Type};
use standpipe_testkit::target::Value;

use crate::{
    server::Database,
    world::{Writer, append, both_ways, codes, merge, text},
};

#[tokio::test]
async fn the_ends_of_every_type() {
    use Value::*;
    let Some(database) = Database::new("the_ends_of_every_type").await else { return };
    let cases: &[(Type, &str, Value, &str)] = &[
        (Type::Date, "date", Date(i32::MAX), "infinity"),
        (Type::Date, "date", Date(i32::MIN), "-infinity"),
        (Type::Date, "date", Date(-2_451_545), "4714-11-24 BC"),
        (Type::Date, "date", Date(2_145_031_948), "5874897-12-31"),
        (Type::Date, "timestamp", Date(i32::MAX), "infinity"),
        (Type::Date, "timestamp(0)", Date(i32::MIN), "-infinity"),
        (Type::Date, "timestamp", Date(2_145_031_948), ""),
        (Type::Date, "text", Date(i32::MAX), "infinity"),
        (Type::Timestamp, "date", Timestamp(i64::MAX), "infinity"),
        (Type::Timestamp, "date", Timestamp(86_400_000_000), "2000-01-02"),
        (Type::Timestamp, "date", Timestamp(-86_400_000_000), "1999-12-31"),
        (Type::Timestamp, "date", Timestamp(-1), ""),
        (Type::Timestamp, "timestamp(0)", Timestamp(i64::MAX), "infinity"),
        (Type::Timestamp, "timestamp(0)", Timestamp(i64::MIN), "-infinity"),
        (Type::Timestamp, "timestamp", Timestamp(-211_813_488_000_000_000), "4714-11-24 00:00:00 BC"),
        (Type::Timestamp, "timestamp", Timestamp(9_223_371_331_199_999_999), "294276-12-31 23:59:59.999999"),
        (Type::Timestamp, "timestamp", Timestamp(i64::MAX - 1), "22008"),
        (Type::Timestamptz, "timestamptz(0)", Timestamptz(i64::MAX), "infinity"),
        (
            Type::Timestamptz,
            "timestamptz",
            Timestamptz(-211_813_488_000_000_000),
            "4714-11-24 00:00:00+00 BC",
        ),
        (Type::Timestamptz, "text", Timestamptz(0), "2000-01-01 00:00:00+00"),
        (Type::Time, "time", Time(86_400_000_000), "24:00:00"),
        (Type::Time, "time(0)", Time(86_399_999_999), ""),
        (Type::Float8, "float8", Float8(f64::NEG_INFINITY), "-Infinity"),
        (Type::Float8, "float8", Float8(-0.0), "-0"),
        (Type::Float8, "float8", Float8(5e-324), "5e-324"),
        (Type::Float8, "numeric", Float8(f64::INFINITY), "Infinity"),
        (Type::Float8, "numeric", Float8(0.1), "0.1"),
        (Type::Float4, "numeric", Float4(0.1), "0.1"),
        (Type::Float8, "numeric(3,1)", Float8(0.25), ""),
        (Type::Float8, "text", Float8(f64::NAN), "NaN"),
        (Type::Numeric, "numeric(3,1)", Numeric("1.50".into()), "1.5"),
        (Type::Numeric, "numeric(3,1)", Numeric("1.55".into()), ""),
        (Type::Numeric, "numeric(3,1)", Numeric("NaN".into()), "NaN"),
        (Type::Numeric, "int2", Numeric("-32768.00".into()), "-32768"),
        (Type::Numeric, "int2", Numeric("32768".into()), ""),
        (Type::Numeric, "int8", Numeric("0.5".into()), ""),
        (Type::Numeric, "numeric", Numeric("0.000000000000000000001".into()), "0.000000000000000000001"),
        (Type::Text, "numeric(3,1)", text("1.25"), ""),
        (Type::Text, "timestamp(0)", text("2026-01-01 00:00:00.5"), ""),
        (Type::Text, "timestamp(0)", text("2026-01-02 00:00:01.000"), "2026-01-02 00:00:01"),
        // January or February: DateStyle would say.
        (Type::Text, "timestamp(0)", text("01.02.2026 00:00:01.000"), ""),
        (Type::Text, "timestamptz(3)", text("2026-01-01 00:00:00.1234+00"), ""),
        (Type::Text, "timestamp", text("2026-01-01 00:00:00.1234567"), ""),
        (Type::Text, "time(1)", text("10:00:00.25"), ""),
        (Type::Text, "time(1)", text("10:00:00.20"), "10:00:00.2"),
        (Type::Text, "varchar(3)", text("abcd"), "22001"),
        (Type::Text, "varchar(3)", text("abc   "), ""),
        (Type::Text, "char(3)", text("abcd"), "22001"),
        (Type::Text, "bit(3)", text("1111"), "22026"),
        (Type::Text, "nested", text("abcd"), "22001"),
        (Type::Int4, "nested_int", Int4(7), "7"),
        (Type::Text, "name", text("x"), "x"),
        (Type::Text, "varchar(3)[]", text("{abcd}"), "22001"),
        (Type::Text, "int4[]", text("[0:1]={5,6}"), "[0:1]={5,6}"),
        (Type::Json, "int4[]", Json("[[1,2],[3,4]]".into()), "{{1,2},{3,4}}"),
        (Type::Json, "int4[]", Json("[]".into()), "{}"),
        (
            Type::Json,
            "text[]",
            Json("[null, \"null\", \"NULL\", \"\"]".into()),
            "{NULL,\"null\",\"NULL\",\"\"}",
        ),
        (Type::Text, "text", text(""), ""),
    ];
    database.run("CREATE DOMAIN inside AS varchar(3); CREATE DOMAIN nested AS inside; CREATE DOMAIN i AS int4; CREATE DOMAIN nested_int AS i").await;
    let [staged, arrays] = both_ways();
    let mut writers =
        [Writer::with(&database, "0", staged).await, Writer::with(&database, "1", arrays).await];
    for (number, (kind, declared, value, shown)) in cases.iter().enumerate() {
        for (way, writer) in writers.iter_mut().enumerate() {
            for mode in [Mode::Append, Mode::Upsert] {
                if (way, mode) == (1, Mode::Append) {
                    continue;
                }
                let table = format!("t{number}_{way}_{mode:?}").to_lowercase();
                database.run(&format!("CREATE TABLE {table} (id int8 PRIMARY KEY, v {declared})")).await;
                let columns = [("id", Type::Int8), ("v", *kind)];
                let of = merge(&table, mode, &["id"], &columns, &[vec![Int8(1), value.clone()]]);
                let rejects = writer.apply(&of).await.unwrap();
                let what = format!("{value:?} into {declared}, {mode:?}, way {way}: {rejects:?}");
                let found = database.rows(&format!("SET timezone = 'UTC'; SELECT v FROM {table}")).await;
                let is_code = shown.len() == 5 && shown.starts_with("22");
                if is_code || shown.is_empty() && *declared != "text" {
                    assert_eq!(codes(&rejects), [(0, 0, *shown)], "{what}, {found:?}");
                    assert!(is_code || rejects[0].column.as_deref() == Some("v"), "{what}");
                } else {
                    assert_eq!(rejects, [], "{what}");
                    assert_eq!(found, [[Some((*shown).to_owned())]], "{what}");
                }
            }
        }
    }
    database.end().await;
}

/// Every conversion of numbers against the server's own cast there and back: what comes back another is refused, all else is in.
#[tokio::test]
async fn what_would_be_lost_is_refused() {
    let Some(database) = Database::new("what_would_be_lost_is_refused").await else { return };
    let ints: Vec<i64> = (0..63)
        .flat_map(|bits| {
            [-1_i64, 0, 1].into_iter().flat_map(move |by| [(1_i64 << bits) + by, -(1_i64 << bits) + by])
        })
        .chain([i64::MAX, i64::MIN, i64::MAX - 512, i64::MAX - 1024, 0])
        .collect();
    let floats: Vec<f64> = ints
        .iter()
        .map(|int| *int as f64)
        .chain(ints.iter().flat_map(|int| [*int as f64 + 0.5, (*int as f64).sqrt(), 1.0 / *int as f64]))
        .chain([f64::MAX, f64::MIN_POSITIVE, f64::from(f32::MAX), f64::INFINITY, 1e-45_f32.into()])
        .collect();
    let numerics: Vec<String> =
        ints.iter().flat_map(|int| [int.to_string(), format!("{int}.0"), format!("{int}.50")]).collect();
    let mut checked = 0;
    for (kind, from, values, targets) in [
        (
            Type::Int8,
            "int8",
            ints.iter().map(|int| Value::Int8(*int)).collect::<Vec<_>>(),
            &["int2", "int4", "float4", "float8", "numeric"][..],
        ),
        (
            Type::Float8,
            "float8",
            floats.iter().map(|float| Value::Float8(*float)).collect(),
            &["int2", "int4", "int8", "float4"],
        ),
        (
            Type::Float4,
            "float4",
            floats.iter().map(|float| Value::Float4(*float as f32)).collect(),
            &["int2", "int4", "int8", "float8"],
        ),
        (
            Type::Numeric,
            "numeric",
            numerics.iter().map(|text| Value::Numeric(text.clone())).collect(),
            &["int2", "int4", "int8", "numeric(21,0)", "numeric(22,1)"],
        ),
    ] {
        for to in targets {
            let table = format!("t_{from}_{to}").replace(['(', ')', ','], "");
            database
                .run(&format!(
                    "CREATE TABLE {table} (id int8, v {to}); CREATE TABLE {table}_from (id int8, v {from});
                     CREATE OR REPLACE FUNCTION lossless(v {from}, x {to}) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN v::{to}::{from} = v; EXCEPTION WHEN OTHERS THEN RETURN false; END $$"
                ))
                .await;
            let mut writer = Writer::new(&database, &table).await;
            let rows: Vec<_> =
                (0..).zip(&values).map(|(id, value)| vec![Value::Int8(id), value.clone()]).collect();
            let columns = [("id", Type::Int8), ("v", kind)];
            assert_eq!(writer.apply(&append(&format!("{table}_from"), &columns, &rows)).await.unwrap(), []);
            let rejects = writer.apply(&append(&table, &columns, &rows)).await.unwrap();
            let refused: Vec<String> = rejects.iter().map(|reject| reject.row.to_string()).collect();
            let lossy = format!(
                "SELECT string_agg(id::text, ',' ORDER BY id) FROM {table}_from WHERE NOT lossless(v, NULL::{to})"
            );
            assert_eq!(
                database.value(&lossy).await,
                if refused.is_empty() { "NULL".to_owned() } else { refused.join(",") },
                "{from} into {to}"
            );
            let wrong = format!(
                "SELECT count(*) FROM {table} t JOIN {table}_from f USING (id) WHERE t.v::{from} <> f.v"
            );
            assert_eq!(database.value(&wrong).await, "0", "{from} into {to}");
            database.run(&format!("DROP FUNCTION lossless({from}, {to})")).await;
            checked += rows.len();
        }
    }
    println!("{checked} conversions checked against the server's own");
    database.end().await;
}

/// Kinds between which something would always be lost, or guessed, are refused before any row is written.
#[tokio::test]
async fn kinds_that_do_not_fit_are_refused_by_name() {
    let Some(database) = Database::new("kinds_that_do_not_fit_are_refused_by_name").await else { return };
    database.run("CREATE TABLE t (i int4, n numeric, d date, z timestamptz, u uuid, b bool, j jsonb)").await;
    let mut writer = Writer::new(&database, "s").await;
    for (column, kind, value) in [
        ("i", Type::Bool, Value::Bool(true)),
        ("i", Type::Date, Value::Date(1)),
        ("b", Type::Int4, Value::Int4(1)),
        ("z", Type::Timestamp, Value::Timestamp(1)),
        ("u", Type::Bytea, Value::Bytea(vec![0; 16])),
        ("j", Type::Int8, Value::Int8(1)),
        ("n", Type::Bytea, Value::Bytea(vec![0; 8])),
        ("d", Type::Int4, Value::Int4(1)),
    ] {
        let error = writer.apply(&append("t", &[(column, kind)], &[vec![value]])).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, Some("42804")), "{error}");
        assert!(error.to_string().contains(&format!("{column:?}")), "{error}");
    }
    database.end().await;
}

#[tokio::test]
async fn what_the_server_fills_in_is_left_to_it() {
    let Some(database) = Database::new("what_the_server_fills_in_is_left_to_it").await else { return };
    let (id, v) = (("id", Type::Int8), ("v", Type::Int4));
    for (way, settings) in both_ways().into_iter().enumerate() {
        let table = format!("t{way}");
        database
            .run(&format!(
                "CREATE TABLE {table} (id int8 PRIMARY KEY, v int4 DEFAULT 5, g int4 GENERATED ALWAYS AS (v * 2) STORED,
                   a int8 GENERATED ALWAYS AS IDENTITY, b int8 GENERATED BY DEFAULT AS IDENTITY, s serial, w text DEFAULT 'w')"
            ))
            .await;
        let mut writer = Writer::with(&database, &table, settings).await;
        let row = |id: i64, v: i32| vec![Value::Int8(id), Value::Int4(v)];
        assert_eq!(writer.apply(&append(&table, &[id, v], &[row(1, 1), row(2, 2)])).await.unwrap(), []);
        let given = [id, ("b", Type::Int8), ("w", Type::Text)];
        let of = append(&table, &given, &[vec![Value::Int8(3), Value::Int8(100), text("x")]]);
        assert_eq!(writer.apply(&of).await.unwrap(), []);
        let upsert = merge(&table, Mode::Upsert, &["id"], &[id, v], &[row(3, 30), row(4, 40)]);
        assert_eq!(writer.apply(&upsert).await.unwrap(), []);
        let all = format!("SELECT id, v, g, a, b, w FROM {table} ORDER BY id");
        let shown = |rows: Vec<Vec<Option<String>>>| -> Vec<String> {
            rows.iter()
                .map(|row| {
                    row.iter().map(|value| value.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(" ")
                })
                .collect()
        };
        let found = shown(database.rows(&all).await);
        assert_eq!(found[..3], ["1 1 2 1 1 w", "2 2 4 2 2 w", "3 30 60 3 100 x"]);
        assert!(found[3].starts_with("4 40 80 "), "{found:?}");
        // The whole row: what is not given gets its default, but an identity stays with its row.
        let replace = merge(&table, Mode::Replace, &["id"], &[id], &[vec![Value::Int8(3)]]);
        assert_eq!(writer.apply(&replace).await.unwrap(), []);
        assert_eq!(shown(database.rows(&all).await)[2], "3 5 10 3 100 w");
        for (name, says) in [("g", "generated"), ("a", "generated")] {
            let of = append(&table, &[id, (name, Type::Int8)], &[vec![Value::Int8(9), Value::Int8(1)]]);
            let error = writer.apply(&of).await.unwrap_err();
            assert!(error.to_string().contains(says) && error.to_string().contains(name), "{error}");
        }
        let shape = writer.target.describe(&TableName::new(&table)).await.unwrap().unwrap();
        let is =
            |name: &str| shape.column(name).map(|column| (column.generated, column.has_default)).unwrap();
        assert_eq!(
            [is("id"), is("v"), is("b"), is("s"), is("a")],
            [(false, false), (false, true), (false, true), (false, true), (true, true)]
        );
        assert!(is("g").0);
    }
    database.end().await;
}
