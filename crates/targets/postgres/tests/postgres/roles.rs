//! Roles that may not do everything, and roles with settings of their own.

use standpipe_core::{ErrorKind, FindingLevel, Mode, TableName, Target, Type};
use standpipe_postgres::{Address, Postgres, Settings};
use standpipe_testkit::target::Value;

use crate::{
    server::Database,
    world::{Writer, append, both_ways, codes, merge, request, schema, to},
};

const COLUMNS: &[(&str, Type)] = &[("id", Type::Int8), ("v", Type::Int8)];

fn row(id: i64) -> Vec<Value> {
    vec![Value::Int8(id), Value::Int8(id)]
}

/// A role of one's own, and its address.
struct Role {
    name: String,
    address: Address,
}

impl Role {
    async fn new(database: &Database, rights: &str) -> Self {
        let name = format!("{}_role", database.name);
        let rights = rights.replace("@ROLE", &name).replace("DATABASE_NAME", &database.name);
        database
            .run(&format!(
                "DROP ROLE IF EXISTS {name}; CREATE ROLE {name} LOGIN PASSWORD 'role''s'; {rights}"
            ))
            .await;
        let (_, place) = database.url.rsplit_once('@').unwrap();
        let address = format!("postgres://{name}:role%27s@{place}").parse().unwrap();
        Role { name, address }
    }

    async fn open(&self, settings: Settings) -> Postgres {
        Postgres::connect(&self.address, settings).await.unwrap()
    }

    async fn end(self, database: Database) {
        database.run(&format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name)).await;
        database.end().await;
    }
}

/// What a role may not make is told as the statement that somebody else has to run; then it goes on.
#[tokio::test]
async fn without_rights_to_make_tables() {
    let Some(database) = Database::new("without_rights_to_make_tables").await else { return };
    database.run("CREATE TABLE t (id int8 PRIMARY KEY, v int8)").await;
    let role = Role::new(
        &database,
        "REVOKE CREATE ON SCHEMA public FROM public; GRANT SELECT, INSERT, UPDATE ON t TO @ROLE",
    )
    .await;
    let target = role.open(Settings::default()).await;
    let statement = |error: &standpipe_core::Error| {
        assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, Some("42501")), "{error}");
        let said = error.to_string();
        let (_, statement) = said.split_once("have an owner run: ").unwrap();
        statement.trim_end_matches(" [42501]").to_owned()
    };
    let ledger = statement(&target.claim(&request("s")).await.unwrap_err());
    database.run(&ledger).await;
    let mut writer = Writer::on(target, "s").await;
    assert_eq!(writer.apply(&append("t", COLUMNS, &[row(1)])).await.unwrap(), []);
    let new = TableName::new("new");
    let make =
        statement(&writer.target.create(&new, &schema(COLUMNS), &["id".to_owned()]).await.unwrap_err());
    database.run(&make).await;
    writer.target.create(&new, &schema(COLUMNS), &["id".to_owned()]).await.unwrap();
    let column = standpipe_core::Column::new("w", Type::Text);
    let error = writer.target.add_column(&new, &column).await.unwrap_err();
    database.run(&statement(&error)).await;
    writer.target.add_column(&new, &column).await.unwrap();
    let letters = TableName::new("letters");
    let letter = standpipe_core::DeadLetter {
        lane: writer.claim.lane.clone(),
        position: 2,
        ordinal: 0,
        table: new.clone(),
        origin: "".into(),
        line: None,
        column: None,
        code: None,
        reason: "why".into(),
        row: vec![1, 255].into(),
    };
    let mut branch = writer.begin().await.unwrap();
    let make = statement(&branch.dead_letter(&letters, std::slice::from_ref(&letter)).await.unwrap_err());
    database.run(&make).await;
    drop(branch);
    let mut branch = writer.begin().await.unwrap();
    branch.dead_letter(&letters, &[letter]).await.unwrap();
    branch.commit().await.unwrap();
    assert_eq!(writer.target.describe(&new).await.unwrap().unwrap().columns.len(), 3);
    // A table that it may not write to.
    database.run(&format!("REVOKE INSERT ON new FROM {}", role.name)).await;
    let error = writer.apply(&append("new", COLUMNS, &[row(1)])).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, Some("42501")), "{error}");
    assert!(error.to_string().contains("new"), "{error}");
    drop(writer);
    role.end(database).await;
}

