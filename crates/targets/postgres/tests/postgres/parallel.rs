//! Many writers at once.

use standpipe_core::{ErrorKind, Mode, Type};
use standpipe_postgres::Settings;
use standpipe_testkit::target::Value;

use crate::{
    server::Database,
    world::{Writer, both_ways, merge},
};

const COLUMNS: &[(&str, Type)] = &[("a", Type::Int8), ("v", Type::Int8)];

/// Row S5: writers of the same keys in opposite orders. None of them is ever told to go back: nothing is dead-locked.
pub(crate) async fn s5_opposite_orders(
    database: &Database,
    mode: Mode,
    settings: Settings,
) -> Result<String, String> {
    let table = format!("t_{mode:?}_{}", settings.unnest_rows_max).to_lowercase();
    database
        .run(&format!("DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (a int8 PRIMARY KEY, v int8)"))
        .await;
    let before = deadlocks(database).await;
    let mut tasks = Vec::new();
    for number in 0..4_i64 {
        let mut writer = Writer::with(database, &format!("{table}_{number}"), settings.clone()).await;
        let table = table.clone();
        tasks.push(tokio::spawn(async move {
            let mut back = 0;
            for round in 0..12 {
                let mut rows: Vec<_> =
                    (0..150).map(|a| vec![Value::Int8(a), Value::Int8(round * 4 + number)]).collect();
                if number % 2 == 1 {
                    rows.reverse();
                }
                let of = merge(&table, mode, &["a"], COLUMNS, &rows);
                loop {
                    match writer.apply(&of).await {
                        Ok(rejects) => break assert_eq!(rejects, []),
                        Err(error) if error.kind() == ErrorKind::Retry => back += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            back
        }));
    }
    let mut back = 0;
    for task in tasks {
        back += task.await.unwrap();
    }
    assert_eq!(database.value(&format!("SELECT count(*) FROM {table}")).await, "150");
    let deadlocks = deadlocks(database).await - before;
    if back + deadlocks > 0 {
        return Err(format!("{mode:?}: {back} batches were sent back, {deadlocks} deadlocks"));
    }
    Ok(format!("{mode:?}: 48 batches of 150 rows, no deadlock"))
}

async fn deadlocks(database: &Database) -> i64 {
    database
        .value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        .await
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_parallel_writers_never_deadlock() {
    let Some(database) = Database::new("s5_parallel_writers_never_deadlock").await else { return };
    for settings in both_ways() {
        for mode in [Mode::Upsert, Mode::Replace, Mode::Ignore] {
            println!("{}", s5_opposite_orders(&database, mode, settings.clone()).await.unwrap());
        }
    }
    database.end().await;
}
