//! Through PgBouncer in transaction mode: what one transaction says does not hold for the next.

use std::env;

use standpipe_core::{Mode, Type};
use standpipe_postgres::Postgres;
use standpipe_testkit::target::Value;

use crate::{
    conformance::run_all,
    server::{Database, in_database, skipped},
    world::{Writer, both_ways, merge},
};

/// The database's address by way of the pooler.
fn bouncer(database: &Database, test: &str) -> Option<String> {
    match env::var("STANDPIPE_TEST_PGBOUNCER") {
        Ok(url) => Some(in_database(&url, &database.name)),
        Err(_) => {
            skipped(test, "no PgBouncer (STANDPIPE_TEST_PGBOUNCER)");
            None
        }
    }
}

#[tokio::test]
async fn the_target_suite_through_a_pooler() {
    let test = "the_target_suite_through_a_pooler";
    let Some(database) = Database::new(test).await else { return };
    let Some(url) = bouncer(&database, test) else { return database.end().await };
    run_all(&database, &url, &both_ways()).await;
    database.end().await;
}

/// More handles than the pooler has connections of the server, merging by temporary tables that they find or do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_handles_on_few_connections() {
    let test = "many_handles_on_few_connections";
    let Some(database) = Database::new(test).await else { return };
    let Some(url) = bouncer(&database, test) else { return database.end().await };
    database
        .run("CREATE TABLE t0 (id int8 PRIMARY KEY, v int8); CREATE TABLE t1 (id int8 PRIMARY KEY, v int8)")
        .await;
    let columns = [("id", Type::Int8), ("v", Type::Int8)];
    let mut tasks = Vec::new();
    for number in 0..16_i64 {
        let target = Postgres::connect(&url.parse().unwrap(), both_ways()[0].clone()).await.unwrap();
        let mut writer = Writer::on(target, &format!("s{number}")).await;
        tasks.push(tokio::spawn(async move {
            for round in 0..15_i64 {
                let table = format!("t{}", (number + round) % 2);
                let rows: Vec<_> =
                    (0..20).map(|id| vec![Value::Int8(number * 20 + id), Value::Int8(round)]).collect();
                let of = merge(&table, Mode::Upsert, &["id"], &columns, &rows);
                assert_eq!(writer.persist(&of).await.unwrap(), []);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let counts = "SELECT (SELECT count(*) || ' ' || min(v) FROM t0) || ' ' || (SELECT count(*) || ' ' || min(v) FROM t1)";
    assert_eq!(database.value(counts).await, "320 13 320 13");
    database.end().await;
}

/// A type may be dropped although rows were merged into a column of it: no temporary table is left that holds on to it.
#[tokio::test]
async fn nothing_of_a_merge_is_left_behind() {
    let Some(database) = Database::new("nothing_of_a_merge_is_left_behind").await else { return };
    database.run("CREATE TYPE mood AS ENUM ('good'); CREATE TABLE t (id int8 PRIMARY KEY, v mood)").await;
    let mut writer = Writer::with(&database, "s", both_ways()[0].clone()).await;
    let columns = [("id", Type::Int8), ("v", Type::Text)];
    let of = merge("t", Mode::Upsert, &["id"], &columns, &[vec![Value::Int8(1), Value::text("good")]]);
    assert_eq!(writer.apply(&of).await.unwrap(), []);
    database.run("ALTER TABLE t ALTER v TYPE text; DROP TYPE mood").await;
    assert_eq!(writer.persist(&of).await.unwrap(), []);
    database.end().await;
}
