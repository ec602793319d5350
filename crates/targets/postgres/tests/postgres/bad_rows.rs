//! Bad rows of every kind: each is named, all the others are in their table, in order.

use std::sync::Arc;

use standpipe_core::{Mode, Reject, Type};
use standpipe_testkit::target::{Value, block};

use crate::{
    bad_kinds::{Kind, kinds},
    server::Database,
    world::{Writer, append, batch, both_ways, codes, destination, merge, schema, text},
};

async fn make(database: &Database, kind: &Kind, table: &str) {
    let also = kind.also.replace("TABLE", table);
    database.run(&format!("CREATE TABLE {table} (id int8 PRIMARY KEY, {}); {also}", kind.table)).await;
    if matches!(kind.name, "exclusion" | "unique") {
        database.run(&format!("INSERT INTO {table} VALUES (-1, 'bad')")).await;
    }
}

async fn prepared(test: &str) -> Option<Database> {
    let database = Database::new(test).await?;
    database
        .run(
            "CREATE TYPE mood AS ENUM ('good', 'fine'); CREATE DOMAIN positive AS int4 CHECK (value > 0);
             CREATE TABLE other (v text PRIMARY KEY); INSERT INTO other VALUES ('good')",
        )
        .await;
    Some(database)
}

fn good(kind: &Kind) -> Value {
    match kind.kind {
        Type::Text if matches!(kind.name, "int" | "date") => Value::Null,
        Type::Text => text("good"),
        Type::Numeric => Value::Numeric("1.25".into()),
        Type::Json if kind.name == "array" => Value::Json("[1, 2]".into()),
        Type::Json => Value::Json("{\"a\": 1}".into()),
        _ => Value::Int4(1),
    }
}

/// Rows of which those at `bad` are bad, as blocks of these sizes.
fn rows(kind: &Kind, sizes: &[u32], bad: &[u32]) -> Vec<Vec<Vec<Value>>> {
    let mut number = 0;
    let mut blocks = Vec::new();
    for size in sizes {
        let block = (0..*size).map(|_| {
            let value = if bad.contains(&number) { kind.bad.clone() } else { good(kind) };
            number += 1;
            vec![Value::Int8(i64::from(number) - 1), value]
        });
        blocks.push(block.collect());
    }
    blocks
}

fn check(kind: &Kind, rejects: &[Reject], sizes: &[u32], bad: &[u32], what: &str) {
    let mut expected = Vec::new();
    for number in bad {
        let (mut block, mut row) = (0, *number);
        while row >= sizes[block] {
            row -= sizes[block];
            block += 1;
        }
        expected.push((block, row, kind.code));
    }
    assert_eq!(codes(rejects), expected, "{what}: {rejects:?}");
    for reject in rejects {
        assert!(reject.reason.contains(kind.says), "{what}: {reject:?}");
    }
}

#[tokio::test]
async fn every_kind_in_every_mode() {
    let Some(database) = prepared("every_kind_in_every_mode").await else { return };
    let mut found = 0;
    let [staged, arrays] = both_ways();
    let mut writers =
        [Writer::with(&database, "0", staged).await, Writer::with(&database, "1", arrays).await];
    for kind in kinds() {
        let columns = [("id", Type::Int8), ("v", kind.kind)];
        for mode in [Mode::Append, Mode::Upsert, Mode::Replace, Mode::Ignore] {
            for (way, writer) in writers.iter_mut().enumerate() {
                if matches!((mode, way), (Mode::Append | Mode::Ignore, 1) | (Mode::Replace, 0)) {
                    continue;
                }
                let table = format!("{}_{mode:?}_{way}", kind.name).to_lowercase();
                make(&database, &kind, &table).await;
                let sizes = [7, 1, 30, 2];
                let bad = [0, 7, 20, 21, 39];
                let blocks = rows(&kind, &sizes, &bad);
                let blocks = blocks.iter().map(|rows| block(&schema(&columns), rows)).collect();
                let of = batch(destination(&table, mode, &["id"]), blocks);
                let rejects = writer.apply(&of).await.unwrap();
                check(&kind, &rejects, &sizes, &bad, &table);
                if mode == Mode::Append {
                    for reject in &rejects {
                        assert!(
                            kind.column.is_none() || reject.column.as_deref() == kind.column,
                            "{table}: {reject:?}"
                        );
                    }
                }
                let order = if mode == Mode::Append { "ctid" } else { "id" };
                let ids = database
                    .value(&format!(
                        "SELECT string_agg(id::text, ',' ORDER BY {order}) FROM {table} WHERE id >= 0"
                    ))
                    .await;
                let expected: Vec<_> =
                    (0..40).filter(|id| !bad.contains(id)).map(|id| id.to_string()).collect();
                assert_eq!(ids, expected.join(","), "{table}");
                found += bad.len();
            }
        }
    }
    println!("{found} bad rows found");
    database.end().await;
}

