//! The target suite.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use standpipe_core::{TableName, Target, async_trait};
use standpipe_postgres::{Address, Postgres, Settings};
use standpipe_testkit::{TargetFixture, target_suite};

use crate::server::Database;

struct Server<'a> {
    database: &'a Database,
    case: u32,
    settings: Settings,
}

static CASE: AtomicU32 = AtomicU32::new(0);

#[async_trait]
impl TargetFixture for Server<'_> {
    async fn open(&self) -> Arc<dyn Target> {
        let address: Address = self.database.url.parse().unwrap();
        Arc::new(Postgres::new(&address, self.settings.clone()).unwrap())
    }

    async fn rows(&self, table: &TableName) -> Vec<Vec<Option<String>>> {
        self.database.rows(&format!("SELECT * FROM \"{}\" ORDER BY ctid", table.name)).await
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

    fn suffix(&self) -> String {
        format!("_{}", self.case)
    }
}

async fn run_all(test: &str, settings: Settings) {
    let Some(database) = Database::new(test).await else { return };
    for case in target_suite::CASES {
        let number = CASE.fetch_add(1, Ordering::Relaxed);
        // Each case has a ledger of its own.
        let ledger = TableName::new(format!("ledger_{number}"));
        let settings = Settings { ledger, ..settings.clone() };
        let fixture = Server { database: &database, case: number, settings };
        target_suite::run_case(&fixture, case).await;
    }
    database.end().await;
}

#[tokio::test]
async fn the_target_suite() {
    run_all("the_target_suite", Settings::default()).await;
}

#[tokio::test]
async fn the_target_suite_by_way_of_temporary_tables() {
    let settings = Settings { unnest_rows_max: 0, ..Settings::default() };
    run_all("the_target_suite_by_way_of_temporary_tables", settings).await;
}
