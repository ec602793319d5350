//! Connections that are lost, and servers that hang.

use std::time::Duration;

use standpipe_core::{Batch, ErrorKind, Mode, Resolution, Target, Type};
use standpipe_postgres::Settings;
use standpipe_testkit::target::Value;

use crate::{
    proxy::{Proxy, Rule},
    server::Database,
    world::{Writer, append, both_ways, merge, text, to},
};

const COLUMNS: &[(&str, Type)] = &[("id", Type::Int8), ("v", Type::Text)];

fn rows(first: i64, count: i64) -> Vec<Vec<Value>> {
    (first..first + count).map(|id| vec![Value::Int8(id), text("some text")]).collect()
}

async fn ledger(database: &Database) -> String {
    database.value("SELECT position FROM standpipe_ledger").await
}

async fn count(database: &Database) -> String {
    database.value("SELECT count(*) FROM t").await
}

/// Row S8: the connection is cut at COMMIT, before or after the server heard it: in doubt, and the ledger tells.
#[tokio::test]
async fn s8_cut_at_commit_is_in_doubt() {
    let Some(database) = Database::new("s8_cut_at_commit_is_in_doubt").await else { return };
    database.run("CREATE TABLE t (id int8 PRIMARY KEY, v text)").await;
    let proxy = Proxy::new(&database).await;
    let mut writer = Writer::on(proxy.open(Settings::default()), "s").await;
    let mut committed = 0;
    for round in 0..20 {
        let was_heard = round % 2 == 1;
        let mut branch = writer.begin().await.unwrap();
        assert_eq!(branch.write(&append("t", COLUMNS, &rows(round * 3, 3))).await.unwrap(), []);
        let position = writer.claim.position + 1;
        branch.advance(&writer.claim, &to(position)).await.unwrap();
        proxy.set(if was_heard { Rule::CutBehind("COMMIT") } else { Rule::CutBefore("COMMIT") });
        let error = branch.commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InDoubt, "{error}");
        let resolved = writer.target.resolve(&[(writer.claim.clone(), position)]).await.unwrap();
        if was_heard {
            assert_eq!(resolved, Resolution::Committed);
            writer.claim.position = position;
            committed += 3;
        } else {
            assert_eq!(resolved, Resolution::NotCommitted);
        }
        assert_eq!(count(&database).await, committed.to_string());
        assert_eq!(ledger(&database).await, writer.claim.position.to_string());
    }
    assert_eq!(proxy.cuts(), 20);
    database.end().await;
}

/// A trigger that says much for each row: while rows are sent, what is said is read, or both would wait for the other.
#[tokio::test]
async fn a_server_with_much_to_say_is_listened_to() {
    let Some(database) = Database::new("a_server_with_much_to_say_is_listened_to").await else { return };
    database
        .run(
            "CREATE TABLE t (id int8 PRIMARY KEY, v text);
             CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN RAISE NOTICE '%', repeat('x', 1000); RETURN NEW; END $$;
             CREATE TRIGGER tell BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tell()",
        )
        .await;
    let settings = Settings { answer_timeout: Duration::from_secs(30), ..Settings::default() };
    let mut writer = Writer::with(&database, "s", settings).await;
    let value = text(&"v".repeat(1000));
    let rows: Vec<_> = (0..20_000).map(|id| vec![Value::Int8(id), value.clone()]).collect();
    assert_eq!(writer.apply(&append("t", COLUMNS, &rows)).await.unwrap(), []);
    assert_eq!(count(&database).await, "20000");
    database.end().await;
}

/// A connection that the server ended while nobody used it is replaced, whatever it ended it with.
#[tokio::test]
async fn an_idle_connection_that_was_ended_is_replaced() {
    let Some(database) = Database::new("an_idle_connection_that_was_ended_is_replaced").await else { return };
    database.run("CREATE TABLE t (id int8 PRIMARY KEY, v text)").await;
    let mut writer = Writer::new(&database, "s").await;
    for round in 0..3 {
        assert_eq!(writer.apply(&append("t", COLUMNS, &rows(round * 3, 3))).await.unwrap(), []);
        database
            .run("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()")
            .await;
    }
    assert_eq!(count(&database).await, "9");
    database.end().await;
}