/// One, none, the first, the last, all, every other.
#[tokio::test]
async fn wherever_they_are() {
    let Some(database) = prepared("wherever_they_are").await else { return };
    let all = kinds();
    let mut writer = Writer::with(&database, "s", both_ways()[0].clone()).await;
    for name in ["check", "after"] {
        let kind = all.iter().find(|kind| kind.name == name).unwrap();
        let columns = [("id", Type::Int8), ("v", kind.kind)];
        let places: [(&str, Vec<u32>); 6] = [
            ("none", vec![]),
            ("first", vec![0]),
            ("last", vec![59]),
            ("all", (0..60).collect()),
            ("every other", (0..60).step_by(2).collect()),
            ("few", vec![3, 19, 20, 57]),
        ];
        for (place, bad) in places {
            for mode in [Mode::Append, Mode::Upsert] {
                let table = format!("{name}_{mode:?}_{}", place.replace(' ', "")).to_lowercase();
                make(&database, kind, &table).await;
                let of = rows(kind, &[20, 40], &bad);
                let blocks = of.iter().map(|rows| block(&schema(&columns), rows)).collect();
                let of = batch(destination(&table, mode, &["id"]), blocks);
                check(kind, &writer.apply(&of).await.unwrap(), &[20, 40], &bad, &table);
                let found = database.value(&format!("SELECT count(*) FROM {table}")).await;
                assert_eq!(found, (60 - bad.len()).to_string(), "{table}");
            }
        }
    }
    database.end().await;
}

/// Within the batch and against the table, in blocks of several schemas.
#[tokio::test]
async fn keys_that_are_there_already() {
    let Some(database) = Database::new("keys_that_are_there_already").await else { return };
    database
        .run("CREATE TABLE t (id int8 PRIMARY KEY, v text, w int4 DEFAULT 7); INSERT INTO t VALUES (5)")
        .await;
    let mut writer = Writer::new(&database, "s").await;
    let one = schema(&[("id", Type::Int8), ("v", Type::Text)]);
    let two = schema(&[("w", Type::Int2), ("id", Type::Int4)]);
    let first = |id| vec![Value::Int8(id), text("a")];
    let second = |id| vec![Value::Int2(9), Value::Int4(id)];
    let blocks = vec![
        block(&one, &[first(1), first(5), first(2)]),
        block(&one, &[first(1), first(3)]),
        block(&two, &[second(3), second(4), second(5), second(6)]),
        block(&one, &[first(6), first(7)]),
    ];
    let rejects = writer.apply(&batch(destination("t", Mode::Append, &[]), blocks)).await.unwrap();
    let expected = [(0, 1), (1, 0), (2, 0), (2, 2), (3, 0)].map(|(block, row)| (block, row, "23505"));
    assert_eq!(codes(&rejects), expected);
    assert!(rejects[0].reason.contains("(id)=(5)"), "{:?}", rejects[0]);
    let ids = "SELECT string_agg(id::text || coalesce(v, '') || w, ',' ORDER BY ctid) FROM t";
    assert_eq!(database.value(ids).await, "57,1a7,2a7,3a7,49,69,7a7");
    database.end().await;
}

/// A trigger that returns NULL leaves a row out, as its owner wants: that is no error, and nothing is named.
#[tokio::test]
async fn a_trigger_that_skips_rows() {
    let Some(database) = Database::new("a_trigger_that_skips_rows").await else { return };
    database
        .run(
            "CREATE TABLE t (id int8, v text); CREATE TABLE odd (id int8, v text);
             CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF NEW.id % 2 = 1 THEN INSERT INTO odd VALUES (NEW.*); RETURN NULL; END IF; RETURN NEW; END $$;
             CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
        )
        .await;
    let mut writer = Writer::new(&database, "s").await;
    let rows: Vec<_> = (0..10).map(|id| vec![Value::Int8(id), text("x")]).collect();
    let rejects = writer.apply(&append("t", &[("id", Type::Int8), ("v", Type::Text)], &rows)).await.unwrap();
    assert_eq!(rejects, []);
    assert_eq!(
        database.value("SELECT (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM odd)").await,
        "5 5"
    );
    database.end().await;
}

