use std::{error::Error as _, fmt, io, process::ExitCode};

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
    /// The line of the input that it is about.
    line: Option<u64>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure { exit, message: message.into(), line: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure::new(Exit::Usage, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Failure::new(Exit::Refused, message)
    }

    /// An input that cannot be read; one that is damaged has an exit code of its own.
    pub(crate) fn of_reading(message: impl Into<String>, error: &io::Error) -> Self {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        // What decompressors say of bytes that are damaged or cut.
        let is_damage = matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof);
        Failure::new(if is_damage { Exit::Corrupt } else { Exit::Usage }, message)
    }

    /// Tells the line of the input that it is about.
    pub(crate) fn on_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    /// The same failure, told with where it happened.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        let line = self.line.take().map_or(String::new(), |line| format!(":{line}"));
        self.message = format!("{place}{line}: {}", self.message);
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
        Failure::new(exit, with_cause(&error))
    }
}

impl From<SinkError> for Failure {
    fn from(error: SinkError) -> Self {
        let exit = match (root(&error), error.kind()) {
            (SinkError::TooManyErrors { .. }, _) | (_, ErrorKind::Reject) => Exit::DeadLettered,
            (_, ErrorKind::Corrupt) => Exit::Corrupt,
            (SinkError::Invalid(_) | SinkError::TooLarge { .. }, _) => Exit::Usage,
            _ => Exit::Refused,
        };
        let message = match root(&error) {
            error @ SinkError::TooManyErrors { .. } => format!(
                "{error}. That is more than --max-errors allows: the batch that passed the limit was not committed. Mend \
                 the input or raise --max-errors, and run the same command again"
            ),
            SinkError::Target(error) if error.kind() == ErrorKind::Fenced => {
                format!("{error}. What it had committed stays; the other run does the rest")
            }
            SinkError::Target(error) if error.kind() == ErrorKind::Retry => gave_up(with_cause(error)),
            SinkError::Target(error) => with_cause(error),
            error => error.to_string(),
        };
        Failure::new(exit, message)
    }
}

impl From<standpipe::log::LogError> for Failure {
    fn from(error: standpipe::log::LogError) -> Self {
        SinkError::from(error).into()
    }
}

/// What could have succeeded later, and did not for as long as was waited.
fn gave_up(mut message: String) -> String {
    if message.contains("SQLITE_FULL") && !message.contains("make room") {
        message.push_str("; make room on the disk");
    }
    message.push_str(
        ". It was tried for as long as --retry-for says; the same command goes on where this one stopped",
    );
    message
}

/// Why a stream stopped: its name says nothing that the input's does not.
fn root(error: &SinkError) -> &SinkError {
    match error {
        SinkError::Stream { cause, .. } => root(cause),
        error => error,
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
