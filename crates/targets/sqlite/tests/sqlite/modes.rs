use standpipe_core::{ErrorKind, Mode, Type};
use standpipe_testkit::block_on;

use crate::world::{World, append, block, ids, into_table, pairs};

const KEYED: &str = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, name TEXT, seen INTEGER DEFAULT 7, at TEXT DEFAULT (upper('x')));
                     INSERT INTO t VALUES (1, 'one', 100, 'here')";

#[test]
fn append_refuses_a_key_that_is_there() {
    block_on(async {
        let world = World::with(KEYED).await;
        let rejects = world
            .load(&append("t"), vec![pairs(&[(Some(1), Some("uno")), (Some(2), Some("two"))])])
            .await
            .unwrap();
        assert_eq!((rejects.len(), rejects[0].row), (1, 0));
        assert_eq!(rejects[0].code.as_deref(), Some("SQLITE_CONSTRAINT_PRIMARYKEY"));
        assert_eq!(rejects[0].column.as_deref(), Some("id"));
        assert_eq!(world.rows("SELECT * FROM t"), ["1|one|100|here", "2|two|7|X"]);
    });
}

#[test]
fn upsert_sets_the_given_columns_only() {
    block_on(async {
        let world = World::with(KEYED).await;
        let rows = pairs(&[(Some(1), Some("uno")), (Some(2), Some("two")), (Some(2), None)]);
        assert_eq!(world.load(&into_table(Mode::Upsert, "t", &["id"]), vec![rows]).await.unwrap(), []);
        assert_eq!(world.rows("SELECT * FROM t"), ["1|uno|100|here", "2|NULL|7|X"]);
    });
}

#[test]
fn upsert_of_nothing_but_the_key_keeps_the_row() {
    block_on(async {
        let world = World::with(KEYED).await;
        assert_eq!(world.load(&into_table(Mode::Upsert, "t", &["ID"]), vec![ids([1, 2])]).await.unwrap(), []);
        assert_eq!(world.rows("SELECT * FROM t"), ["1|one|100|here", "2|NULL|7|X"]);
    });
}

#[test]
fn replace_gives_the_other_columns_their_defaults() {
    block_on(async {
        let world = World::with(KEYED).await;
        let rows = pairs(&[(Some(1), Some("uno")), (Some(2), Some("two"))]);
        assert_eq!(world.load(&into_table(Mode::Replace, "t", &["id"]), vec![rows]).await.unwrap(), []);
        assert_eq!(world.rows("SELECT * FROM t"), ["1|uno|7|X", "2|two|7|X"]);
    });
}

#[test]
fn ignore_keeps_the_row_that_is_there() {
    block_on(async {
        let world = World::with(KEYED).await;
        let rows = pairs(&[(Some(1), Some("uno")), (Some(2), Some("two")), (Some(2), Some("again"))]);
        assert_eq!(world.load(&into_table(Mode::Ignore, "t", &["id"]), vec![rows]).await.unwrap(), []);
        assert_eq!(world.rows("SELECT id, name FROM t"), ["1|one", "2|two"]);
    });
}

#[test]
fn a_row_keeps_its_number_when_it_is_replaced_by_another_key() {
    block_on(async {
        let world = World::with(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, n INTEGER DEFAULT 5);
             INSERT INTO t VALUES (41, 'a', 1), (42, 'b', 2)",
        )
        .await;
        let rows = block(&[("name", Type::Text)], ["b", "c"], |builder, name| {
            builder.text(name);
        });
        assert_eq!(world.load(&into_table(Mode::Replace, "t", &["name"]), vec![rows]).await.unwrap(), []);
        assert_eq!(world.rows("SELECT * FROM t ORDER BY id"), ["41|a|1", "42|b|5", "43|c|5"]);
    });
}

#[test]
fn s3_a_key_twice_in_a_batch_is_taken_in_order() {
    block_on(async {
        for (mode, kept) in [(Mode::Upsert, "v39"), (Mode::Replace, "v39"), (Mode::Ignore, "v0")] {
            let world = World::with("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)").await;
            let names: Vec<String> = (0..40).map(|number| format!("v{number}")).collect();
            let rows: Vec<_> = names.iter().map(|name| (Some(1), Some(name.as_str()))).collect();
            assert_eq!(world.load(&into_table(mode, "t", &["id"]), vec![pairs(&rows)]).await.unwrap(), []);
            assert_eq!(world.rows("SELECT * FROM t"), [format!("1|{kept}")], "{mode:?}");
        }
    });
}