/// Before the first bad row stops a load: `doctor` says what lacks for dead letters, and how to mend it.
#[tokio::test]
async fn doctor_tells_who_may_keep_no_dead_letters() {
    let Some(database) = Database::new("doctor_tells_who_may_keep_no_dead_letters").await else { return };
    let role = Role::new(&database, "REVOKE CREATE ON SCHEMA public FROM public").await;
    let target = role.open(Settings::default()).await;
    let found = async || {
        let findings = target.doctor().await.unwrap();
        findings.into_iter().find(|finding| finding.subject == "dead letters").unwrap()
    };
    for (level, change) in [
        (FindingLevel::Notice, "REVOKE ALL ON standpipe_dead_letters FROM @ROLE"),
        (FindingLevel::Broken, "GRANT USAGE ON SCHEMA public TO @ROLE"),
    ] {
        let finding = found().await;
        assert_eq!(finding.level, level, "{}", finding.message);
        let (_, statement) = finding.message.split_once("run: ").unwrap();
        database.run(statement).await;
        let mended = found().await;
        assert_eq!(mended.level, FindingLevel::Fine, "{}", mended.message);
        database.run(&change.replace("@ROLE", &role.name)).await;
    }
    target.close().await.unwrap();
    let owner = database.open().await;
    database.run("DROP TABLE standpipe_dead_letters").await;
    let findings = owner.doctor().await.unwrap();
    let finding = findings.iter().find(|finding| finding.subject == "dead letters").unwrap();
    assert_eq!(finding.level, FindingLevel::Fine, "{}", finding.message);
    role.end(database).await;
}

/// COPY does not go by policies: such rows go another way, and one that a policy refuses is a bad row.
#[tokio::test]
async fn a_table_with_policies() {
    let Some(database) = Database::new("a_table_with_policies").await else { return };
    database
        .run(
            "CREATE TABLE t (id int8, v int8); ALTER TABLE t ENABLE ROW LEVEL SECURITY;
             CREATE POLICY p ON t USING (true) WITH CHECK (v <> 13)",
        )
        .await;
    let rights = "GRANT ALL ON t TO @ROLE; GRANT CREATE ON SCHEMA public TO @ROLE";
    let role = Role::new(&database, rights).await;
    for (way, settings) in both_ways().into_iter().enumerate() {
        let mut writer = Writer::on(role.open(settings).await, &format!("s{way}")).await;
        database.run("TRUNCATE t").await;
        let rows: Vec<_> = [7, 13, 7, 2].map(row).to_vec();
        let rejects = writer.apply(&append("t", COLUMNS, &rows)).await.unwrap();
        assert_eq!(codes(&rejects), [(0, 1, "42501")]);
        assert_eq!(database.value("SELECT string_agg(id::text, ',' ORDER BY ctid) FROM t").await, "7,7,2");
    }
    let role_name = &role.name;
    database
        .run(&format!("ALTER TABLE standpipe_ledger ENABLE ROW LEVEL SECURITY; ALTER TABLE standpipe_ledger OWNER TO CURRENT_USER; GRANT ALL ON standpipe_ledger TO {role_name}"))
        .await;
    let error = role.open(Settings::default()).await.claim(&request("s0")).await.unwrap_err();
    assert!(error.to_string().contains("DISABLE ROW LEVEL SECURITY"), "{error}");
    role.end(database).await;
}

/// Merges of large batches need a temporary table; the error has the statement that allows one.
#[tokio::test]
async fn without_temporary_tables() {
    let Some(database) = Database::new("without_temporary_tables").await else { return };
    database
        .run(
            "CREATE TABLE t (id int8 PRIMARY KEY, v int8); CREATE TABLE unread (id int8 PRIMARY KEY, v int8)",
        )
        .await;
    let rights = "REVOKE TEMPORARY ON DATABASE DATABASE_NAME FROM public; GRANT ALL ON t TO @ROLE; GRANT INSERT, UPDATE ON unread TO @ROLE; GRANT CREATE ON SCHEMA public TO @ROLE";
    let role = Role::new(&database, rights).await;
    let [staged, arrays] = both_ways();
    let mut writer = Writer::on(role.open(arrays).await, "arrays").await;
    let of = merge("t", Mode::Upsert, &["id"], COLUMNS, &[row(1), row(2)]);
    assert_eq!(writer.apply(&of).await.unwrap(), [], "arrays need none");
    let mut writer = Writer::on(role.open(staged).await, "staged").await;
    let error = writer.apply(&of).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, Some("42501")), "{error}");
    let said = error.to_string();
    let (_, statement) = said.split_once("have an owner run: ").unwrap_or_else(|| panic!("{said}"));
    database.run(statement.trim_end_matches(" [42501]")).await;
    assert_eq!(writer.apply(&of).await.unwrap(), []);
    let error = writer.apply(&merge("unread", Mode::Upsert, &["id"], COLUMNS, &[row(1)])).await.unwrap_err();
    assert!(error.to_string().contains("unread") && !error.to_string().contains("TEMPORARY"), "{error}");
    drop(writer);
    role.end(database).await;
}

