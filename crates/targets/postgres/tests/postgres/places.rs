//! Kinds of tables, and names.

use std::sync::Arc;

use standpipe_core::{Column, ErrorKind, Mode, Schema, TableName, Target, Type};
use standpipe_testkit::target::{Value, block};

use crate::{
    server::Database,
    world::{Writer, append, batch, both_ways, codes, destination, merge, schema, text},
};

const COLUMNS: &[(&str, Type)] = &[("id", Type::Int8), ("v", Type::Text)];

fn row(id: i64) -> Vec<Value> {
    vec![Value::Int8(id), text("x")]
}

#[tokio::test]
async fn partitions() {
    let Some(database) = Database::new("partitions").await else { return };
    database
        .run(
            "CREATE TABLE p (id int8 PRIMARY KEY, v text) PARTITION BY RANGE (id);
             CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
             CREATE TABLE p2 (v text, id int8 NOT NULL);
             ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20)",
        )
        .await;
    for (way, settings) in both_ways().into_iter().enumerate() {
        let mut writer = Writer::with(&database, &format!("s{way}"), settings).await;
        for mode in [Mode::Append, Mode::Upsert, Mode::Replace, Mode::Ignore] {
            if mode == Mode::Append {
                database.run("TRUNCATE p").await;
            }
            let rows: Vec<_> = [1, 99, 11, -1, 2].map(row).to_vec();
            let rejects = writer.apply(&merge("p", mode, &["id"], COLUMNS, &rows)).await.unwrap();
            assert_eq!(codes(&rejects), [(0, 1, "23514"), (0, 3, "23514")], "{mode:?} {rejects:?}");
            assert_eq!(database.value("SELECT string_agg(id::text, ',' ORDER BY id) FROM p").await, "1,2,11");
        }
    }
    database.run("CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (30)").await;
    let mut writer = Writer::new(&database, "later").await;
    assert_eq!(writer.apply(&append("p", COLUMNS, &[row(25)])).await.unwrap(), []);
    database.end().await;
}

/// What takes no rows by COPY is refused by its name, with what it is.
#[tokio::test]
async fn views_and_others_are_refused() {
    let Some(database) = Database::new("views_and_others_are_refused").await else { return };
    database
        .run(
            "CREATE TABLE t (id int8, v text);
             CREATE VIEW plain AS SELECT * FROM t;
             CREATE VIEW ruled AS SELECT * FROM t;
             CREATE RULE r AS ON INSERT TO ruled DO INSTEAD INSERT INTO t VALUES (NEW.id, NEW.v);
             CREATE TABLE table_with_rule (id int8, v text);
             CREATE RULE r AS ON INSERT TO table_with_rule DO ALSO DELETE FROM t;
             CREATE MATERIALIZED VIEW stored AS SELECT * FROM t;
             CREATE SEQUENCE counter;
             CREATE TYPE pair AS (id int8, v text);
             CREATE INDEX an_index ON t (id)",
        )
        .await;
    let mut writer = Writer::new(&database, "s").await;
    for (name, what) in [
        ("plain", "is a view"),
        ("ruled", "view with a rule"),
        ("table_with_rule", "rule for INSERT"),
        ("stored", "materialized view"),
        ("counter", "sequence"),
        ("pair", "no table"),
        ("an_index", "no table"),
    ] {
        let error = writer.apply(&append(name, COLUMNS, &[row(1)])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(name) && error.to_string().contains(what), "{error}");
        assert!(writer.target.describe(&TableName::new(name)).await.is_err());
    }
    assert_eq!(database.value("SELECT count(*) FROM t").await, "0");
    database.end().await;
}

/// Another server commits a foreign table's rows by itself: in doubt, they would be there and the ledger would not say so.
#[tokio::test]
async fn foreign_tables() {
    let Some(database) = Database::new("foreign_tables").await else { return };
    let port = database.value("SELECT inet_server_port()").await;
    let (_, secret) = database.url.split_once("://").unwrap();
    let (user, rest) = secret.split_once(':').unwrap();
    let (password, _) = rest.split_once('@').unwrap();
    database
        .run(&format!(
            "CREATE EXTENSION postgres_fdw;
             CREATE TABLE there (id int8 CHECK (id < 100), v text);
             CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{port}', dbname '{}');
             CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (user '{user}', password '{password}');
             CREATE FOREIGN TABLE here (id int8, v text) SERVER s OPTIONS (table_name 'there');
             CREATE TABLE parted (id int8, v text) PARTITION BY RANGE (id);
             CREATE TABLE ours PARTITION OF parted FOR VALUES FROM (0) TO (10);
             CREATE FOREIGN TABLE here_too PARTITION OF parted FOR VALUES FROM (10) TO (20)
               SERVER s OPTIONS (table_name 'there')",
            database.name
        ))
        .await;
    let mut writer = Writer::new(&database, "s").await;
    for (name, what) in
        [("here", "is a foreign table"), ("parted", "partition here_too, which is a foreign table")]
    {
        let error = writer.apply(&append(name, COLUMNS, &[row(1)])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(name) && error.to_string().contains(what), "{error}");
    }
    assert_eq!(database.value("SELECT count(*) FROM there").await, "0");
    drop(writer);
    database.end().await;
}