#[test]
fn s4_a_second_unique_key_is_a_reject_and_changes_no_other_row() {
    block_on(async {
        for mode in [Mode::Upsert, Mode::Replace, Mode::Ignore] {
            let world = World::with(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
                 INSERT INTO t VALUES (1, 'one'), (2, 'two')",
            )
            .await;
            // 3 would take over row 2 through `name`; 1 would collide with it.
            let rows = pairs(&[(Some(3), Some("two")), (Some(1), Some("two")), (Some(4), Some("four"))]);
            let rejects = world.load(&into_table(mode, "t", &["id"]), vec![rows]).await.unwrap();
            let refused: Vec<u32> = rejects.iter().map(|reject| reject.row).collect();
            let expected: &[u32] = if mode == Mode::Ignore { &[0] } else { &[0, 1] };
            assert_eq!(refused, expected, "{mode:?}: {rejects:?}");
            assert_eq!(rejects[0].code.as_deref(), Some("SQLITE_CONSTRAINT_UNIQUE"));
            assert_eq!(rejects[0].column.as_deref(), Some("name"));
            assert_eq!(world.rows("SELECT * FROM t ORDER BY id"), ["1|one", "2|two", "4|four"], "{mode:?}");
        }
    });
}

#[test]
fn a_key_of_two_columns_is_found_in_any_order_and_case() {
    block_on(async {
        let world =
            World::with("CREATE TABLE t (ID INTEGER, name TEXT, PRIMARY KEY (name, ID)) WITHOUT ROWID").await;
        let destination = into_table(Mode::Upsert, "t", &["id", "Name"]);
        let rows = pairs(&[(Some(1), Some("a")), (Some(1), Some("b")), (Some(1), Some("a"))]);
        assert_eq!(world.load(&destination, vec![rows]).await.unwrap(), []);
        assert_eq!(world.rows("SELECT * FROM t"), ["1|a", "1|b"]);
    });
}

#[test]
fn an_empty_key_is_a_reject_and_gets_no_number_of_its_own() {
    block_on(async {
        for mode in [Mode::Upsert, Mode::Replace, Mode::Ignore] {
            let world = World::with(KEYED).await;
            let rows = pairs(&[(None, Some("nobody")), (Some(2), Some("two"))]);
            let rejects = world.load(&into_table(mode, "t", &["id"]), vec![rows]).await.unwrap();
            assert_eq!((rejects.len(), rejects[0].row, rejects[0].column.as_deref()), (1, 0, Some("id")));
            assert_eq!(world.rows("SELECT count(*) FROM t"), ["2"]);
        }
        // A key that SQLite may number by itself is numbered only where the table allows NULL there.
        let world = World::with("CREATE TABLE free (id INTEGER PRIMARY KEY, name TEXT)").await;
        assert_eq!(world.load(&append("free"), vec![pairs(&[(None, Some("x"))])]).await.unwrap(), []);
        assert_eq!(world.rows("SELECT * FROM free"), ["1|x"]);
    });
}

#[test]
fn a_key_that_is_none_is_refused_with_what_to_do() {
    block_on(async {
        let world = World::with(
            "CREATE TABLE t (id INTEGER, name TEXT); CREATE UNIQUE INDEX part ON t (id) WHERE id > 5;
             CREATE UNIQUE INDEX computed ON t (abs(id))",
        )
        .await;
        for (key, says) in [
            (&["id"][..], "CREATE UNIQUE INDEX \"t_key\" ON \"t\" (\"id\")"),
            (&[], "needs a key"),
            (&["other"], "no column \"other\""),
        ] {
            let error = world.load(&into_table(Mode::Upsert, "t", key), vec![ids([1])]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(says), "{error}");
        }
        let error = world.load(&into_table(Mode::Upsert, "t", &["name"]), vec![ids([1])]).await.unwrap_err();
        assert!(error.to_string().contains("the rows have no column \"name\""), "{error}");
        assert_eq!(world.rows("SELECT count(*) FROM t"), ["0"]);
    });
}
