use sqlx_core::{Error, database::Database, executor::Executor, transaction::TransactionManager};

/// Ends whatever transaction is open, with a round trip: one that was begun through sqlx, which counts those, or by a
/// `BEGIN` that somebody sent, of which sqlx knows nothing.
///
/// # Errors
/// It is not known to have no transaction open; do not lend it.
///
/// # Cancel safety
/// Dropped midway, a transaction may be open still. It can be called again.
pub async fn roll_back<DB>(connection: &mut DB::Connection) -> Result<(), Error>
where
    DB: Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    for _ in 0..DB::TransactionManager::get_transaction_depth(connection) {
        DB::TransactionManager::rollback(connection).await?;
    }
    // PostgreSQL warns of a ROLLBACK without a transaction, and sqlx would log that each time.
    let statement = if DB::NAME == POSTGRES { "BEGIN; ROLLBACK" } else { "ROLLBACK" };
    let Err(error) = connection.execute(statement).await else { return Ok(()) };
    if is_none_open(&error) {
        return Ok(());
    }
    if DB::NAME == POSTGRES && has_failed(&error) {
        connection.execute("ROLLBACK").await?;
        return Ok(());
    }
    Err(error)
}

const POSTGRES: &str = "PostgreSQL";

/// SQLite's answer. Its code is 1, which is its code for nearly everything.
fn is_none_open(error: &Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().contains("no transaction is active"))
}

/// PostgreSQL's `in_failed_sql_transaction`: it wants a ROLLBACK and nothing else.
fn has_failed(error: &Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "25P02")
}
