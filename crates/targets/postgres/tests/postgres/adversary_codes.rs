//! Bad rows whose codes are those of statements, transactions and servers.

use standpipe_core::{ErrorKind, Type};
use standpipe_testkit::target::Value;

use crate::{
    adversary::{ID, Loader},
    server::Database,
};

fn rows(values: &[&str]) -> Vec<Vec<Value>> {
    (0..).zip(values).map(|(id, value)| vec![Value::Int8(id), Value::text(*value)]).collect()
}

const COLUMNS: &[(&str, Type)] = &[ID, ("v", Type::Text)];

/// Also where it is the batch's only row.
#[tokio::test]
async fn a_text_that_its_type_refuses_is_a_bad_row() {
    let Some(database) = Database::new("a_text_that_its_type_refuses_is_a_bad_row").await else { return };
    let mut loaders = Loader::all(&database).await;
    for (declared, good, bad, code) in [
        ("tsvector", "a b", "a 'b", "42601"),
        ("tsquery", "a & b", "a & & b", "42601"),
        ("jsonpath", "$.a", "$.", "42601"),
        ("regclass", "pg_class", "nosuch", "42P01"),
        ("regtype", "int4", "nosuch", "42704"),
        ("regrole", "pg_monitor", "nosuch", "42704"),
    ] {
        for (way, loader) in loaders.iter_mut().enumerate() {
            let table = format!("{declared}{way}");
            database.run(&format!("CREATE TABLE {table} (id int8 PRIMARY KEY, v {declared})")).await;
            let refused = loader.load(&table, COLUMNS, &rows(&[good, bad, good, good])).await;
            let refused = refused.unwrap_or_else(|error| panic!("{declared}, way {way}: {error}"));
            let codes: Vec<_> = refused.iter().map(|(row, code, _)| (*row, code.as_str())).collect();
            assert_eq!(codes, [(1, code)], "{declared}, way {way}");
            let refused = loader.load(&table, COLUMNS, &rows(&[bad])).await;
            let refused = refused.unwrap_or_else(|error| panic!("{declared} alone, way {way}: {error}"));
            assert_eq!((refused.len(), refused[0].1.as_str()), (1, code), "{declared}, way {way}");
            assert_eq!(database.value(&format!("SELECT count(*) FROM {table}")).await, "3");
        }
    }
    database.end().await;
}

/// Whatever the code: a load is neither stopped nor tried again for it.
#[tokio::test]
async fn what_a_trigger_raises_is_a_bad_row() {
    let Some(database) = Database::new("what_a_trigger_raises_is_a_bad_row").await else { return };
    let mut loaders = Loader::all(&database).await;
    for code in [
        "08006", "0A000", "22P03", "28000", "3D000", "40001", "42501", "42P01", "53100", "55P03", "57P01",
        "XX000",
    ] {
        for (way, loader) in loaders.iter_mut().enumerate() {
            let table = format!("t{code}_{way}").to_lowercase();
            database
                .run(&format!(
                    "CREATE TABLE {table} (id int8 PRIMARY KEY, v text);
                     CREATE FUNCTION {table}() RETURNS trigger LANGUAGE plpgsql AS
                       $$ BEGIN IF NEW.v = 'bad' THEN RAISE 'no' USING ERRCODE = '{code}'; END IF; RETURN NEW; END $$;
                     CREATE TRIGGER g BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}()"
                ))
                .await;
            let refused = loader.load(&table, COLUMNS, &rows(&["a", "bad", "b"])).await;
            let refused = refused.unwrap_or_else(|error| panic!("{code}, way {way}: {error}"));
            assert_eq!(refused, [(1, code.to_owned(), "no".to_owned())], "way {way}");
            let refused = loader.load(&table, COLUMNS, &rows(&["bad"])).await;
            assert_eq!(refused.unwrap_or_else(|error| panic!("{code} alone, way {way}: {error}")).len(), 1);
        }
    }
    database.end().await;
}

/// What a trigger meets is one row's where others pass, and the load's where none does: no row of it is lost.
#[tokio::test]
async fn what_every_row_meets_stops_the_load() {
    let Some(database) = Database::new("what_every_row_meets_stops_the_load").await else { return };
    for (way, loader) in Loader::all(&database).await.iter_mut().enumerate() {
        let table = format!("t{way}");
        database
            .run(&format!(
                "CREATE TABLE {table} (id int8 PRIMARY KEY, v text);
                 CREATE FUNCTION {table}() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN IF NEW.v = 'bad' THEN INSERT INTO nosuch VALUES (1); END IF; RETURN NEW; END $$;
                 CREATE TRIGGER g BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}()"
            ))
            .await;
        let refused = loader.load(&table, COLUMNS, &rows(&["bad", "bad", "b"])).await.unwrap();
        let codes: Vec<_> = refused.iter().map(|(row, code, _)| (*row, code.as_str())).collect();
        assert_eq!(codes, [(0, "42P01"), (1, "42P01")], "way {way}");
        let error = loader.load(&table, COLUMNS, &rows(&["bad"; 40])).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, Some("42P01")), "way {way}: {error}");
    }
    database.end().await;
}

/// A policy refuses rows, and a missing right refuses everything.
#[tokio::test]
async fn a_row_that_a_policy_refuses_is_bad_and_a_missing_right_is_not() {
    let Some(database) = Database::new("a_row_that_a_policy_refuses_is_bad_and_a_missing_right_is_not").await
    else {
        return;
    };
    let role = format!("r_{}", database.name);
    database
        .run(&format!(
            "CREATE ROLE {role}; GRANT CREATE, USAGE ON SCHEMA public TO {role};
             CREATE TABLE t (id int8 PRIMARY KEY, v text); GRANT SELECT, INSERT, UPDATE ON t TO {role};
             CREATE TABLE closed (id int8 PRIMARY KEY, v text); GRANT SELECT ON closed TO {role};
             ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (true) WITH CHECK (v <> 'bad');
             ALTER DATABASE {} SET role = {role}",
            database.name
        ))
        .await;
    let way = crate::adversary::ways().into_iter().nth(1).unwrap();
    let mut loader = Loader::new(&database, way).await;
    let refused = loader.load("t", COLUMNS, &rows(&["a", "bad", "b"])).await.unwrap();
    assert_eq!(
        refused.iter().map(|(row, code, _)| (*row, code.as_str())).collect::<Vec<_>>(),
        [(1, "42501")]
    );
    let error = loader.load("t", COLUMNS, &rows(&["bad", "bad"])).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, Some("42501")), "{error}");
    let error = loader.load("closed", COLUMNS, &rows(&["a", "b"])).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, Some("42501")), "{error}");
    database
        .run(&format!(
            "SET role = NONE; ALTER DATABASE {} RESET role; DROP OWNED BY {role}; DROP ROLE {role}",
            database.name
        ))
        .await;
    database.end().await;
}
