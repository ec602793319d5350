use standpipe_core::{Column, ErrorKind, Schema, TableName, Target, Type};
use standpipe_testkit::block_on;

use crate::world::World;

#[test]
fn a_table_is_made_with_these_types() {
    block_on(async {
        let world = World::new().await;
        let columns: Vec<Column> = Type::ALL.into_iter().map(|kind| Column::new(kind.name(), kind)).collect();
        let schema = Schema::new(columns).unwrap();
        let table = TableName { schema: Some("main".to_owned()), name: "all".to_owned() };
        world.target.create(&table, &schema, &["int8".to_owned(), "date".to_owned()]).await.unwrap();
        let declared = [
            "bool BOOLEAN",
            "int2 INTEGER",
            "int4 INTEGER",
            "int8 INTEGER NOT NULL",
            "float4 REAL",
            "float8 REAL",
            "text TEXT",
            "bytea BLOB",
            "date DATE NOT NULL",
            "time TIME",
            "timestamp TIMESTAMP",
            "timestamptz TIMESTAMPTZ",
            "uuid TEXT",
            "json TEXT",
            "numeric TEXT",
        ];
        let made = world.rows(
            "SELECT name || ' ' || type || iif(\"notnull\", ' NOT NULL', '') FROM pragma_table_info('all')",
        );
        assert_eq!(made, declared);
        let shape = world.target.describe(&table).await.unwrap().unwrap();
        assert_eq!(shape.keys, [["int8", "date"]]);
        assert_eq!(shape.table, table);
    });
}

#[test]
fn a_foreign_table_is_described_by_its_rules() {
    block_on(async {
        let world = World::with(
            "CREATE TABLE t (
                Id INTEGER PRIMARY KEY, price DECIMAL(10,2) NOT NULL DEFAULT 0, at DATETIME, name VARCHAR(20) UNIQUE,
                anything, body BLOB, twice INTEGER AS (price * 2), total REAL AS (price) STORED,
                UNIQUE (name, at)
             );
             CREATE UNIQUE INDEX partial ON t (at) WHERE at IS NOT NULL;
             CREATE UNIQUE INDEX computed ON t (lower(name));
             CREATE TABLE w (a TEXT, b TEXT, PRIMARY KEY (b, a)) WITHOUT ROWID;
             CREATE VIEW v AS SELECT 1 AS id",
        )
        .await;
        let shape = world.target.describe(&TableName::new("T")).await.unwrap().unwrap();
        let column = |name: &str| shape.column(name).unwrap();
        let kinds: Vec<Type> = shape.columns.iter().map(|column| column.kind).collect();
        assert_eq!(
            kinds,
            [
                Type::Int8,
                Type::Text,
                Type::Text,
                Type::Text,
                Type::Text,
                Type::Bytea,
                Type::Int8,
                Type::Float8
            ]
        );
        assert!(column("id").has_default && column("price").has_default && !column("at").has_default);
        assert!(!column("price").nullable && column("name").nullable);
        assert!(column("twice").generated && column("total").generated && !column("body").generated);
        assert_eq!(shape.keys[0], ["Id"]);
        let mut others = shape.keys[1..].to_vec();
        others.sort();
        assert_eq!(others, [vec!["name".to_owned()], vec!["name".to_owned(), "at".to_owned()]]);

        let shape = world.target.describe(&TableName::new("w")).await.unwrap().unwrap();
        assert_eq!(shape.keys, [["b", "a"]]);
        assert!(shape.columns.iter().all(|column| !column.nullable && !column.has_default));

        let error = world.target.describe(&TableName::new("v")).await.unwrap_err();
        assert!(error.to_string().contains("v is a view"), "{error}");
        let elsewhere = TableName { schema: Some("public".to_owned()), name: "t".to_owned() };
        assert_eq!(world.target.describe(&elsewhere).await.unwrap_err().kind(), ErrorKind::Invalid);
    });
}

#[test]
fn what_sqlite_cannot_make_is_refused() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER)").await;
        let schema = Schema::new(vec![Column::new("id", Type::Int8)]).unwrap();
        let table = TableName::new("t");
        for (name, key) in [("sqlite_mine", vec![]), ("a\0b", vec![]), ("n", vec!["other".to_owned()])] {
            let error = world.target.create(&TableName::new(name), &schema, &key).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        }
        let error =
            world.target.add_column(&table, &Column::new("n", Type::Int8).not_null()).await.unwrap_err();
        assert!(error.to_string().contains("make \"n\" nullable"), "{error}");
        let error =
            world.target.add_column(&TableName::new("u"), &Column::new("n", Type::Int8)).await.unwrap_err();
        assert!(error.to_string().contains("there is no table u"), "{error}");
        world
            .target
            .add_column(&table, &Column::new("ID", Type::Text))
            .await
            .expect("it is there, in other case");
        assert_eq!(world.rows("SELECT count(*) FROM pragma_table_info('t')"), ["1"]);
    });
}
