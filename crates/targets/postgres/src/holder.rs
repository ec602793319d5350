//! Who holds what somebody waits for.

use std::time::Duration;

use standpipe_core::Error;

use crate::{
    link::{Answer, Link},
    postgres::Shared,
};

/// How long finding them may take: where all connections are taken, the error goes without.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many holders are named.
const HOLDERS_MAX: usize = 3;

/// Adds to a lock timeout who held the lock: transactions that have been open for longest, with their process and what
/// they run, and prepared ones by their id. Says nothing where the server cannot be asked.
pub(crate) async fn name(shared: &Shared, error: &mut Error) {
    let found = tokio::time::timeout(PATIENCE, async {
        let mut lease = shared.pool.acquire().await?;
        holders(&mut lease, &shared.ledger.table).await
    });
    let Ok(Ok(holders)) = found.await else { return };
    if holders.is_empty() {
        return;
    }
    let message = format!(
        "{error}; waited {:?} (lock_timeout) while these transactions are open: {}",
        shared.settings.lock_timeout,
        holders.join("; ")
    );
    *error = Error::new(error.kind(), message).with_code("55P03");
}

async fn holders(link: &mut Link, ledger: &str) -> Result<Vec<String>, Error> {
    let ledger = crate::name::literal(ledger);
    let query = format!(
        "SELECT 'pid ' || a.pid || ' of ' || coalesce(a.usename::text, '?') || coalesce(' on ' || host(a.client_addr), '') || \
           ' (' || coalesce(nullif(a.application_name, ''), 'no name') || ', ' || coalesce(a.state, '?') || ', open for ' || \
           round(extract(epoch FROM clock_timestamp() - a.xact_start))::text || ' s): ' || \
           left(regexp_replace(coalesce(a.query, '?'), '\\s+', ' ', 'g'), 120) \
         FROM pg_catalog.pg_stat_activity a WHERE a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL \
           AND a.datname = current_database() AND EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.pid = a.pid \
             AND l.granted AND (l.relation = to_regclass({ledger}) OR l.mode = 'AccessExclusiveLock') AND l.mode <> 'AccessShareLock') \
         ORDER BY a.xact_start LIMIT {HOLDERS_MAX}; \
         SELECT 'prepared transaction ' || p.gid || ' of ' || p.owner || ', since ' || p.prepared || \
           ' (COMMIT PREPARED or ROLLBACK PREPARED ends it)' \
         FROM pg_catalog.pg_prepared_xacts p WHERE p.database = current_database() \
           AND EXISTS (SELECT FROM pg_catalog.pg_locks x JOIN pg_catalog.pg_locks l USING (virtualtransaction) \
             WHERE x.transactionid = p.transaction AND x.granted AND x.pid IS NULL AND l.pid IS NULL AND (l.relation = to_regclass({ledger}) OR l.mode = 'AccessExclusiveLock')) \
         ORDER BY p.prepared LIMIT {HOLDERS_MAX}"
    );
    let answer = link.ask(&query).await.map_err(|failure| failure.explain("looking for who holds a lock"))?;
    answer.rows.iter().map(|row| Answer::text(row, 0).map(str::to_owned)).collect()
}
