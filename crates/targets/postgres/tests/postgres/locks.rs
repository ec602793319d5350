//! Who holds what is waited for, and who may no longer write.

use std::time::Duration;

use standpipe_core::{Error, ErrorKind, Mode, TableName, Target, Type};
use standpipe_postgres::Settings;
use standpipe_testkit::target::Value;

use crate::{
    server::{Database, run},
    world::{Writer, append, both_ways, merge, request, to},
};

const COLUMNS: &[(&str, Type)] = &[("id", Type::Int8)];

fn row(id: i64) -> Vec<Value> {
    vec![Value::Int8(id)]
}

fn impatient() -> Settings {
    Settings { lock_timeout: Duration::from_millis(200), ..Settings::default() }
}

/// A transaction that hangs with the ledger's row locked is waited for so long, and then named.
#[tokio::test]
async fn a_holder_that_hangs_is_named() {
    let Some(database) = Database::new("a_holder_that_hangs_is_named").await else { return };
    database.run("CREATE TABLE t (id int8)").await;
    let writer = Writer::with(&database, "s", impatient()).await;
    let mut hanging = database.connection().await;
    run(
        &mut hanging,
        "SET application_name = 'the culprit'; BEGIN; SELECT * FROM standpipe_ledger FOR UPDATE",
    )
    .await;
    let pid = database.value("SELECT pid FROM pg_stat_activity WHERE application_name = 'the culprit'").await;
    let mut branch = writer.begin().await.unwrap();
    let advanced = branch.advance(&writer.claim, &to(2)).await.unwrap_err();
    let claimed = writer.target.claim(&request("s")).await.unwrap_err();
    let resolved = writer.target.resolve(&[(writer.claim.clone(), 2)]).await.unwrap_err();
    for error in [advanced, claimed, resolved] {
        assert_eq!((error.kind(), error.code()), (ErrorKind::Retry, Some("55P03")), "{error}");
        let said = error.to_string();
        for part in [
            &format!("pid {pid} "),
            "the culprit",
            "idle in transaction",
            "SELECT * FROM standpipe_ledger FOR UPDATE",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    run(&mut hanging, "ROLLBACK").await;
    drop(branch);
    writer.target.claim(&request("s")).await.unwrap();
    database.end().await;
}

/// Where every connection is taken, the error comes without the name, and at once.
#[tokio::test]
async fn nobody_is_waited_for_to_name_a_holder() {
    let Some(database) = Database::new("nobody_is_waited_for_to_name_a_holder").await else { return };
    let settings = Settings { connections_max: 1, ..impatient() };
    let writer = Writer::with(&database, "s", settings).await;
    let mut hanging = database.connection().await;
    run(&mut hanging, "BEGIN; SELECT * FROM standpipe_ledger FOR UPDATE").await;
    let mut branch = writer.begin().await.unwrap();
    let end = to(2);
    let advance = branch.advance(&writer.claim, &end);
    let error = tokio::time::timeout(Duration::from_secs(15), advance).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Retry, Some("55P03")), "{error}");
    drop(hanging);
    database.end().await;
}

#[tokio::test]
async fn a_prepared_transaction_that_holds_is_named() {
    let Some(database) = Database::new("a_prepared_transaction_that_holds_is_named").await else { return };
    let writer = Writer::with(&database, "s", impatient()).await;
    let xid = format!("{}_forgotten", database.name);
    database
        .run(&format!("BEGIN; UPDATE standpipe_ledger SET owner = 'x'; PREPARE TRANSACTION '{xid}'"))
        .await;
    let error = writer.target.claim(&request("s")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Retry, Some("55P03")), "{error}");
    assert!(error.to_string().contains(&format!("prepared transaction {xid} ")), "{error}");
    assert!(error.to_string().contains("ROLLBACK PREPARED"), "{error}");
    database.run(&format!("ROLLBACK PREPARED '{xid}'")).await;
    writer.target.claim(&request("s")).await.unwrap();
    database.end().await;
}

/// A lock on the table, and DDL that waits: `lock_timeout` holds for all of it.
#[tokio::test]
async fn locks_on_the_table() {
    let Some(database) = Database::new("locks_on_the_table").await else { return };
    database.run("CREATE TABLE t (id int8 PRIMARY KEY)").await;
    let writer = Writer::with(&database, "s", impatient()).await;
    let mut hanging = database.connection().await;
    run(&mut hanging, "SET application_name = 'the culprit'; BEGIN; LOCK TABLE t").await;
    let wait = Duration::from_secs(20);
    for mode in [Mode::Append, Mode::Upsert] {
        let mut branch = writer.begin().await.unwrap();
        let of = merge("t", mode, &["id"], COLUMNS, &[row(1)]);
        let error = tokio::time::timeout(wait, branch.write(&of)).await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Retry, Some("55P03")), "{error}");
        assert!(error.to_string().contains("the culprit"), "{error}");
    }
    let mut emptying = append("t", COLUMNS, &[row(1)]);
    emptying.blocks[0].truncate = true;
    let mut branch = writer.begin().await.unwrap();
    let error = tokio::time::timeout(wait, branch.write(&emptying)).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Retry, Some("55P03")), "{error}");
    let column = standpipe_core::Column::new("more", Type::Text);
    let table = TableName::new("t");
    let adding = writer.target.add_column(&table, &column);
    let error = tokio::time::timeout(wait, adding).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Retry, Some("55P03")), "{error}");
    assert!(error.to_string().contains("the culprit"), "{error}");
    run(&mut hanging, "ROLLBACK").await;
    writer.target.add_column(&table, &column).await.unwrap();
    database.end().await;
}

