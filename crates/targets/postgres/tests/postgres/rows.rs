//! Rows of `docs/known-failures.md`, each as a check that says what it found: `Err` when the failure is there. S7 is in `locks`.

use standpipe_core::{ErrorKind, Mode, Resolution, Target, Type};
use standpipe_postgres::Settings;
use standpipe_testkit::target::Value;

use crate::{
    proxy::{Proxy, Rule},
    server::Database,
    world::{Writer, append, both_ways, codes, merge, to},
};

/// What a check says.
pub(crate) type Checked = Result<String, String>;

const COLUMNS: &[(&str, Type)] = &[("id", Type::Int8), ("v", Type::Int8)];

fn row(id: i64, v: i64) -> Vec<Value> {
    vec![Value::Int8(id), Value::Int8(v)]
}

fn told<T>(outcome: Result<T, standpipe_core::Error>) -> Result<T, String> {
    outcome.map_err(|error| error.to_string())
}

/// S1: one bad row is named, and all the others are in the table.
pub(crate) async fn s1_one_bad_row(database: &Database) -> Checked {
    database
        .run("DROP TABLE IF EXISTS s1; CREATE TABLE s1 (id int8 PRIMARY KEY, v int8 CHECK (v > 0))")
        .await;
    let mut writer = Writer::new(database, "s1").await;
    let rows: Vec<_> = (0..1000).map(|id| row(id, if id == 777 { -1 } else { 1 })).collect();
    let rejects = told(writer.apply(&append("s1", COLUMNS, &rows)).await)?;
    let count = database.value("SELECT count(*) FROM s1").await;
    match (&codes(&rejects)[..], count.as_str()) {
        ([(0, 777, "23514")], "999") => Ok("1 bad row named, 999 in the table".to_owned()),
        other => Err(format!("{other:?}")),
    }
}

