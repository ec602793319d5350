//! Tables that change while rows are written to them.

use standpipe_core::{ErrorKind, Mode, Type};
use standpipe_testkit::target::Value;

use crate::{
    server::Database,
    world::{Writer, append, both_ways, codes, merge, text},
};

const COLUMNS: &[(&str, Type)] = &[("id", Type::Int8), ("v", Type::Int8)];

fn row(id: i64, v: i64) -> Vec<Value> {
    vec![Value::Int8(id), Value::Int8(v)]
}

/// Another type of the same width must not take the old type's bytes for its own.
#[tokio::test]
async fn a_column_retyped_to_one_as_wide_is_noticed() {
    let Some(database) = Database::new("a_column_retyped_to_one_as_wide_is_noticed").await else { return };
    let cases: &[(&str, &str, Type, Value, &str, bool)] = &[
        ("int8", "float8 USING v::float8", Type::Int8, Value::Int8(42), "42", true),
        ("int8", "timestamp USING NULL", Type::Int8, Value::Int8(42), "", false),
        ("int4", "float4 USING v::float4", Type::Int4, Value::Int4(42), "42", true),
        ("int4", "date USING NULL", Type::Int4, Value::Int4(42), "", false),
        ("text", "int4 USING NULL", Type::Text, text("1234"), "1234", true),
        ("text", "bytea USING NULL", Type::Text, text("\\x00ff"), "\\x00ff", true),
        ("bytea", "text USING NULL", Type::Bytea, Value::Bytea(b"ab".to_vec()), "\\x6162", true),
        ("int8", "int4 USING v::int4", Type::Int8, Value::Int8(42), "42", true),
        ("int4", "int8", Type::Int4, Value::Int4(42), "42", true),
        ("int8", "numeric", Type::Int8, Value::Int8(42), "42", true),
        ("text", "varchar(3)", Type::Text, text("abc"), "abc", true),
        ("numeric(6,2)", "numeric(6,1)", Type::Numeric, Value::Numeric("1.25".into()), "", false),
        ("timestamp(6)", "timestamp(0)", Type::Timestamp, Value::Timestamp(1), "", false),
    ];
    for (number, (before, after, kind, value, shown, fits)) in cases.iter().enumerate() {
        for mode in [Mode::Append, Mode::Upsert] {
            for (way, settings) in both_ways().into_iter().enumerate() {
                let table = format!("t{number}_{mode:?}_{way}").to_lowercase();
                database.run(&format!("CREATE TABLE {table} (id int8 PRIMARY KEY, v {before})")).await;
                let mut writer = Writer::with(&database, &table, settings).await;
                let columns = [("id", Type::Int8), ("v", *kind)];
                let of = |id| merge(&table, mode, &["id"], &columns, &[vec![Value::Int8(id), value.clone()]]);
                assert_eq!(writer.apply(&of(1)).await.unwrap(), []);
                database.run(&format!("ALTER TABLE {table} ALTER v TYPE {after}")).await;
                let rejects = writer.persist(&of(2)).await.unwrap();
                let rows = database.rows(&format!("SELECT v FROM {table} WHERE id = 2")).await;
                let what = format!("{before} to {after}, {mode:?}, way {way}: {rejects:?}");
                if *fits {
                    assert_eq!(rejects, [], "{what}");
                    assert_eq!(rows, [[Some((*shown).to_owned())]], "{what}");
                } else {
                    assert_eq!(rejects.len(), 1, "{what}");
                    assert!(rows.is_empty(), "{what}: {rows:?}");
                }
            }
        }
    }
    database.end().await;
}

#[tokio::test]
async fn columns_that_come_and_go() {
    let Some(database) = Database::new("columns_that_come_and_go").await else { return };
    database.run("CREATE TABLE t (id int8, v int8)").await;
    let mut writer = Writer::new(&database, "s").await;
    let of = |ids: std::ops::Range<i64>| {
        let rows: Vec<_> = ids.map(|id| row(id, id)).collect();
        append("t", COLUMNS, &rows)
    };
    assert_eq!(writer.apply(&of(0..3)).await.unwrap(), []);
    database.run("ALTER TABLE t ADD w text DEFAULT 'x'").await;
    assert_eq!(writer.persist(&of(3..6)).await.unwrap(), []);
    database.run("ALTER TABLE t ADD n int NOT NULL DEFAULT 1").await;
    database.run("ALTER TABLE t ALTER n DROP DEFAULT").await;
    let rejects = writer.persist(&of(6..8)).await.unwrap();
    assert_eq!(codes(&rejects), [(0, 0, "23502"), (0, 1, "23502")]);
    assert_eq!(rejects[0].column.as_deref(), Some("n"));
    database.run("ALTER TABLE t DROP n").await;
    assert_eq!(writer.persist(&of(6..8)).await.unwrap(), []);
    database.run("ALTER TABLE t RENAME v TO renamed").await;
    let rejects = writer.persist(&of(8..10)).await.unwrap();
    assert_eq!(codes(&rejects), [(0, 0, "42703"), (0, 1, "42703")], "the rows have no place any more");
    assert!(rejects[0].reason.contains("\"v\""), "{}", rejects[0].reason);
    let again = writer.persist(&of(10..11)).await.unwrap();
    assert_eq!(codes(&again), [(0, 0, "42703")], "nor have the next");
    database.run("ALTER TABLE t RENAME renamed TO v").await;
    assert_eq!(writer.persist(&of(11..12)).await.unwrap(), []);
    database.run("ALTER TABLE t DROP v").await;
    assert_eq!(codes(&writer.persist(&of(12..13)).await.unwrap()), [(0, 0, "42703")]);
    assert_eq!(
        database.value("SELECT string_agg(id::text, ',' ORDER BY ctid) FROM t").await,
        "0,1,2,3,4,5,6,7,11"
    );
    database.end().await;
}

