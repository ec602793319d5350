//! Databases and tables that are not as most are.

use bytes::Bytes;
use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};
use standpipe_core::{
    DeadLetter, ErrorKind, FindingLevel, LaneId, LetterPage, Mode, StreamId, TableName, Target, Type,
};
use standpipe_postgres::{Postgres, Settings};
use standpipe_testkit::target::Value;

use crate::{
    adversary::{ID, Loader, apply, batch, claimed, request},
    server::{Database, in_database, run, skipped},
};

/// A role or a database may have `array_nulls = off`.
#[tokio::test]
async fn null_stays_null_whatever_the_database_says() {
    let Some(database) = Database::new("null_stays_null_whatever_the_database_says").await else { return };
    database.run(&format!("ALTER DATABASE {} SET array_nulls = off", database.name)).await;
    for (way, loader) in Loader::all(&database).await.iter_mut().enumerate() {
        database.run(&format!("CREATE TABLE t{way} (id int8 PRIMARY KEY, v text, i int4, a text[])")).await;
        let columns = [ID, ("v", Type::Text), ("i", Type::Int4), ("a", Type::Json)];
        let row = vec![Value::Int8(1), Value::Null, Value::Null, Value::Json("[null]".into())];
        assert_eq!(loader.load(&format!("t{way}"), &columns, &[row]).await.unwrap(), []);
        let found =
            database.value(&format!("SELECT v IS NULL AND i IS NULL AND a[1] IS NULL FROM t{way}")).await;
        assert_eq!(found, "t", "way {way}");
    }
    database.end().await;
}

