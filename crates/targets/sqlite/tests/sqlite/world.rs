//! A database file, and what most tests do with it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use rusqlite::Connection;
use standpipe_core::{
    Advance, Batch, Block, Branch, Claim, ClaimRequest, Column, Destination, Error, Mode, Reject, Schema,
    SourceId, StreamId, TableName, Target, Type, Window,
};
use standpipe_row::BlockBuilder;
use standpipe_sqlite::{Settings, Sqlite};
use tempfile::TempDir;

pub(crate) struct World {
    pub(crate) directory: TempDir,
    pub(crate) target: Sqlite,
}

impl World {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let target = Sqlite::open(directory.path().join("w.db"), impatient()).await.unwrap();
        World { directory, target }
    }

    /// With the tables that this SQL makes.
    pub(crate) async fn with(sql: &str) -> Self {
        let world = World::new().await;
        world.sqlite().execute_batch(sql).unwrap();
        world
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("w.db")
    }

    /// A connection that knows nothing of us.
    pub(crate) fn sqlite(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    /// Another handle, as another process would have it.
    pub(crate) async fn other(&self) -> Sqlite {
        Sqlite::open(self.path(), impatient()).await.unwrap()
    }

    /// The rows of a query, as text, `|` between the columns.
    pub(crate) fn rows(&self, query: &str) -> Vec<String> {
        let connection = self.sqlite();
        let mut statement = connection.prepare(query).unwrap();
        let columns = statement.column_count();
        let line = |row: &rusqlite::Row<'_>| {
            let value = |column| match row.get_ref(column).unwrap() {
                rusqlite::types::ValueRef::Null => "NULL".to_owned(),
                rusqlite::types::ValueRef::Integer(value) => value.to_string(),
                rusqlite::types::ValueRef::Real(value) => format!("{value:?}"),
                rusqlite::types::ValueRef::Text(value) => String::from_utf8(value.to_vec()).unwrap(),
                rusqlite::types::ValueRef::Blob(value) => format!("{value:02x?}"),
            };
            Ok((0..columns).map(value).collect::<Vec<_>>().join("|"))
        };
        statement.query_map([], line).unwrap().collect::<Result<_, _>>().unwrap()
    }

    pub(crate) async fn claim(&self, stream: &str) -> Claim {
        claim(&self.target, stream).await.unwrap()
    }

    /// Writes the blocks in a commit of their own.
    pub(crate) async fn load(
        &self,
        destination: &Destination,
        blocks: Vec<Block>,
    ) -> Result<Vec<Reject>, Error> {
        let claim = self.claim("load").await;
        let mut branch = self.target.begin(&[&claim], None).await?;
        let rejects = branch.write(&batch(&claim, destination, blocks)).await?;
        branch.advance(&claim, &to(claim.position + 1)).await?;
        branch.commit().await?;
        Ok(rejects)
    }
}

/// Short, for tests that wait for a lock that nobody will give.
pub(crate) fn impatient() -> Settings {
    Settings { busy_timeout: Duration::from_millis(300), ..Settings::default() }
}

pub(crate) fn request(stream: &str) -> ClaimRequest {
    ClaimRequest {
        stream: StreamId::new(stream).unwrap(),
        lanes: None,
        source: SourceId::new("test").unwrap(),
        window: Window::everything(),
        origin: 1,
        reopen: false,
        owner: "test".to_owned(),
    }
}

pub(crate) async fn claim(target: &Sqlite, stream: &str) -> Result<Claim, Error> {
    target.claim(&request(stream)).await.map(|mut claims| claims.remove(0))
}

pub(crate) fn to(position: u64) -> Advance {
    Advance { position, source_position: String::new(), complete: false }
}

pub(crate) fn batch(claim: &Claim, destination: &Destination, blocks: Vec<Block>) -> Batch {
    Batch { lane: claim.lane.clone(), destination: Arc::new(destination.clone()), blocks }
}

pub(crate) fn into_table(mode: Mode, table: &str, key: &[&str]) -> Destination {
    let key = key.iter().map(|column| (*column).to_owned()).collect();
    Destination { table: TableName::new(table), mode, key }
}

pub(crate) fn append(table: &str) -> Destination {
    into_table(Mode::Append, table, &[])
}

/// A block of rows that `fill` writes.
pub(crate) fn block<R>(
    columns: &[(&str, Type)],
    rows: impl IntoIterator<Item = R>,
    fill: impl Fn(&mut BlockBuilder, R),
) -> Block {
    let columns = columns.iter().map(|(name, kind)| Column::new(*name, *kind)).collect();
    let mut builder = BlockBuilder::new(Arc::new(Schema::new(columns).unwrap()));
    for row in rows {
        builder.begin_row();
        fill(&mut builder, row);
        builder.end_row().unwrap();
    }
    builder.finish()
}

/// `id int8, name text`
pub(crate) fn pairs(rows: &[(Option<i64>, Option<&str>)]) -> Block {
    block(&[("id", Type::Int8), ("name", Type::Text)], rows, |builder, (id, name)| {
        match id {
            Some(id) => builder.int(*id),
            None => builder.null(),
        };
        match name {
            Some(name) => builder.text(name),
            None => builder.null(),
        };
    })
}

pub(crate) fn ids(ids: impl IntoIterator<Item = i64>) -> Block {
    block(&[("id", Type::Int8)], ids, |builder, id| {
        builder.int(id);
    })
}

pub(crate) async fn begin(target: &Sqlite, claim: &Claim) -> Box<dyn Branch> {
    target.begin(&[claim], None).await.unwrap()
}
