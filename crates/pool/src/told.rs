//! One error for many: each who waited gets its kind, text, code and causes.

use std::{error, fmt, sync::Arc};

use standpipe_core::{Error, ErrorKind};

pub(crate) fn told(error: &Arc<Error>) -> Error {
    let mut copy = match &**error {
        Error::Other { kind, message, .. } => Error::new(*kind, message.clone()),
        other => Error::new(other.kind(), other.to_string()),
    };
    if let Some(code) = error.code() {
        copy = copy.with_code(code);
    }
    if error::Error::source(&**error).is_some() {
        copy = copy.with_source(Cause(Arc::clone(error)));
    }
    copy
}

/// The cause of a shared error, shared with it.
#[derive(Debug)]
struct Cause(Arc<Error>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match error::Error::source(&*self.0) {
            Some(cause) => fmt::Display::fmt(cause, f),
            None => Ok(()),
        }
    }
}

impl error::Error for Cause {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        error::Error::source(&*self.0)?.source()
    }
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the pool is closed")
}

/// Nobody came in time; what the last connect failed of is told with it.
pub(crate) fn timed_out(waited: std::time::Duration, last: Option<&Arc<Error>>, connects: bool) -> Error {
    match last {
        Some(last) => {
            Error::retry(format!("no connection came within {waited:?}; the last connect failed: {last}"))
                .with_source(told(last))
        }
        None if connects => {
            Error::retry(format!("no connection came within {waited:?}: a connect is still under way"))
        }
        None => Error::retry(format!("no connection came within {waited:?}: all are in use")),
    }
}
