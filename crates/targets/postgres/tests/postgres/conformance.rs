//! The target suite.

use std::sync::Arc;

use standpipe_core::{TableName, Target, async_trait};
use standpipe_postgres::{Address, Postgres, Settings};
use standpipe_testkit::{TargetFixture, target_suite};

use crate::server::Database;

/// A database by way of an address that leads to it.
pub(crate) struct Server<'a> {
    database: &'a Database,
    url: &'a str,
    /// Each case has a ledger and tables of its own.
    case: usize,
    settings: Settings,
}

#[async_trait]
impl TargetFixture for Server<'_> {
    async fn open(&self) -> Arc<dyn Target> {
        let address: Address = self.url.parse().unwrap();
        Arc::new(Postgres::new(&address, self.settings.clone()).unwrap())
    }

    async fn rows(&self, table: &TableName) -> Vec<Vec<Option<String>>> {
        self.database
            .rows(&format!("SELECT * FROM \"{}\" ORDER BY ctid", table.name.replace('"', "\"\"")))
            .await
    }

    /// Until nobody is about to ask for a lock: whoever runs or waits for one has been seen to wait, or is idle.
    async fn settle(&self) {
        for _ in 0..8 {
            let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
                        AND wait_event_type IS DISTINCT FROM 'Lock' AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
            if self.database.value(busy).await == "0" {
                tokio::task::yield_now().await;
            }
        }
    }

    fn empties_behind_a_lock(&self) -> bool {
        true // TRUNCATE
    }

    fn suffix(&self) -> String {
        format!("_{}", self.case)
    }
}

/// All cases, with these settings in turn.
pub(crate) async fn run_all(database: &Database, url: &str, settings: &[Settings]) {
    for ((case, of), settings) in target_suite::CASES.iter().enumerate().zip(settings.iter().cycle()) {
        let ledger = TableName::new(format!("ledger_{case}"));
        let settings = Settings { ledger, ..settings.clone() };
        target_suite::run_case(&Server { database, url, case, settings }, of).await;
    }
}

#[tokio::test]
async fn the_target_suite() {
    let Some(database) = Database::new("the_target_suite").await else { return };
    run_all(&database, &database.url, &[Settings::default()]).await;
    database.end().await;
}

#[tokio::test]
async fn the_target_suite_by_way_of_temporary_tables() {
    let Some(database) = Database::new("the_target_suite_by_way_of_temporary_tables").await else { return };
    let settings = Settings { unnest_rows_max: 0, ..Settings::default() };
    run_all(&database, &database.url, &[settings]).await;
    database.end().await;
}
