//! Merges whose rows come in any order and of any length.

use std::collections::BTreeMap;

use standpipe_core::{Mode, Type};
use standpipe_postgres::Settings;
use standpipe_testkit::target::Value;

use crate::{
    merges::{COLUMNS, row, shown},
    proxy::Proxy,
    server::Database,
    world::{Writer, both_ways, merge, text},
};

/// In order, in none, and twice, with bad rows among them: what is known of the keys beforehand changes nothing.
#[tokio::test]
async fn keys_however_they_lie() {
    let Some(database) = Database::new("keys_however_they_lie").await else { return };
    const ROWS: i32 = 300;
    let key_of = |lie: &str, n: i32| match lie {
        "ascending" => n,
        "descending" => ROWS - 1 - n,
        "shuffled" => n * 7 % ROWS,
        _ => n / 2,
    };
    for (way, settings) in both_ways().into_iter().enumerate() {
        for name in ["ascending", "descending", "shuffled", "twice"] {
            for (mode, with_bad) in
                [Mode::Upsert, Mode::Replace, Mode::Ignore].into_iter().zip([true, false, true])
            {
                let table = format!("t{way}_{name}_{mode:?}").to_lowercase();
                database
                    .run(&format!(
                        "CREATE TABLE {table} (a int4, b text, v int4 CHECK (v <> -1), PRIMARY KEY (a, b));
                         INSERT INTO {table} SELECT n, 'k', -2 FROM generate_series(0, {}, 3) n",
                        ROWS - 1
                    ))
                    .await;
                let mut writer = Writer::with(&database, &table, settings.clone()).await;
                let is_bad = |n: i32| with_bad && (n == 17 || n == ROWS - 1);
                let rows: Vec<_> =
                    (0..ROWS).map(|n| row(key_of(name, n), "k", if is_bad(n) { -1 } else { n })).collect();
                let rejects = writer.apply(&merge(&table, mode, &["a", "b"], COLUMNS, &rows)).await.unwrap();
                let mut expected: BTreeMap<i32, i32> = (0..ROWS).step_by(3).map(|key| (key, -2)).collect();
                for n in (0..ROWS).filter(|n| !is_bad(*n)) {
                    let key = key_of(name, n);
                    if mode != Mode::Ignore || !expected.contains_key(&key) {
                        expected.insert(key, n);
                    }
                }
                assert_eq!(rejects.len(), if with_bad { 2 } else { 0 }, "{table}");
                let found = shown(&database, &format!("SELECT a, v FROM {table} ORDER BY a")).await;
                let expected: Vec<_> = expected.iter().map(|(key, v)| format!("{key} {v}")).collect();
                assert_eq!(found, expected, "{table}");
            }
        }
    }
    database.end().await;
}

/// Rows of very different lengths do not lie in the temporary table as they came: a short one fits where a long one did not.
#[tokio::test]
async fn rows_stay_in_order_whatever_their_lengths() {
    let Some(database) = Database::new("rows_stay_in_order_whatever_their_lengths").await else { return };
    let long = "x".repeat(1500);
    let columns = [("a", Type::Int4), ("b", Type::Text)];
    for (mode, stays) in [(Mode::Upsert, "new"), (Mode::Replace, "new"), (Mode::Ignore, "old")] {
        let table = format!("t_{mode:?}").to_lowercase();
        database.run(&format!("CREATE TABLE {table} (a int4 PRIMARY KEY, b text CHECK (b <> 'bad'))")).await;
        let mut writer = Writer::with(&database, &table, both_ways()[0].clone()).await;
        for round in 0..4 {
            let first = round * 1000;
            // Fifty long ones, and then the same keys again, ten times.
            let places = (0..1000).map(|n| (n % 100 >= 50, first + n / 100 * 50 + n % 50));
            let value = |is_new| if is_new { text("new") } else { text(&format!("old {long}")) };
            let rows: Vec<_> = places.map(|(is_new, key)| vec![Value::Int4(key), value(is_new)]).collect();
            let of = merge(&table, mode, &["a"], &columns, &rows);
            assert_eq!(writer.apply(&of).await.unwrap(), [], "{table}");
        }
        let others = format!(
            "SELECT count(*) FILTER (WHERE b NOT LIKE '{stays}%') || ' of ' || count(*) FROM {table}"
        );
        assert_eq!(database.value(&others).await, "0 of 2000", "{table}");
        // And a bad row is the one that is called so.
        let rows: Vec<_> = (0..1000)
            .map(|n| {
                let value = if n % 100 < 50 { text(&format!("{n} {long}")) } else { text(&n.to_string()) };
                vec![Value::Int4(10_000 + n), if n % 250 == 99 { text("bad") } else { value }]
            })
            .collect();
        let rejects = writer.apply(&merge(&table, mode, &["a"], &columns, &rows)).await.unwrap();
        let bad: Vec<u32> = rejects.iter().map(|reject| reject.row).collect();
        assert_eq!(bad, [99, 349, 599, 849], "{table}");
        let there = format!(
            "SELECT count(*) FROM {table} WHERE a >= 10000 AND split_part(b, ' ', 1) = (a - 10000)::text"
        );
        assert_eq!(database.value(&there).await, "996", "{table}");
    }
    database.end().await;
}

/// Within a statement a backslash would be four: few rows of many bytes go another way.
#[tokio::test]
async fn few_rows_of_many_bytes_do_not_grow_on_their_way() {
    let Some(database) = Database::new("few_rows_of_many_bytes_do_not_grow_on_their_way").await else {
        return;
    };
    database.run("CREATE TABLE t (a int4 PRIMARY KEY, b text)").await;
    let proxy = Proxy::new(&database).await;
    let mut writer = Writer::on(proxy.open(Settings::default()), "s").await;
    let value = "\\".repeat(1 << 20);
    let rows: Vec<_> = (0..4).map(|a| vec![Value::Int4(a), text(&value)]).collect();
    let of = merge("t", Mode::Upsert, &["a"], &[("a", Type::Int4), ("b", Type::Text)], &rows);
    let before = proxy.bytes();
    assert_eq!(writer.apply(&of).await.unwrap(), []);
    let (sent, given) = (proxy.bytes() - before, 4 * value.len() as u64);
    assert!(sent < given * 5 / 4, "{sent} bytes for {given}");
    assert_eq!(database.value("SELECT count(*) FROM t WHERE b = repeat('\\', 1 << 20)").await, "4");
    drop(writer);
    database.end().await;
}
