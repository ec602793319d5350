//! Rows that meet others with the same key.

use std::collections::BTreeMap;

use standpipe_core::{Batch, Block, ErrorKind, Mode, Type};
use standpipe_testkit::{
    Random,
    target::{Value, block},
};

use crate::{
    server::Database,
    world::{Writer, batch, both_ways, codes, destination, merge, schema, text},
};

pub(crate) const COLUMNS: &[(&str, Type)] = &[("a", Type::Int4), ("b", Type::Text), ("v", Type::Int4)];

pub(crate) fn row(a: i32, b: &str, v: i32) -> Vec<Value> {
    vec![Value::Int4(a), text(b), Value::Int4(v)]
}

pub(crate) async fn shown(database: &Database, sql: &str) -> Vec<String> {
    let rows = database.rows(sql).await;
    rows.iter()
        .map(|row| row.iter().map(|value| value.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(" "))
        .collect()
}

/// Of a key that comes twice the last row stays; with ignore the first.
#[tokio::test]
async fn keys_twice_in_a_batch() {
    let Some(database) = Database::new("keys_twice_in_a_batch").await else { return };
    for (way, settings) in both_ways().into_iter().enumerate() {
        for (mode, expected) in [
            (Mode::Upsert, ["1 x 3 kept", "1 y 2 new", "2 x 4 new"]),
            (Mode::Replace, ["1 x 3 new", "1 y 2 new", "2 x 4 new"]),
            (Mode::Ignore, ["1 x 0 kept", "1 y 2 new", "2 x 4 new"]),
        ] {
            let table = format!("t{way}_{mode:?}").to_lowercase();
            database
                .run(&format!(
                    "CREATE TABLE {table} (a int4, b text, v int4, w text DEFAULT 'new', PRIMARY KEY (a, b));
                     INSERT INTO {table} VALUES (1, 'x', 0, 'kept')"
                ))
                .await;
            let mut writer = Writer::with(&database, &table, settings.clone()).await;
            let rows = [row(1, "x", 1), row(1, "y", 2), row(1, "x", 3), row(2, "x", 4)];
            let of = merge(&table, mode, &["b", "a"], COLUMNS, &rows);
            assert_eq!(writer.apply(&of).await.unwrap(), []);
            assert_eq!(
                shown(&database, &format!("SELECT a, b, v, w FROM {table} ORDER BY a, b")).await,
                expected,
                "{table}"
            );
        }
    }
    database.end().await;
}

/// Keys that the server takes for the same, whatever their bytes are.
#[tokio::test]
async fn keys_that_are_the_same_for_the_server() {
    let Some(database) = Database::new("keys_that_are_the_same_for_the_server").await else { return };
    database
        .run("CREATE EXTENSION citext; CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
        .await;
    let numeric = |text: &str| Value::Numeric(text.into());
    let cases = [
        ("citext", Type::Text, text("Ab"), text("aB")),
        ("text COLLATE nocase", Type::Text, text("Ab"), text("aB")),
        ("char(4)", Type::Text, text("ab"), text("ab  ")),
        ("numeric", Type::Numeric, numeric("1.0"), numeric("1.00")),
        ("float8", Type::Float8, Value::Float8(0.0), Value::Float8(-0.0)),
        ("jsonb", Type::Json, Value::Json("{\"a\":1}".into()), Value::Json("{ \"a\": 1.0 }".into())),
        ("int4[]", Type::Text, text("{1}"), text("{ 1}")),
        ("text COLLATE nocase", Type::Text, text("aB"), text("Ab")),
        ("pair", Type::Text, text("(1,x)"), text("(1,\"x\")")),
    ];
    database.run("CREATE TYPE pair AS (a int4, b text)").await;
    for (number, (declared, kind, one, other)) in cases.iter().enumerate() {
        for (way, settings) in both_ways().into_iter().enumerate() {
            for (mode, expected) in [(Mode::Upsert, "3"), (Mode::Replace, "3"), (Mode::Ignore, "1")] {
                let table = format!("t{number}_{way}_{mode:?}").to_lowercase();
                database.run(&format!("CREATE TABLE {table} (k {declared} PRIMARY KEY, v int4)")).await;
                let mut writer = Writer::with(&database, &table, settings.clone()).await;
                let rows: Vec<_> =
                    (1..).zip([one, other, one]).map(|(v, key)| vec![key.clone(), Value::Int4(v)]).collect();
                let of = merge(&table, mode, &["k"], &[("k", *kind), ("v", Type::Int4)], &rows);
                assert_eq!(writer.apply(&of).await.unwrap(), [], "{declared}");
                assert_eq!(
                    shown(&database, &format!("SELECT v FROM {table}")).await,
                    [expected],
                    "{declared} {mode:?} {way}"
                );
            }
        }
    }
    database.end().await;
}

#[tokio::test]
async fn a_key_that_is_null() {
    let Some(database) = Database::new("a_key_that_is_null").await else { return };
    let columns = [("a", Type::Int4), ("v", Type::Int4)];
    for (way, settings) in both_ways().into_iter().enumerate() {
        let table = format!("t{way}");
        database.run(&format!("CREATE TABLE {table} (a int4 UNIQUE, v int4)")).await;
        let mut writer = Writer::with(&database, &table, settings).await;
        for mode in [Mode::Upsert, Mode::Replace, Mode::Ignore] {
            let rows = [vec![Value::Null, Value::Int4(1)], vec![Value::Int4(1), Value::Int4(1)]];
            let rejects = writer.apply(&merge(&table, mode, &["a"], &columns, &rows)).await.unwrap();
            assert_eq!((rejects.len(), rejects[0].row, rejects[0].column.as_deref()), (1, 0, Some("a")));
            assert!(rejects[0].reason.contains("key is NULL"));
        }
        assert_eq!(shown(&database, &format!("SELECT a, v FROM {table}")).await, ["1 1"]);
    }
    database.end().await;
}

#[tokio::test]
async fn keys_that_are_none_are_refused_with_what_to_run() {
    let Some(database) = Database::new("keys_that_are_none_are_refused_with_what_to_run").await else {
        return;
    };
    database
        .run(
            "CREATE TABLE t (a int4, b text, v int4); CREATE UNIQUE INDEX ON t (a) WHERE v > 0; CREATE UNIQUE INDEX ON t (lower(b));
             ALTER TABLE t ADD UNIQUE (v) DEFERRABLE; CREATE INDEX ON t (a, b)",
        )
        .await;
    let mut writer = Writer::new(&database, "s").await;
    for key in [&["a"][..], &["b"], &["v"], &["a", "b"]] {
        let error =
            writer.apply(&merge("t", Mode::Upsert, key, COLUMNS, &[row(1, "x", 1)])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let quoted: Vec<String> = key.iter().map(|name| format!("\"{name}\"")).collect();
        let wanted = format!("CREATE UNIQUE INDEX ON \"public\".\"t\" ({})", quoted.join(", "));
        assert!(error.to_string().contains(&wanted), "{error}");
    }
    for (key, says) in [(&[][..], "needs a key"), (&["z"][..], "no column \"z\"")] {
        let error =
            writer.apply(&merge("t", Mode::Replace, key, COLUMNS, &[row(1, "x", 1)])).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    database.end().await;
}

/// A row of the table of the model.
type Row = (Option<i32>, i32, String);

/// Row by row, as the modes are defined: the key is `a`; `u` is unique too; `c` must not be negative.
fn apply_one(
    table: &mut BTreeMap<i32, Row>,
    mode: Mode,
    a: i32,
    u: Option<i32>,
    c: i32,
) -> Result<(), &'static str> {
    let is_there = table.contains_key(&a);
    if c < 0 {
        return Err("23514");
    }
    if is_there && mode == Mode::Ignore {
        return Ok(());
    }
    if is_there && mode == Mode::Append {
        return Err("23505");
    }
    if u.is_some() && table.iter().any(|(key, row)| *key != a && row.0 == u) {
        return Err("23505");
    }
    match table.get_mut(&a) {
        Some(row) if mode == Mode::Upsert => (row.0, row.1) = (u, c),
        _ => {
            table.insert(a, (u, c, "new".to_owned()));
        }
    }
    Ok(())
}

/// Random batches in every mode and by both ways, against a model that takes row by row.
#[tokio::test]
async fn both_ways_against_a_model() {
    let Some(database) = Database::new("both_ways_against_a_model").await else { return };
    let columns = [("u", Type::Int4), ("a", Type::Int4), ("c", Type::Int4)];
    let (mut batches, mut all_rows, mut bad) = (0, 0, 0);
    for seed in 0..8 {
        for (way, settings) in both_ways().into_iter().enumerate() {
            let mut random = Random::new(seed);
            let has_unique = random.chance(4);
            let table = format!("t{seed}_{way}");
            let unique = if has_unique { "UNIQUE" } else { "" };
            database
                .run(&format!("CREATE TABLE {table} (a int4 PRIMARY KEY, u int4 {unique}, c int4 CHECK (c >= 0), w text DEFAULT 'new')"))
                .await;
            let mut model = BTreeMap::new();
            let mut writer = Writer::with(&database, &table, settings).await;
            for _ in 0..6 {
                let mode =
                    [Mode::Append, Mode::Upsert, Mode::Replace, Mode::Ignore][random.below(4) as usize];
                let (keys, unique_max) = (1 + random.below(60), if has_unique { 40 } else { 3 });
                let mut blocks: Vec<Block> = Vec::new();
                let mut expected = Vec::new();
                for number in 0..1 + random.below(3) as usize {
                    let mut rows = Vec::new();
                    for place in 0..1 + random.below(40) as u32 {
                        let u = (!random.chance(2)).then(|| random.below(unique_max) as i32);
                        let (a, c) = (random.below(keys) as i32, random.below(25) as i32 - 1);
                        let value = |value: Option<i32>| value.map_or(Value::Null, Value::Int4);
                        rows.push(vec![value(u), Value::Int4(a), Value::Int4(c)]);
                        let outcome = if has_unique {
                            apply_one(&mut model, mode, a, u, c)
                        } else {
                            apply_plain(&mut model, mode, a, u, c)
                        };
                        if let Err(code) = outcome {
                            expected.push((number, place, code, a));
                        }
                    }
                    all_rows += rows.len();
                    blocks.push(block(&schema(&columns), &rows));
                }
                let of = batch(destination(&table, mode, &["a"]), blocks);
                let rejects = writer.apply(&of).await.unwrap();
                let found = codes(&rejects);
                let what = format!("seed {seed}, way {way}, {mode:?}, unique {has_unique}");
                if has_unique || mode == Mode::Append {
                    let expected: Vec<_> =
                        expected.iter().map(|(block, row, code, _)| (*block, *row, *code)).collect();
                    assert_eq!(found, expected, "{what}");
                } else {
                    // A bad row may never have its turn where a later one of its key takes its place; none else is named.
                    let named: Vec<_> =
                        expected.iter().map(|(block, row, code, _)| (*block, *row, *code)).collect();
                    assert!(found.iter().all(|reject| named.contains(reject)), "{what}: {found:?} {named:?}");
                }
                batches += 1;
                bad += found.len();
                let rows = shown(&database, &format!("SELECT a, u, c, w FROM {table} ORDER BY a")).await;
                let expected: Vec<String> = model
                    .iter()
                    .map(|(a, (u, c, w))| {
                        format!("{a} {} {c} {w}", u.map_or("-".to_owned(), |u| u.to_string()))
                    })
                    .collect();
                assert_eq!(rows, expected, "{what}");
                if random.chance(2) {
                    database.run(&format!("UPDATE {table} SET w = 'kept'")).await;
                    model.values_mut().for_each(|row| row.2 = "kept".to_owned());
                }
            }
        }
    }
    println!("{batches} batches, {all_rows} rows, {bad} of them bad");
    assert!(bad > 50);
    database.end().await;
}

/// Without a second unique index `u` is a column like others.
fn apply_plain(
    table: &mut BTreeMap<i32, Row>,
    mode: Mode,
    a: i32,
    u: Option<i32>,
    c: i32,
) -> Result<(), &'static str> {
    let mut alone = BTreeMap::new();
    if let Some(row) = table.get(&a) {
        alone.insert(a, row.clone());
    }
    let outcome = apply_one(&mut alone, mode, a, u, c);
    table.extend(alone);
    outcome
}

/// Thousands of rows with bad ones among them, through the temporary table: of each key the last good row stays.
#[tokio::test]
async fn order_holds_behind_bad_rows() {
    let Some(database) = Database::new("order_holds_behind_bad_rows").await else { return };
    database.run("CREATE TABLE t (a int4 PRIMARY KEY, b varchar(5), v int4 CHECK (v <> 77))").await;
    let mut writer = Writer::with(&database, "s", both_ways()[0].clone()).await;
    let mut random = Random::new(3);
    for round in 0..4 {
        let mut rows = Vec::new();
        let (mut last, mut bad) = (BTreeMap::new(), 0);
        for v in 0..12_000 {
            let a = random.below(3000) as i32;
            // A text that the stage refuses by itself, wherever.
            if random.below(1500) == 0 {
                rows.push(row(a, "too long", v + 1000));
                bad += 1;
            } else {
                rows.push(row(a, "fits", v + 1000));
                last.insert(a, v + 1000);
            }
        }
        let twice: Vec<Batch> =
            rows.chunks(6000).map(|rows| merge("t", Mode::Upsert, &["a"], COLUMNS, rows)).collect();
        let mut branch = writer.begin().await.unwrap();
        let mut rejects = 0;
        for of in &twice {
            rejects += branch.write(of).await.unwrap().len();
        }
        branch.advance(&writer.claim, &crate::world::to(writer.claim.position + 1)).await.unwrap();
        branch.commit().await.unwrap();
        writer.claim.position += 1;
        assert_eq!(rejects, bad, "round {round}");
        let found: BTreeMap<i32, i32> = database
            .rows("SELECT a, v FROM t")
            .await
            .iter()
            .map(|row| {
                (row[0].as_deref().unwrap().parse().unwrap(), row[1].as_deref().unwrap().parse().unwrap())
            })
            .collect();
        let wrong: Vec<_> = last.iter().filter(|(a, v)| found.get(a) != Some(v)).take(5).collect();
        assert!(wrong.is_empty(), "round {round}: {wrong:?}");
    }
    database.end().await;
}
