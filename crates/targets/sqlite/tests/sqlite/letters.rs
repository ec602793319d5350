use std::sync::Arc;

use bytes::Bytes;
use standpipe_core::{Claim, DeadLetter, ErrorKind, LetterPage, TableName, Target};
use standpipe_testkit::block_on;

use crate::world::{World, begin};

fn letter(claim: &Claim, ordinal: u32, row: &'static [u8]) -> DeadLetter {
    DeadLetter {
        lane: claim.lane.clone(),
        position: claim.position,
        ordinal,
        table: TableName::new("t"),
        origin: Arc::from("in'put.csv"),
        line: (ordinal > 0).then_some(77),
        column: (ordinal > 0).then(|| "na\"me".to_owned()),
        code: (ordinal > 1).then(|| "SQLITE_CONSTRAINT_CHECK".to_owned()),
        reason: "expected a number, found \u{1f6b0}".to_owned(),
        row: Bytes::from_static(row),
    }
}

#[test]
fn letters_come_back_as_they_were_and_a_retry_does_not_double_them() {
    block_on(async {
        let world = World::new().await;
        let table = TableName::new("my letters");
        let claim = world.claim("s").await;
        let letters = [letter(&claim, 0, b"1,2,3"), letter(&claim, 1, b"\xff\x00"), letter(&claim, 2, b"")];
        for _ in 0..2 {
            let mut branch = begin(&world.target, &claim).await;
            branch.dead_letter(&table, &letters[..2]).await.unwrap();
            branch.dead_letter(&table, &letters[2..]).await.unwrap();
            branch.commit().await.unwrap();
        }
        assert_eq!(world.target.dead_letters(&table, &LetterPage::first(10)).await.unwrap(), letters);
        assert_eq!(world.target.dead_letters(&table, &LetterPage::first(2)).await.unwrap(), letters[..2]);
        assert_eq!(
            world.rows("SELECT typeof(row) FROM \"my letters\" ORDER BY ordinal"),
            ["text", "blob", "text"]
        );
    });
}

#[test]
fn a_table_of_another_shape_is_no_place_for_letters() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER)").await;
        let claim = world.claim("s").await;
        let mut branch = begin(&world.target, &claim).await;
        let error = branch.dead_letter(&TableName::new("t"), &[letter(&claim, 0, b"x")]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("dead letters in t"), "{error}");
    });
}