/// The connection is cut behind any byte: nothing is half done, and the same rows go in afterwards, once.
#[tokio::test]
async fn cut_behind_any_byte() {
    let Some(database) = Database::new("cut_behind_any_byte").await else { return };
    database.run("CREATE TABLE t (id int8 PRIMARY KEY, v text)").await;
    let proxy = Proxy::new(&database).await;
    for (way, settings) in both_ways().into_iter().enumerate() {
        for mode in [Mode::Append, Mode::Upsert] {
            if way == 1 && mode == Mode::Append {
                continue;
            }
            database.run("TRUNCATE t").await;
            let stream = format!("{way}{mode:?}");
            let mut writer = Writer::on(proxy.open(settings.clone()), &stream).await;
            let of = |first| -> Batch { merge("t", mode, &["id"], COLUMNS, &rows(first, 5)) };
            assert_eq!(writer.apply(&of(0)).await.unwrap(), []);
            proxy.set(Rule::Pass);
            assert_eq!(writer.apply(&of(5)).await.unwrap(), []);
            let bytes = proxy.bytes();
            let mut first = 10;
            let (mut cuts, mut in_doubt) = (0, 0);
            // The commit is the last that is said, and in doubt.
            for cut in (0..bytes).step_by(1 + bytes as usize / 40).chain(bytes - 14..bytes + 20) {
                proxy.set(Rule::CutAfter(cut));
                loop {
                    match writer.apply(&of(first)).await {
                        Ok(rejects) => break assert_eq!(rejects, []),
                        Err(error) if error.kind() == ErrorKind::InDoubt => {
                            cuts += 1;
                            in_doubt += 1;
                            let position = writer.claim.position + 1;
                            let moves = [(writer.claim.clone(), position)];
                            if writer.target.resolve(&moves).await.unwrap() == Resolution::Committed {
                                writer.claim.position = position;
                                break;
                            }
                        }
                        Err(error) => {
                            cuts += 1;
                            assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
                        }
                    }
                }
                first += 5;
            }
            proxy.set(Rule::Pass);
            println!("{mode:?}, way {way}: {cuts} cuts, {in_doubt} in doubt");
            assert!(cuts > 20 && in_doubt > 0);
            assert_eq!(count(&database).await, first.to_string(), "{mode:?}, way {way}");
        }
    }
    database.end().await;
}

/// `pg_terminate_backend` in each step: to be tried again, or in doubt; the next branch is well.
#[tokio::test]
async fn backends_that_are_ended() {
    let Some(database) = Database::new("backends_that_are_ended").await else { return };
    database.run("CREATE TABLE t (id int8 PRIMARY KEY, v text)").await;
    let mut writer = Writer::new(&database, "s").await;
    let end_all = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'standpipe'";
    for step in ["begin", "write", "advance", "commit"] {
        let mut branch = writer.begin().await.unwrap();
        if step == "begin" {
            database.run(end_all).await;
            let error = branch.write(&append("t", COLUMNS, &rows(0, 3))).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
            branch.rollback().await.unwrap();
            continue;
        }
        branch.write(&append("t", COLUMNS, &rows(0, 3))).await.unwrap();
        if step == "write" {
            database.run(end_all).await;
            let error = branch.advance(&writer.claim, &to(2)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
            continue;
        }
        branch.advance(&writer.claim, &to(2)).await.unwrap();
        database.run(end_all).await;
        let error = branch.commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InDoubt, "{error}");
        let moves = [(writer.claim.clone(), 2)];
        let resolved = writer.target.resolve(&moves).await;
        // The pool's other connections were ended too.
        let resolved = if resolved.is_err() { writer.target.resolve(&moves).await } else { resolved };
        assert_eq!(resolved.unwrap(), Resolution::NotCommitted);
    }
    assert_eq!(count(&database).await, "0");
    assert_eq!(writer.persist(&append("t", COLUMNS, &rows(0, 3))).await.unwrap(), []);
    database.end().await;
}

