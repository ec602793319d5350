use rusqlite::ErrorCode;
use standpipe_core::{Error, ErrorKind};

use crate::{
    error::{code_of, coded, said},
    worker::Worker,
};

/// Commits the open transaction. Whatever the answer, none is open afterwards.
pub(crate) fn commit(worker: &mut Worker) -> Result<(), Error> {
    if worker.connection.is_autocommit() {
        return Err(Error::retry("SQLite has rolled the transaction back; nothing was committed"));
    }
    let Err(error) = worker.connection.execute_batch("COMMIT") else { return Ok(()) };
    let failed = explain(worker, error);
    // Where it cannot even be rolled back, closing the connection does it.
    let _ = worker.roll_back();
    Err(failed)
}

fn explain(worker: &Worker, error: rusqlite::Error) -> Error {
    match code_of(&error) {
        // These are met before anything is written: readers in the way, or a deferred foreign key.
        Some(ErrorCode::DatabaseBusy | ErrorCode::ConstraintViolation) => worker.refused(error, "committing"),
        _ => {
            // The journal may or may not hold the commit by now. The connection goes, and with it what it believes.
            worker.mark_broken();
            let message = format!(
                "{}: the commit may or may not be on disk: {}",
                worker.place.path.display(),
                said(&error)
            );
            coded(ErrorKind::InDoubt, message, error)
        }
    }
}
