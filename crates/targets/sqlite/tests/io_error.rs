//! A disk that fails at COMMIT. Alone in its process, because the limit that stands in for the disk is the process's.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use standpipe_core::{
    Advance, Batch, Branch, Claim, ClaimRequest, Column, Destination, ErrorKind, Resolution, Schema,
    SourceId, StreamId, TableName, Target, Type, Window,
};
use standpipe_row::BlockBuilder;
use standpipe_sqlite::{Settings, Sqlite};
use standpipe_testkit::block_on;

const SIGXFSZ: i32 = 25;

#[test]
fn an_io_error_at_commit_is_in_doubt_and_resolved_from_the_ledger() {
    // With a handler, a write beyond the limit fails instead of ending the process.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).unwrap();
    let unlimited = getrlimit(Resource::Fsize);
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let target = Sqlite::open(directory.path().join("io.db"), Settings::default()).await.unwrap();
        let schema = Arc::new(Schema::new(vec![Column::new("body", Type::Text)]).unwrap());
        target.create(&TableName::new("t"), &schema, &[]).await.unwrap();
        let claim = target.claim(&request()).await.unwrap().remove(0);

        let branch = loaded(&target, &claim, &schema).await;
        setrlimit(Resource::Fsize, Rlimit { current: Some(256 << 10), ..unlimited }).unwrap();
        let outcome = branch.commit().await;
        setrlimit(Resource::Fsize, unlimited).unwrap();
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InDoubt, "{error}");

        let moves = [(claim.clone(), 9)];
        assert_eq!(target.resolve(&moves).await.unwrap(), Resolution::NotCommitted);
        loaded(&target, &claim, &schema).await.commit().await.unwrap();
        assert_eq!(target.resolve(&moves).await.unwrap(), Resolution::Committed);
        target.close().await.unwrap();
        let rows = rusqlite::Connection::open(directory.path().join("io.db")).unwrap().query_row(
            "SELECT count(*) FROM t",
            [],
            |row| row.get::<_, i64>(0),
        );
        assert_eq!(rows.unwrap(), 1000);
    });
}

/// A megabyte of rows, which SQLite keeps in memory until COMMIT.
async fn loaded(target: &Sqlite, claim: &Claim, schema: &Arc<Schema>) -> Box<dyn Branch> {
    let mut builder = BlockBuilder::new(Arc::clone(schema));
    for _ in 0..1000 {
        builder.begin_row().text(&"x".repeat(1000)).end_row().unwrap();
    }
    let destination = Arc::new(Destination::append(TableName::new("t")));
    let batch = Batch { lane: claim.lane.clone(), destination, blocks: vec![builder.finish()] };
    let mut branch = target.begin(&[claim], None).await.unwrap();
    assert_eq!(branch.write(&batch).await.unwrap(), []);
    let to = Advance { position: 9, source_position: String::new(), complete: false };
    branch.advance(claim, &to).await.unwrap();
    branch
}

fn request() -> ClaimRequest {
    ClaimRequest {
        stream: StreamId::new("s").unwrap(),
        lanes: None,
        source: SourceId::new("test").unwrap(),
        window: Window::everything(),
        origin: 1,
        reopen: false,
        owner: "test".to_owned(),
    }
}