/// A server that says nothing any more is given up after `answer_timeout`.
#[tokio::test]
async fn a_server_that_hangs() {
    let Some(database) = Database::new("a_server_that_hangs").await else { return };
    database.run("CREATE TABLE t (id int8 PRIMARY KEY, v text)").await;
    let proxy = Proxy::new(&database).await;
    let settings = Settings { answer_timeout: Duration::from_millis(300), ..Settings::default() };
    let mut writer = Writer::on(proxy.open(settings), "s").await;
    let of = append("t", COLUMNS, &rows(0, 3));
    let mut branch = writer.begin().await.unwrap();
    proxy.set(Rule::Freeze);
    let error = branch.write(&of).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry);
    assert!(error.to_string().contains("answer_timeout"), "{error}");
    proxy.set(Rule::Pass);
    branch.rollback().await.unwrap();
    let mut branch = writer.begin().await.unwrap();
    branch.write(&of).await.unwrap();
    branch.advance(&writer.claim, &to(2)).await.unwrap();
    proxy.set(Rule::Freeze);
    let error = branch.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InDoubt, "{error}");
    proxy.set(Rule::Pass);
    let mut resolved = writer.target.resolve(&[(writer.claim.clone(), 2)]).await;
    while resolved.as_ref().is_err_and(|error| error.kind() == ErrorKind::Retry) {
        resolved = writer.target.resolve(&[(writer.claim.clone(), 2)]).await;
    }
    let is_in = count(&database).await == "3";
    assert_eq!(resolved.unwrap() == Resolution::Committed, is_in);
    if is_in {
        writer.claim.position = 2;
    }
    assert_eq!(writer.persist(&append("t", COLUMNS, &rows(10, 3))).await.unwrap(), []);
    database.end().await;
}

/// Trips to the server: few for a good batch, and not many more for each bad row.
#[tokio::test]
async fn trips_are_few() {
    let Some(database) = Database::new("trips_are_few").await else { return };
    database.run("CREATE TABLE t (id int8 PRIMARY KEY, v text CHECK (v <> 'bad'))").await;
    let proxy = Proxy::new(&database).await;
    for (mode, settings, good_max, bad_max) in [
        (Mode::Append, both_ways()[0].clone(), 5, 14),
        (Mode::Upsert, both_ways()[0].clone(), 7, 50),
        (Mode::Upsert, both_ways()[1].clone(), 4, 60),
    ] {
        let name = format!("{mode:?}{}", settings.unnest_rows_max);
        let mut writer = Writer::on(proxy.open(settings), &name).await;
        let count = 10_000;
        let trips = |writer: &mut Writer| (proxy.trips(), proxy.bytes(), writer.claim.position);
        let mut first = 0;
        let mut of = |bad: Option<usize>| {
            let mut rows = rows(first, count);
            first += count;
            if let Some(bad) = bad {
                rows[bad][1] = text("bad");
            }
            merge("t", mode, &["id"], COLUMNS, &rows)
        };
        writer.apply(&of(None)).await.unwrap();
        let before = trips(&mut writer);
        assert_eq!(writer.apply(&of(None)).await.unwrap(), []);
        let good = trips(&mut writer);
        assert_eq!(writer.apply(&of(Some(5000))).await.unwrap().len(), 1);
        let bad = trips(&mut writer);
        let (good_trips, bad_trips) = (good.0 - before.0, bad.0 - good.0);
        let (good_bytes, bad_bytes) = (good.1 - before.1, bad.1 - good.1);
        println!(
            "{name}: {good_trips} trips for 10,000 good rows, {bad_trips} with a bad one among them, {:.2} times the bytes",
            bad_bytes as f64 / good_bytes as f64
        );
        assert!(good_trips <= good_max, "{name}: {good_trips}");
        assert!(bad_trips <= bad_max, "{name}: {bad_trips}");
        assert!(bad_bytes <= good_bytes * 7 / 2, "{name}: {bad_bytes} of {good_bytes}");
        database.run("TRUNCATE t").await;
    }
    database.end().await;
}
