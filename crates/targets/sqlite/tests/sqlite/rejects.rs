use standpipe_core::{ErrorKind, Type};
use standpipe_testkit::block_on;

use crate::world::{World, append, batch, begin, block, ids, pairs};

#[test]
fn s1_bad_rows_in_the_middle_are_named_and_all_others_stay() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER CHECK (id % 7 <> 3), name TEXT NOT NULL)").await;
        // Statements take 16 rows: none, some and all bad ones in a statement, and some in the rest of 4.
        let is_bad = |id: i64| id % 7 == 3 || (32..48).contains(&id);
        let rows: Vec<_> = (0..100).map(|id| (Some(id), (!(32..48).contains(&id)).then_some("x"))).collect();
        let rejects = world.load(&append("t"), vec![pairs(&rows), pairs(&rows[..20])]).await.unwrap();
        let mut expected: Vec<(usize, u32)> =
            (0..100).filter(|id| is_bad(*id)).map(|id| (0, id as u32)).collect();
        expected.extend((0..20).filter(|id| is_bad(*id)).map(|id| (1, id as u32)));
        assert_eq!(rejects.iter().map(|reject| (reject.block, reject.row)).collect::<Vec<_>>(), expected);
        let of = |row| rejects.iter().find(|reject| reject.row == row).unwrap();
        assert_eq!(of(40).code.as_deref(), Some("SQLITE_CONSTRAINT_NOTNULL"));
        assert_eq!(of(40).column.as_deref(), Some("name"));
        assert_eq!(of(3).code.as_deref(), Some("SQLITE_CONSTRAINT_CHECK"));
        assert!(of(3).reason.contains("id % 7 <> 3"), "{}", of(3).reason);
        let kept: Vec<String> =
            (0..100).chain(0..20).filter(|id| !is_bad(*id)).map(|id| id.to_string()).collect();
        assert_eq!(world.rows("SELECT id FROM t ORDER BY rowid"), kept, "every good row once, in order");
    });
}

#[test]
fn a_table_whose_constraints_would_keep_or_drop_more_rows_does_not() {
    block_on(async {
        for action in ["FAIL", "IGNORE", "REPLACE", "ROLLBACK"] {
            let sql = format!("CREATE TABLE t (id INTEGER UNIQUE ON CONFLICT {action})");
            let world = World::with(&sql).await;
            let rejects =
                world.load(&append("t"), vec![ids((0..16).chain([5]).chain(16..31))]).await.unwrap();
            assert_eq!(rejects.iter().map(|reject| reject.row).collect::<Vec<_>>(), [16], "{action}");
            assert_eq!(world.rows("SELECT count(*), count(DISTINCT id) FROM t"), ["31|31"], "{action}");
        }
    });
}

#[test]
fn a_trigger_that_fails_keeps_nothing_of_its_row() {
    block_on(async {
        let world = World::with(
            "CREATE TABLE t (id INTEGER); CREATE TABLE seen (id INTEGER);
             CREATE TRIGGER after_t AFTER INSERT ON t BEGIN
               INSERT INTO seen VALUES (new.id);
               SELECT RAISE(FAIL, 'fives are refused') WHERE new.id % 5 = 0;
             END",
        )
        .await;
        let rejects = world.load(&append("t"), vec![ids(1..=40)]).await.unwrap();
        let rows: Vec<u32> = rejects.iter().map(|reject| reject.row).collect();
        assert_eq!(rows, [4, 9, 14, 19, 24, 29, 34, 39]);
        assert_eq!(rejects[0].reason, "fives are refused");
        assert_eq!(rejects[0].code.as_deref(), Some("SQLITE_CONSTRAINT_TRIGGER"));
        assert_eq!(world.rows("SELECT count(*), count(DISTINCT id) FROM t"), ["32|32"]);
        assert_eq!(world.rows("SELECT count(*), count(DISTINCT id) FROM seen"), ["32|32"]);
    });
}