/// Row S6: the fence is checked in the transaction of the rows. A claim between check and commit waits for that commit.
pub(crate) async fn s6_fence_within_the_transaction(database: &Database) -> Result<String, String> {
    database.run("DROP TABLE IF EXISTS t; CREATE TABLE t (id int8)").await;
    let zombie = Writer::new(database, "s6").await;
    let heir = database.open_with(impatient()).await;
    let mut branch = zombie.begin().await.unwrap();
    branch.write(&append("t", COLUMNS, &[row(1)])).await.unwrap();
    let position = zombie.claim.position;
    branch.advance(&zombie.claim, &to(position + 1)).await.unwrap();
    // The zombie sleeps between its check and its commit; the heir cannot take over before it has ended.
    let claimed = heir.claim(&request("s6")).await;
    branch.commit().await.unwrap();
    match claimed {
        Err(error) if error.code() == Some("55P03") => {}
        other => return Err(format!("a claim came between check and commit: {other:?}")),
    }
    let claim = heir.claim(&request("s6")).await.unwrap().remove(0);
    assert_eq!(claim.position, position + 1, "what the heir is told is final");
    // Now the zombie is one, in every step.
    let mut branch = zombie.begin().await.unwrap();
    branch.write(&append("t", COLUMNS, &[row(2)])).await.unwrap();
    let fenced = branch
        .advance(&standpipe_core::Claim { position: position + 1, ..zombie.claim.clone() }, &to(position + 2))
        .await;
    if !matches!(fenced, Err(Error::Fenced { .. })) {
        return Err(format!("a zombie was let in: {fenced:?}"));
    }
    assert_eq!(branch.commit().await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(database.value("SELECT string_agg(id::text, ',') FROM t").await, "1");
    Ok("a zombie between check and commit is waited for, and fenced behind it".to_owned())
}

#[tokio::test]
async fn s6_a_zombie_cannot_write() {
    let Some(database) = Database::new("s6_a_zombie_cannot_write").await else { return };
    println!("{}", s6_fence_within_the_transaction(&database).await.unwrap());
    database.end().await;
}

/// Row S7: ids of every length and letter; looking (as a dry run does) leaves the ledger as it is.
#[tokio::test]
async fn s7_long_ids_and_a_ledger_elsewhere() {
    let Some(database) = Database::new("s7_long_ids_and_a_ledger_elsewhere").await else { return };
    database.run("CREATE SCHEMA \"Ops \u{1f6b0}\"; CREATE TABLE t (id int8 PRIMARY KEY)").await;
    let name = format!("L'\"{}", "e".repeat(59));
    let ledger = TableName { schema: Some("Ops \u{1f6b0}".into()), name };
    for settings in both_ways() {
        let target = database.open_with(Settings { ledger: ledger.clone(), ..settings }).await;
        for stream in ["x".repeat(1024), "\u{1f6b0}".repeat(256), "it's \\ \"s\"".to_owned()] {
            let mut writer = Writer::on(target.clone(), &stream).await;
            let id = database.value("SELECT count(*) FROM t").await.parse().unwrap();
            assert_eq!(writer.apply(&append("t", COLUMNS, &[row(id)])).await.unwrap(), []);
            assert_eq!(writer.target.claim(&request(&stream)).await.unwrap()[0].position, 2);
            let before = target.ledger(None).await.unwrap();
            target.describe(&TableName::new("t")).await.unwrap();
            target.begin(&[&writer.claim], None).await.unwrap().rollback().await.unwrap();
            assert_eq!(target.ledger(None).await.unwrap(), before);
            assert!(before.iter().any(|row| row.lane.stream.as_str() == stream));
        }
        database
            .run("DROP SCHEMA \"Ops \u{1f6b0}\" CASCADE; CREATE SCHEMA \"Ops \u{1f6b0}\"; TRUNCATE t")
            .await;
    }
    let long = TableName::new("x".repeat(64));
    assert!(
        standpipe_postgres::Postgres::new(
            &database.url.parse().unwrap(),
            Settings { ledger: long, ..Settings::default() }
        )
        .is_err()
    );
    assert_eq!(database.value("SELECT count(*) FROM pg_class WHERE relname = 'standpipe_ledger'").await, "0");
    database.end().await;
}