#[tokio::test]
async fn tables_that_come_and_go() {
    let Some(database) = Database::new("tables_that_come_and_go").await else { return };
    database.run("CREATE TABLE t (id int8, v int8)").await;
    let mut writer = Writer::new(&database, "s").await;
    let of = |id| append("t", COLUMNS, &[row(id, id)]);
    assert_eq!(writer.apply(&of(1)).await.unwrap(), []);
    // Under its name comes another one, its columns in another order and of types as wide.
    database.run("ALTER TABLE t RENAME TO old; CREATE TABLE t (v float8, id int8)").await;
    assert_eq!(writer.persist(&of(2)).await.unwrap(), []);
    assert_eq!(database.rows("SELECT id, v FROM t").await, [[Some("2".into()), Some("2".into())]]);
    database.run("DROP TABLE t").await;
    let error = writer.persist(&of(3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("there is no table t"), "{error}");
    database.run("CREATE TABLE t (id int8, v int8)").await;
    assert_eq!(writer.persist(&of(3)).await.unwrap(), []);
    assert_eq!(database.value("SELECT count(*) FROM old").await, "1");
    assert_eq!(database.value("SELECT count(*) FROM t").await, "1");
    database.end().await;
}

#[tokio::test]
async fn the_index_of_an_upsert_goes() {
    let Some(database) = Database::new("the_index_of_an_upsert_goes").await else { return };
    for (way, settings) in both_ways().into_iter().enumerate() {
        let table = format!("t{way}");
        database.run(&format!("CREATE TABLE {table} (id int8 CONSTRAINT k{way} PRIMARY KEY, v int8)")).await;
        let mut writer = Writer::with(&database, &table, settings).await;
        let of = |id| merge(&table, Mode::Upsert, &["id"], COLUMNS, &[row(id, id)]);
        assert_eq!(writer.apply(&of(1)).await.unwrap(), []);
        database.run(&format!("ALTER TABLE {table} DROP CONSTRAINT k{way}")).await;
        let error = writer.persist(&of(2)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("CREATE UNIQUE INDEX ON"), "{error}");
        database.run(&format!("CREATE UNIQUE INDEX ON {table} (id)")).await;
        assert_eq!(writer.persist(&of(2)).await.unwrap(), []);
        assert_eq!(database.value(&format!("SELECT count(*) FROM {table}")).await, "2");
    }
    database.end().await;
}

/// A second unique index makes the order of rows count: a plan from before it must not leave rows out.
#[tokio::test]
async fn a_unique_index_that_is_added_is_noticed() {
    let Some(database) = Database::new("a_unique_index_that_is_added_is_noticed").await else { return };
    for (way, settings) in both_ways().into_iter().enumerate() {
        let table = format!("t{way}");
        database.run(&format!("CREATE TABLE {table} (id int8 PRIMARY KEY, v int8)")).await;
        let mut writer = Writer::with(&database, &table, settings).await;
        let of = |rows: &[(i64, i64)]| {
            let rows: Vec<_> = rows.iter().map(|(id, v)| row(*id, *v)).collect();
            merge(&table, Mode::Upsert, &["id"], COLUMNS, &rows)
        };
        assert_eq!(writer.apply(&of(&[(1, 10), (2, 20)])).await.unwrap(), []);
        database.run(&format!("CREATE UNIQUE INDEX ON {table} (v)")).await;
        // When 5 has its turn, 2 has not yet made room for it; by key it would have.
        let rejects = writer.persist(&of(&[(5, 20), (2, 30)])).await.unwrap();
        assert_eq!(codes(&rejects), [(0, 0, "23505")]);
        let rows = database.rows(&format!("SELECT id, v FROM {table} ORDER BY id")).await;
        assert_eq!(rows, [[Some("1".into()), Some("10".into())], [Some("2".into()), Some("30".into())]]);
    }
    database.end().await;
}

/// DDL while batches are written: every row is in once, or named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ddl_beside_writes() {
    let Some(database) = Database::new("ddl_beside_writes").await else { return };
    database.run("CREATE TABLE t (id int8, v int8)").await;
    let mut writer = Writer::new(&database, "s").await;
    let ddl = async {
        let mut connection = database.connection().await;
        for kind in ["float8", "int8", "numeric", "int4", "float4", "int8"].iter().cycle().take(60) {
            let statement = format!("ALTER TABLE t ALTER v TYPE {kind} USING v::{kind}");
            crate::server::run(&mut connection, &statement).await;
        }
    };
    let writes = async {
        for number in 0..150_i64 {
            let rows: Vec<_> = (0..20).map(|id| row(number * 20 + id, id)).collect();
            loop {
                match writer.apply(&append("t", COLUMNS, &rows)).await {
                    Ok(rejects) => break assert_eq!(rejects, []),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Retry, "{error}"),
                }
            }
        }
    };
    tokio::join!(ddl, writes);
    let found =
        database.value("SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || sum(v::int8) FROM t").await;
    assert_eq!(found, format!("3000 3000 {}", 150 * 190));
    database.end().await;
}