#[test]
fn a_trigger_that_rolls_back_fails_the_branch_by_name() {
    block_on(async {
        let world = World::with(
            "CREATE TABLE t (id INTEGER);
             CREATE TRIGGER on_t BEFORE INSERT ON t BEGIN SELECT RAISE(ROLLBACK, 'no') WHERE new.id = 3; END",
        )
        .await;
        let error = world.load(&append("t"), vec![ids(1..=4)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("rolls the whole transaction back"), "{error}");
        assert_eq!(world.rows("SELECT count(*) FROM t"), ["0"]);
        assert_eq!(world.load(&append("t"), vec![ids([1])]).await.unwrap(), [], "the connection goes on");
    });
}

#[test]
fn a_strict_table_and_a_foreign_key_refuse_single_rows() {
    block_on(async {
        let world = World::with(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY); INSERT INTO parent VALUES (1);
             CREATE TABLE t (id INTEGER REFERENCES parent, n INTEGER) STRICT",
        )
        .await;
        let rows = block(
            &[("id", Type::Int8), ("n", Type::Text)],
            [(1, "12"), (2, "13"), (1, "many")],
            |builder, (id, n)| {
                builder.int(id).text(n);
            },
        );
        let rejects = world.load(&append("t"), vec![rows]).await.unwrap();
        let codes: Vec<_> =
            rejects.iter().map(|reject| (reject.row, reject.code.as_deref().unwrap())).collect();
        assert_eq!(codes, [(1, "SQLITE_CONSTRAINT_FOREIGNKEY"), (2, "SQLITE_CONSTRAINT_DATATYPE")]);
        assert_eq!(world.rows("SELECT * FROM t"), ["1|12"]);
    });
}

#[test]
fn what_concerns_every_row_is_no_reject() {
    block_on(async {
        let world = World::with(
            "CREATE TABLE t (id INTEGER, twice INTEGER AS (id * 2)); CREATE VIEW v AS SELECT 1 AS id",
        )
        .await;
        let int = |name| {
            block(&[(name, Type::Int8)], [1], |builder, id| {
                builder.int(id);
            })
        };
        for (table, rows, says) in [
            ("absent", int("id"), "there is no table absent"),
            ("v", int("id"), "v is a view"),
            ("t", int("nope"), "no column \"nope\""),
            ("t", int("twice"), "is generated"),
        ] {
            let error = world.load(&append(table), vec![rows]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(says), "{error}");
        }
    });
}

#[test]
fn a_damaged_block_fails_the_branch_and_keeps_nothing() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER)").await;
        let mut damaged = ids(0..40);
        damaged.tuples.truncate(damaged.tuples.len() - 3);
        let error = world.load(&append("t"), vec![ids(0..40), damaged]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!(world.rows("SELECT count(*) FROM t"), ["0"]);
    });
}

#[test]
fn a_table_that_changes_between_writes_is_seen_as_it_is() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER)").await;
        assert_eq!(world.load(&append("t"), vec![ids([1])]).await.unwrap(), []);
        world
            .sqlite()
            .execute_batch("DROP TABLE t; CREATE TABLE t (name TEXT, id INTEGER NOT NULL)")
            .unwrap();
        assert_eq!(world.load(&append("t"), vec![ids([2])]).await.unwrap(), []);
        assert_eq!(world.rows("SELECT * FROM t"), ["NULL|2"]);
        world.sqlite().execute_batch("DROP TABLE t").unwrap();
        let error = world.load(&append("t"), vec![ids([3])]).await.unwrap_err();
        assert!(error.to_string().contains("there is no table t"), "{error}");
    });
}

#[test]
fn wide_rows_go_fewer_to_a_statement() {
    block_on(async {
        let names: Vec<String> = (0..1900).map(|number| format!("c{number}")).collect();
        let world = World::with(&format!("CREATE TABLE t ({})", names.join(" INTEGER, "))).await;
        let columns: Vec<_> = names.iter().map(|name| (name.as_str(), Type::Int8)).collect();
        let rows = block(&columns, 0..40_i64, |builder, row| {
            for column in 0..1900 {
                builder.int(row * 10_000 + column);
            }
        });
        assert_eq!(world.load(&append("t"), vec![rows]).await.unwrap(), []);
        assert_eq!(world.rows("SELECT count(*), sum(c1899 - c0) FROM t"), [format!("40|{}", 40 * 1899)]);
    });
}

#[test]
fn truncate_is_part_of_the_commit() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1), (2)").await;
        let mut rows = ids([3]);
        rows.truncate = true;
        let claim = world.claim("s").await;
        let mut branch = begin(&world.target, &claim).await;
        branch.write(&batch(&claim, &append("t"), vec![rows.clone()])).await.unwrap();
        branch.rollback().await.unwrap();
        assert_eq!(world.rows("SELECT id FROM t"), ["1", "2"]);
        assert_eq!(world.load(&append("t"), vec![rows]).await.unwrap(), []);
        assert_eq!(world.rows("SELECT id FROM t"), ["3"]);
    });
}
