//! Futures that are dropped wherever they wait.

use std::{future::Future, pin::Pin, task::Poll, time::Duration};

use standpipe_core::{Mode, Target, Type};
use standpipe_testkit::target::Value;

use crate::{
    server::Database,
    world::{Writer, both_ways, merge, request, text, to},
};

/// Polls until it has waited so often; says whether it came to its end.
async fn polled<F: Future>(mut future: Pin<&mut F>, waits: usize) -> bool {
    let mut left = waits;
    std::future::poll_fn(|context| {
        if future.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        Poll::Pending
    })
    .await
}

/// Write, advance and claim are dropped at each of their waits: nothing stays locked, nothing is committed.
#[tokio::test]
async fn nothing_is_left_of_what_was_dropped() {
    let Some(database) = Database::new("nothing_is_left_of_what_was_dropped").await else { return };
    database.run("CREATE TABLE t (id int8 PRIMARY KEY, v varchar(5))").await;
    let columns = [("id", Type::Int8), ("v", Type::Text)];
    let rows: Vec<_> =
        (0..50).map(|id| vec![Value::Int8(id), text(if id % 20 == 7 { "too long" } else { "x" })]).collect();
    let mut dropped = 0;
    for (way, settings) in both_ways().into_iter().enumerate() {
        for mode in [Mode::Append, Mode::Upsert] {
            let stream = format!("{way}{mode:?}");
            let mut writer = Writer::with(&database, &stream, settings.clone()).await;
            let of = merge("t", mode, &["id"], &columns, &rows);
            for waits in 0.. {
                let mut branch = writer.begin().await.unwrap();
                let is_done = polled(std::pin::pin!(branch.write(&of)), waits).await;
                if !is_done {
                    let error = branch.write(&of).await.unwrap_err();
                    assert!(error.to_string().contains("dropped"), "{error}");
                }
                drop(branch);
                unlocked(&database).await;
                dropped += 1;
                if is_done {
                    break;
                }
            }
            for waits in 0.. {
                let mut branch = writer.begin().await.unwrap();
                let is_done = polled(std::pin::pin!(branch.advance(&writer.claim, &to(2))), waits).await;
                drop(branch);
                unlocked(&database).await;
                dropped += 1;
                if is_done {
                    break;
                }
            }
            for waits in 0.. {
                let is_done = {
                    let request = request(&stream);
                    let claim = std::pin::pin!(writer.target.claim(&request));
                    polled(claim, waits).await
                };
                unlocked(&database).await;
                dropped += 1;
                if is_done {
                    break;
                }
            }
            writer.claim = writer.target.claim(&request(&stream)).await.unwrap().remove(0);
            assert_eq!(database.value("SELECT count(*) FROM t").await, "0");
            assert_eq!(writer.apply(&of).await.unwrap().len(), 3);
            database.run("TRUNCATE t").await;
        }
    }
    println!("{dropped} futures dropped");
    database.end().await;
}

/// Until nobody holds a lock on the table or the ledger; a server that never lets go fails the test.
async fn unlocked(database: &Database) {
    let mut connection = database.connection().await;
    let wait = "SET lock_timeout = '8s'; BEGIN; LOCK TABLE t, standpipe_ledger; COMMIT";
    tokio::time::timeout(Duration::from_secs(20), crate::server::run(&mut connection, wait)).await.unwrap();
}