/// A bad row may be bad just because of a letter that the database lacks: it is kept all the same, byte for byte.
#[tokio::test]
async fn a_dead_letter_is_kept_in_any_encoding() {
    let Some(database) = Database::new("a_dead_letter_is_kept_in_any_encoding").await else { return };
    let latin = format!("{}_latin", database.name);
    database
        .run(&format!(
            "CREATE DATABASE {latin} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        ))
        .await;
    let address = in_database(&database.url, &latin).parse().unwrap();
    let target = Postgres::connect(&address, Settings::default()).await.unwrap();
    let mut claim = claimed(&target, "s").await;
    let letter = |ordinal, row: &'static str| DeadLetter {
        lane: LaneId { stream: StreamId::new("s").unwrap(), lane: 0 },
        position: 1,
        ordinal,
        table: TableName::new("t"),
        origin: "Ω.csv".into(),
        line: Some(2),
        column: Some("é".to_owned()),
        code: None,
        reason: "no Ω".to_owned(),
        row: Bytes::from_static(row.as_bytes()),
    };
    let letters = [letter(0, "2,Ω"), letter(1, "3,é"), letter(2, "4,a")];
    let none = batch("letters", Mode::Append, &[("stream", Type::Text)], &[]);
    let none = standpipe_core::Batch { blocks: Vec::new(), ..none };
    // The first makes the table, the second finds it.
    apply(&target, &mut claim, &none, &letters[..2]).await.unwrap();
    apply(&target, &mut claim, &none, &letters).await.unwrap();
    let page = LetterPage { after: None, letters_max: 10, bytes_max: 1 << 20 };
    let found = target.dead_letters(&TableName::new("letters"), &page).await.unwrap();
    let rows: Vec<_> = found.iter().map(|letter| letter.row.clone()).collect();
    assert_eq!(rows, letters.map(|letter| letter.row));
    assert_eq!((&*found[0].origin, found[0].reason.as_str()), ("\\u{3a9}.csv", "no \\u{3a9}"));
    let error = target.claim(&request("Ω")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("\"Ω\"") && error.to_string().contains("another name"), "{error}");
    target.close().await.unwrap();
    database.run(&format!("DROP DATABASE {latin} WITH (FORCE)")).await;
    database.end().await;
}

#[tokio::test]
async fn a_ledger_that_a_crash_empties_is_refused() {
    let Some(database) = Database::new("a_ledger_that_a_crash_empties_is_refused").await else { return };
    let target = database.open().await;
    claimed(&target, "s").await;
    database.run("ALTER TABLE standpipe_ledger SET UNLOGGED").await;
    let error = target.claim(&request("s")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("ALTER TABLE \"standpipe_ledger\" SET LOGGED"), "{error}");
    let findings = target.doctor().await.unwrap();
    let finding = findings.iter().find(|finding| finding.subject == "ledger").unwrap();
    assert_eq!(finding.level, FindingLevel::Broken);
    assert!(finding.message.contains("UNLOGGED"), "{}", finding.message);
    database.end().await;
}

/// Once for each table, and those of its partitions count.
#[tokio::test]
async fn a_table_that_a_crash_empties_is_named() {
    let Some(database) = Database::new("a_table_that_a_crash_empties_is_named").await else { return };
    database
        .run(
            "CREATE UNLOGGED TABLE u (id int8); CREATE TABLE logged (id int8);
             CREATE TABLE parts (id int8) PARTITION BY RANGE (id);
             CREATE UNLOGGED TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (100)",
        )
        .await;
    let target = database.open().await;
    let mut claim = claimed(&target, "s").await;
    for table in ["u", "logged", "u", "parts"] {
        let rows = batch(table, Mode::Append, &[ID], &[vec![Value::Int8(1)]]);
        apply(&target, &mut claim, &rows, &[]).await.unwrap();
    }
    let remarks = target.remarks();
    let named = |table: &str| {
        remarks.iter().filter(|remark| remark.contains(&format!("\"{table}\" is UNLOGGED"))).count()
    };
    assert_eq!([named("u"), named("logged"), named("parts")], [1, 0, 1], "{remarks:?}");
    let findings = target.doctor().await.unwrap();
    let finding = findings.iter().find(|finding| finding.subject == "unlogged tables").unwrap();
    assert!(finding.message.contains('u') && finding.message.contains("part"), "{}", finding.message);
    database.end().await;
}

/// Whatever bears the ledger's name and is none.
#[tokio::test]
async fn doctor_tells_a_ledger_from_what_is_none() {
    let Some(database) = Database::new("doctor_tells_a_ledger_from_what_is_none").await else { return };
    let target = database.open().await;
    let level = async || {
        let findings = target.doctor().await.unwrap();
        findings.into_iter().find(|finding| finding.subject == "ledger").unwrap().level
    };
    claimed(&target, "s").await;
    assert_eq!(level().await, FindingLevel::Fine);
    database.run("ALTER TABLE standpipe_ledger DROP CONSTRAINT standpipe_ledger_pkey").await;
    assert_eq!(level().await, FindingLevel::Broken);
    database.run("DROP TABLE standpipe_ledger; CREATE TABLE standpipe_ledger (id int PRIMARY KEY)").await;
    assert_eq!(level().await, FindingLevel::Broken);
    database.end().await;
}

/// A column of the server's own name cannot be made, and nothing was made before by somebody else.
#[tokio::test]
async fn a_table_that_cannot_be_made_is_told_by_what_the_server_says() {
    let Some(database) = Database::new("a_table_that_cannot_be_made_is_told_by_what_the_server_says").await
    else {
        return;
    };
    let target = database.open().await;
    let schema = standpipe_core::Schema::new(vec![standpipe_core::Column::new("ctid", Type::Int4)]).unwrap();
    let error = target.create(&TableName::new("t"), &schema, &[]).await.unwrap_err();
    assert_eq!(error.code(), Some("42701"), "{error}");
    assert!(error.to_string().contains("ctid"), "{error}");
    database.end().await;
}

/// In a pooled session somebody's temporary tables may be left, of the same names as ours.
#[tokio::test]
async fn a_temporary_table_takes_no_rows_of_another() {
    let Some(database) = Database::new("a_temporary_table_takes_no_rows_of_another").await else { return };
    let Ok(bouncer) = std::env::var("STANDPIPE_TEST_PGBOUNCER") else {
        return skipped(
            "a_temporary_table_takes_no_rows_of_another",
            "no PgBouncer (STANDPIPE_TEST_PGBOUNCER)",
        );
    };
    let pooled = in_database(&bouncer, &database.name);
    let target = Postgres::connect(&pooled.parse().unwrap(), Settings::default()).await.unwrap();
    let mut claim = claimed(&target, "s").await;
    database.run("CREATE TABLE t (id int8)").await;
    // The one session that the pooler has for this database by now.
    let options: PgConnectOptions = pooled.parse().unwrap();
    let mut other = options.extra_float_digits(None).connect().await.unwrap();
    run(&mut other, "CREATE TEMPORARY TABLE t (id int8); CREATE TEMPORARY TABLE standpipe_ledger (id int8)")
        .await;
    for _ in 0..3 {
        let rows = batch("t", Mode::Append, &[ID], &[vec![Value::Int8(1)]]);
        apply(&target, &mut claim, &rows, &[]).await.unwrap();
    }
    assert_eq!(database.value("SELECT count(*) FROM t").await, "3");
    assert_eq!(database.value("SELECT position FROM standpipe_ledger").await, "4");
    other.close().await.unwrap();
    target.close().await.unwrap();
    database.end().await;
}
