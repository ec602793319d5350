//! The target suite, each case on a database of its own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use rusqlite::{Connection, types::ValueRef};
use standpipe_core::{TableName, Target, async_trait};
use standpipe_sqlite::{Journal, Settings, Sqlite};
use standpipe_testkit::{TargetFixture, block_on, target_suite};
use tempfile::TempDir;

struct File {
    directory: TempDir,
    settings: Settings,
}

#[async_trait]
impl TargetFixture for File {
    async fn open(&self) -> Arc<dyn Target> {
        Arc::new(Sqlite::open(self.directory.path().join("suite.db"), self.settings.clone()).await.unwrap())
    }

    async fn rows(&self, table: &TableName) -> Vec<Vec<Option<String>>> {
        let connection = Connection::open(self.directory.path().join("suite.db")).unwrap();
        let query = format!("SELECT * FROM \"{}\" ORDER BY rowid", table.name.replace('"', "\"\""));
        let mut statement = connection.prepare(&query).unwrap();
        let columns = statement.column_count();
        let rows =
            statement.query_map([], |row| (0..columns).map(|column| row.get_ref(column).map(text)).collect());
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(value) => Some(value.to_string()),
        ValueRef::Real(value) => Some(value.to_string()),
        ValueRef::Text(bytes) => Some(String::from_utf8(bytes.to_vec()).unwrap()),
        ValueRef::Blob(bytes) => Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}

fn run_all(settings: &Settings) {
    for case in target_suite::CASES {
        let fixture = File { directory: tempfile::tempdir().unwrap(), settings: settings.clone() };
        block_on(target_suite::run_case(&fixture, case));
    }
}

#[test]
fn the_target_suite_with_a_write_ahead_log() {
    run_all(&Settings::default());
}

#[test]
fn the_target_suite_with_a_rollback_journal() {
    run_all(&Settings { journal: Journal::Keep, ..Settings::default() });
}