/// Rows beyond what a page or an index holds.
#[tokio::test]
async fn rows_that_are_too_big() {
    let Some(database) = Database::new("rows_that_are_too_big").await else { return };
    let wide: Vec<String> = (0..900).map(|number| format!("c{number} text")).collect();
    database
        .run(&format!(
            "CREATE TABLE wide ({}); CREATE TABLE keyed (k text PRIMARY KEY, n name)",
            wide.join(", ")
        ))
        .await;
    database.run("ALTER TABLE keyed ALTER k SET STORAGE EXTERNAL").await;
    let names: Vec<String> = (0..900).map(|number| format!("c{number}")).collect();
    let columns: Vec<_> = names.iter().map(|name| (name.as_str(), Type::Text)).collect();
    let short: Vec<_> = (0..900).map(|_| text("x")).collect();
    // 17 bytes of pointer for each of 900 values that lie outside of the row.
    let long: Vec<_> = (0..900).map(|_| Value::text("y".repeat(3000))).collect();
    let mut writer = Writer::new(&database, "s").await;
    let rows = [short.clone(), long, short];
    assert_eq!(codes(&writer.apply(&append("wide", &columns, &rows)).await.unwrap()), [(0, 1, "54000")]);
    let columns = [("k", Type::Text), ("n", Type::Text)];
    let key = |length: usize, name: usize| {
        let noise: String = (0..length).map(|at| char::from(b'a' + (at * at % 23) as u8)).collect();
        vec![Value::text(noise), Value::text("n".repeat(name))]
    };
    let rows = [key(1, 63), key(9000, 1), key(2, 64), key(3, 1)];
    let expected = [(0, 1, "54000"), (0, 2, "42622")];
    assert_eq!(codes(&writer.apply(&append("keyed", &columns, &rows)).await.unwrap()), expected);
    let merged = merge("keyed", Mode::Upsert, &["k"], &columns, &rows[1..2]);
    assert_eq!(codes(&writer.apply(&merged).await.unwrap()), [(0, 0, "54000")]);
    assert_eq!(database.value("SELECT count(*) FROM keyed").await, "2");
    database.end().await;
}

/// A database that holds no UTF-8: what it has no letter for is a bad row.
#[tokio::test]
async fn letters_that_the_server_lacks() {
    let Some(database) = Database::new("letters_that_the_server_lacks").await else { return };
    let latin = format!("{}_latin", database.name);
    database
        .run(&format!(
            "CREATE DATABASE {latin} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        ))
        .await;
    let url = crate::server::in_database(&database.url, &latin);
    let target =
        standpipe_postgres::Postgres::connect(&url.parse().unwrap(), both_ways()[1].clone()).await.unwrap();
    let columns = [("id", Type::Int8), ("v", Type::Text)];
    use standpipe_core::Target;
    let name = standpipe_core::TableName::new("t");
    target.create(&name, &Arc::clone(&schema(&columns)), &["id".to_owned()]).await.unwrap();
    let mut writer = Writer::on(target, "s").await;
    let rows = |first: i64| {
        let letters = ["é", "\u{1f6b0}", "a"];
        (first..).zip(letters).map(|(id, v)| vec![Value::Int8(id), text(v)]).collect::<Vec<_>>()
    };
    let rejects = writer.apply(&append("t", &columns, &rows(0))).await.unwrap();
    assert_eq!(codes(&rejects), [(0, 1, "22P05")]);
    let rejects = writer.apply(&merge("t", Mode::Upsert, &["id"], &columns, &rows(10))).await.unwrap();
    assert_eq!(codes(&rejects), [(0, 1, "22P05")]);
    let there = database_of(&url, "SELECT count(*) || ' ' || sum(id) FROM t").await;
    assert_eq!(there, "4 24", "0 and 2, 10 and 12");
    writer.target.close().await.unwrap();
    database.run(&format!("DROP DATABASE {latin} WITH (FORCE)")).await;
    database.end().await;
}

async fn database_of(url: &str, query: &str) -> String {
    use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query(AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap().get(0)
}
