use std::{error::Error as _, fmt, process::ExitCode};

use standpipe::{Error, ErrorKind, SinkError};

/// How the command ends. The numbers are a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// 0: all applied.
    Applied,
    /// 3: some rows were dead-lettered.
    DeadLettered,
    /// 130: interrupted, after draining.
    Interrupted,
    /// 2: wrong usage, or input that is not what it was said to be.
    Usage,
    /// 4: the target refused or could not be reached.
    Refused,
    /// 5: data corruption.
    Corrupt,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Applied => 0,
            Exit::Usage => 2,
            Exit::DeadLettered => 3,
            Exit::Refused => 4,
            Exit::Corrupt => 5,
            Exit::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

/// Why the command could not do what it was asked, and how it ends.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure { exit: Exit::Usage, message: message.into() }
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Failure { exit: Exit::Refused, message: message.into() }
    }

    /// The same failure, told with where it happened.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = if error.kind() == ErrorKind::Corrupt { Exit::Corrupt } else { Exit::Refused };
        Failure { exit, message: with_cause(&error) }
    }
}

impl From<SinkError> for Failure {
    fn from(error: SinkError) -> Self {
        let exit = match (&error, error.kind()) {
            (SinkError::TooManyErrors { .. }, _) | (_, ErrorKind::Reject) => Exit::DeadLettered,
            (_, ErrorKind::Corrupt) => Exit::Corrupt,
            (SinkError::Invalid(_) | SinkError::TooLarge { .. }, _) => Exit::Usage,
            _ => Exit::Refused,
        };
        Failure { exit, message: error.to_string() }
    }
}

impl From<standpipe::log::LogError> for Failure {
    fn from(error: standpipe::log::LogError) -> Self {
        SinkError::from(error).into()
    }
}

/// The message, and its cause where the message does not say it already.
fn with_cause(error: &Error) -> String {
    let message = error.to_string();
    match error.source().map(ToString::to_string) {
        Some(cause) if !message.contains(&cause) => format!("{message}: {cause}"),
        _ => message,
    }
}