#[tokio::test]
async fn names_of_every_kind() {
    let Some(database) = Database::new("names_of_every_kind").await else { return };
    let (table, key, value) = ("Tä\"ble, \u{1f6b0}", "the Key", "standpipe row");
    let columns = Schema::new(vec![
        Column::new(key, Type::Int8),
        Column::new(value, Type::Int8),
        Column::new("select", Type::Text),
        Column::new("ROW\"s\"", Type::Text),
        Column::new("s", Type::Text),
        Column::new("excluded", Type::Text),
    ])
    .unwrap();
    for (way, settings) in both_ways().into_iter().enumerate() {
        let name = TableName::new(format!("{table}{way}"));
        let target = database.open_with(settings).await;
        target.create(&name, &columns, &[key.to_owned()]).await.unwrap();
        let mut writer = Writer::on(target, &format!("s{way}")).await;
        for mode in [Mode::Append, Mode::Upsert, Mode::Replace, Mode::Ignore] {
            let rows: Vec<_> = [(1, 5), (2, 6), (1, 7)]
                .map(|(id, v)| {
                    let texts = ["'", "\"", "\\", "\n"].map(text);
                    [vec![Value::Int8(id), Value::Int8(v)], texts.to_vec()].concat()
                })
                .to_vec();
            let to = destination(&name.name, mode, &[key]);
            let of = batch(to, vec![block(&Arc::new(columns.clone()), &rows)]);
            let rejects = writer.apply(&of).await.unwrap();
            let expected: &[(usize, u32, &str)] = if mode == Mode::Append { &[(0, 2, "23505")] } else { &[] };
            assert_eq!(codes(&rejects), expected, "{mode:?}, way {way}");
        }
        let quoted = format!("\"{}\"", name.name.replace('"', "\"\""));
        let rows =
            database.rows(&format!("SELECT \"the Key\", \"standpipe row\" FROM {quoted} ORDER BY 1")).await;
        assert_eq!(rows, [[Some("1".into()), Some("7".into())], [Some("2".into()), Some("6".into())]]);
    }
    database.end().await;
}

/// A table is found where the role's `search_path` has it, and in a schema that is named.
#[tokio::test]
async fn schemas_of_the_search_path() {
    let Some(database) = Database::new("schemas_of_the_search_path").await else { return };
    database
        .run(&format!(
            "CREATE SCHEMA one; CREATE SCHEMA \"Two\";
             CREATE TABLE public.t (id int8, v text); CREATE TABLE one.t (id int8, v text); CREATE TABLE \"Two\".t (id int8, v text);
             ALTER DATABASE {} SET search_path = one, public",
            database.name
        ))
        .await;
    let mut writer = Writer::new(&database, "s").await;
    assert_eq!(writer.apply(&append("t", COLUMNS, &[row(1)])).await.unwrap(), []);
    let mut named = append("t", COLUMNS, &[row(2), row(3)]);
    let table = TableName { schema: Some("Two".into()), name: "t".into() };
    named.destination = Arc::new(standpipe_core::Destination::append(table));
    assert_eq!(writer.apply(&named).await.unwrap(), []);
    let counts = "SELECT (SELECT count(*) FROM public.t) || ' ' || (SELECT count(*) FROM one.t) || ' ' || (SELECT count(*) FROM \"Two\".t)";
    assert_eq!(database.value(counts).await, "0 1 2");
    assert_eq!(
        database.value("SELECT count(*) FROM one.standpipe_ledger").await,
        "1",
        "the ledger is there too"
    );
    database.end().await;
}

/// Two who make the same table or column at once both succeed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn making_at_once() {
    let Some(database) = Database::new("making_at_once").await else { return };
    let (one, two) = (database.open().await, database.open().await);
    for number in 0..25 {
        let table = TableName::new(format!("t{number}"));
        let columns = schema(COLUMNS);
        let key = ["id".to_owned()];
        let (a, b) = tokio::join!(one.create(&table, &columns, &key), two.create(&table, &columns, &key));
        a.unwrap();
        b.unwrap();
        let column = Column::new("New", Type::Numeric);
        let (a, b) = tokio::join!(one.add_column(&table, &column), two.add_column(&table, &column));
        a.unwrap();
        b.unwrap();
        let names = one.describe(&table).await.unwrap().unwrap();
        let names: Vec<_> = names.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["id", "v", "New"]);
    }
    database.end().await;
}