/// A role's own settings change nothing of what is promised.
#[tokio::test]
async fn settings_of_the_role() {
    let Some(database) = Database::new("settings_of_the_role").await else { return };
    let role = Role::new(
        &database,
        "GRANT ALL ON SCHEMA public TO @ROLE;
         ALTER ROLE @ROLE SET default_transaction_isolation = 'serializable';
         ALTER ROLE @ROLE SET default_transaction_read_only = on;
         ALTER ROLE @ROLE SET synchronous_commit = off;
         ALTER ROLE @ROLE SET standard_conforming_strings = off;
         ALTER ROLE @ROLE SET bytea_output = 'escape';
         ALTER ROLE @ROLE SET intervalstyle = 'iso_8601';
         ALTER ROLE @ROLE SET client_min_messages = 'debug1';
         ALTER ROLE @ROLE SET lc_messages = 'C';
         ALTER ROLE @ROLE SET row_security = off",
    )
    .await;
    for (way, settings) in both_ways().into_iter().enumerate() {
        let target = role.open(settings).await;
        let table = TableName::new(format!("t{way}"));
        target
            .create(&table, &schema(&[("id", Type::Int8), ("v", Type::Text)]), &["id".to_owned()])
            .await
            .unwrap();
        target.add_column(&table, &standpipe_core::Column::new("w", Type::Bytea)).await.unwrap();
        let mut writer = Writer::on(target, &format!("s'{way}\\")).await;
        let columns = [("id", Type::Int8), ("v", Type::Text), ("w", Type::Bytea)];
        let rows = [vec![Value::Int8(1), Value::text("a\\'b"), Value::Bytea(vec![0, 92, 255])]];
        for mode in [Mode::Append, Mode::Upsert] {
            let mut branch = writer.begin().await.unwrap();
            let rejects = branch.write(&merge(&table.name, mode, &["id"], &columns, &rows)).await.unwrap();
            assert_eq!(rejects, []);
            branch.advance(&writer.claim, &to(writer.claim.position + 1)).await.unwrap();
            branch.commit().await.unwrap();
            writer.claim.position += 1;
        }
        let row = database.rows(&format!("SELECT v, w FROM {}", table.name)).await;
        assert_eq!(row, [[Some("a\\'b".to_owned()), Some("\\x005cff".to_owned())]]);
    }
    role.end(database).await;
}

/// `synchronous_commit = off` would lose what was reported as committed: it is on for our transactions, and only for them.
#[tokio::test]
async fn commits_are_synchronous() {
    let Some(database) = Database::new("commits_are_synchronous").await else { return };
    database
        .run(&format!(
            "CREATE TABLE t (id int8, v int8, s text DEFAULT current_setting('synchronous_commit'));
             ALTER DATABASE {} SET synchronous_commit = off",
            database.name
        ))
        .await;
    let mut writer = Writer::new(&database, "s").await;
    assert_eq!(writer.apply(&append("t", COLUMNS, &[row(1)])).await.unwrap(), []);
    assert_eq!(database.value("SELECT s FROM t").await, "on");
    database.run(&format!("ALTER DATABASE {} SET synchronous_commit = remote_apply", database.name)).await;
    let mut writer = Writer::new(&database, "s2").await;
    assert_eq!(writer.apply(&append("t", COLUMNS, &[row(2)])).await.unwrap(), []);
    assert_eq!(database.value("SELECT s FROM t WHERE id = 2").await, "remote_apply");
    database.end().await;
}

/// A role's `statement_timeout` is its owner's wish: the batch is sent back, and the error says what ended it.
#[tokio::test]
async fn a_statement_timeout() {
    let Some(database) = Database::new("a_statement_timeout").await else { return };
    database
        .run(&format!(
            "CREATE TABLE t (id int8, v int8);
             CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
             CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
             ALTER DATABASE {} SET statement_timeout = '300ms'",
            database.name
        ))
        .await;
    let mut writer = Writer::new(&database, "s").await;
    let error = writer.apply(&append("t", COLUMNS, &[row(1)])).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Retry, Some("57014")), "{error}");
    assert!(error.to_string().contains("statement timeout"), "{error}");
    database.run("DROP TRIGGER g ON t").await;
    assert_eq!(writer.apply(&append("t", COLUMNS, &[row(1)])).await.unwrap(), []);
    database.end().await;
}