/// S2: where the position moved, each row is in the table or was named, also when the connection is lost in between.
pub(crate) async fn s2_every_row_is_somewhere(database: &Database) -> Checked {
    database
        .run("DROP TABLE IF EXISTS s2; CREATE TABLE s2 (id int8 PRIMARY KEY, v int8 CHECK (v > 0))")
        .await;
    let proxy = Proxy::new(database).await;
    let mut writer = Writer::on(proxy.open(Settings::default()), "s2").await;
    let (mut given, mut named) = (0, 0);
    for round in 0..20_i64 {
        let rows: Vec<_> = (0..50).map(|id| row(round * 50 + id, (id + round) % 10)).collect();
        let of = append("s2", COLUMNS, &rows);
        proxy.set(if round % 4 == 3 { Rule::CutAfter(300 * round as u64) } else { Rule::Pass });
        given += rows.len();
        loop {
            match writer.apply(&of).await {
                Ok(rejects) => break named += rejects.len(),
                Err(error) if error.kind() == ErrorKind::Retry => {}
                Err(error) if error.kind() == ErrorKind::InDoubt => {
                    return Err("this check has no answer for a cut commit".to_owned());
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }
    let count: usize = database.value("SELECT count(*) FROM s2").await.parse().unwrap();
    if count + named != given {
        return Err(format!("{given} rows given, {count} in the table, {named} named"));
    }
    Ok(format!("{given} rows = {count} in the table + {named} named, {} cuts", proxy.cuts()))
}

/// S3: a key that comes twice in a batch is no error, and costs no further trips.
pub(crate) async fn s3_a_key_twice_in_a_batch(database: &Database) -> Checked {
    let proxy = Proxy::new(database).await;
    for settings in both_ways() {
        database.run("DROP TABLE IF EXISTS s3; CREATE TABLE s3 (id int8 PRIMARY KEY, v int8)").await;
        let mut writer = Writer::on(proxy.open(settings), &format!("s3{}", proxy.trips())).await;
        let rows: Vec<_> = (0..500).map(|v| row(v % 100, v)).collect();
        let of = merge("s3", Mode::Upsert, &["id"], COLUMNS, &rows);
        told(writer.apply(&of).await)?;
        let before = proxy.trips();
        let rejects = told(writer.apply(&of).await)?;
        let trips = proxy.trips() - before;
        let found = database.value("SELECT count(*) || ' ' || min(v) || ' ' || max(v) FROM s3").await;
        if !rejects.is_empty() || found != "100 400 499" || trips > 8 {
            return Err(format!("{} rejects, {found}, {trips} trips", rejects.len()));
        }
    }
    Ok("each key 5 times in a batch: the last one stays, at most 8 trips".to_owned())
}

/// S4: with a second unique index rows have their turn in order, and never change another key's row.
pub(crate) async fn s4_a_second_unique_index(database: &Database) -> Checked {
    for settings in both_ways() {
        database
            .run("DROP TABLE IF EXISTS s4; CREATE TABLE s4 (id int8 PRIMARY KEY, v int8 UNIQUE); INSERT INTO s4 VALUES (2, 20)")
            .await;
        let mut writer = Writer::with(database, &format!("s4_{}", settings.unnest_rows_max), settings).await;
        // When 5 has its turn its v is taken; later 2 makes room, and 3 gets what it had.
        let rows = [row(5, 20), row(2, 30), row(3, 20), row(9, 30)];
        let of = merge("s4", Mode::Upsert, &["id"], COLUMNS, &rows);
        let rejects = told(writer.apply(&of).await)?;
        let rows = database.value("SELECT string_agg(id || ':' || v, ' ' ORDER BY id) FROM s4").await;
        if codes(&rejects) != [(0, 0, "23505"), (0, 3, "23505")] || rows != "2:30 3:20" {
            return Err(format!("{rejects:?}, {rows}"));
        }
    }
    Ok("in order, and the two rows whose second key was taken are named".to_owned())
}

/// S8: a connection lost at COMMIT is in doubt, and the ledger says how it ended.
pub(crate) async fn s8_lost_at_commit(database: &Database) -> Checked {
    database.run("DROP TABLE IF EXISTS s8; CREATE TABLE s8 (id int8 PRIMARY KEY, v int8)").await;
    let proxy = Proxy::new(database).await;
    let mut writer = Writer::on(proxy.open(Settings::default()), "s8").await;
    for (rule, expected) in [
        (Rule::CutBefore("COMMIT"), Resolution::NotCommitted),
        (Rule::CutBehind("COMMIT"), Resolution::Committed),
    ] {
        let mut branch = told(writer.begin().await)?;
        told(branch.write(&append("s8", COLUMNS, &[row(writer.claim.position as i64, 1)])).await)?;
        let position = writer.claim.position + 1;
        told(branch.advance(&writer.claim, &to(position)).await)?;
        proxy.set(rule.clone());
        match branch.commit().await {
            Err(error) if error.kind() == ErrorKind::InDoubt => {}
            other => return Err(format!("{rule:?}: {other:?}")),
        }
        let resolved = told(writer.target.resolve(&[(writer.claim.clone(), position)]).await)?;
        if resolved != expected {
            return Err(format!("{rule:?}: {resolved:?}"));
        }
        if expected == Resolution::Committed {
            writer.claim.position = position;
        }
    }
    Ok("in doubt, and resolved".to_owned())
}

/// No row of its own: a column that was retyped to one as wide.
pub(crate) async fn retyped_as_wide(database: &Database) -> Checked {
    database.run("DROP TABLE IF EXISTS wide; CREATE TABLE wide (id int8, v int8)").await;
    let mut writer = Writer::new(database, "wide").await;
    told(writer.apply(&append("wide", COLUMNS, &[row(1, 1)])).await)?;
    database.run("ALTER TABLE wide ALTER v TYPE float8").await;
    let rejects = told(writer.persist(&append("wide", COLUMNS, &[row(2, 2)])).await)?;
    let v = database.value("SELECT v FROM wide WHERE id = 2").await;
    if v == "2" && rejects.is_empty() { Ok("noticed".to_owned()) } else { Err(format!("2 became {v}")) }
}

macro_rules! as_tests {
    ($($name:ident: $check:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            let Some(database) = Database::new(stringify!($name)).await else { return };
            println!("{}", $check(&database).await.unwrap());
            database.end().await;
        })*
    };
}

as_tests! {
    a_column_that_was_retyped_to_one_as_wide_is_noticed: retyped_as_wide;
    s1_one_bad_row_does_not_fail_its_batch: s1_one_bad_row;
    s2_no_position_moves_without_its_rows: s2_every_row_is_somewhere;
    s3_a_key_twice_in_a_batch_is_reduced: s3_a_key_twice_in_a_batch;
    s4_a_second_unique_index_is_respected: s4_a_second_unique_index;
    s8_a_commit_that_is_lost_is_in_doubt: s8_lost_at_commit;
}
