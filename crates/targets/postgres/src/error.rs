//! What the server refuses, as errors of the house.

use std::io;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;
use standpipe_core::{Error, ErrorKind};

use crate::sqlstate;

/// What a call on a connection came to that did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server refused a statement; the connection is well.
    Server(Box<Refusal>),
    /// The connection is lost or unusable.
    Connection(Error),
}

/// What the server said.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
    pub(crate) column: Option<String>,
    /// Where it was at, a line for each level.
    pub(crate) context: Option<String>,
    /// The connection ends with it.
    pub(crate) is_fatal: bool,
}

impl Refusal {
    /// Reads what an error's message says.
    ///
    /// # Errors
    /// The message is none.
    pub(crate) fn of(mut fields: ErrorFields<'_>) -> io::Result<Self> {
        let mut refusal = Refusal {
            code: String::new(),
            message: String::new(),
            detail: None,
            hint: None,
            column: None,
            context: None,
            is_fatal: false,
        };
        let (mut severity, mut severity_local) = (None, None);
        while let Some(field) = fields.next()? {
            // The server speaks the database's encoding until it knows ours.
            let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
            let text = if field.type_() == b'W' { text } else { cut(text) };
            match field.type_() {
                b'C' => refusal.code = text,
                b'M' => refusal.message = text,
                b'D' => refusal.detail = Some(text),
                b'H' => refusal.hint = Some(text),
                b'c' => refusal.column = Some(text),
                b'W' => refusal.context = Some(text),
                b'V' => severity = Some(text),
                b'S' => severity_local = Some(text),
                _ => {}
            }
        }
        refusal.is_fatal = matches!(severity.or(severity_local).as_deref(), Some("FATAL" | "PANIC"));
        Ok(refusal)
    }

    /// The server's words in one line.
    pub(crate) fn said(&self) -> String {
        let mut said = self.message.clone();
        if let Some(detail) = &self.detail {
            said = format!("{said}: {detail}");
        }
        said
    }

    /// The error for callers: what happened, and what they can do.
    pub(crate) fn explain(&self, doing: &str) -> Error {
        self.as_kind(sqlstate::of(&self.code), doing)
    }

    pub(crate) fn as_kind(&self, kind: ErrorKind, doing: &str) -> Error {
        let advice = match (sqlstate::advice(&self.code), &self.hint) {
            (Some(advice), _) => format!("; {advice}"),
            (None, Some(hint)) => format!("; {hint}"),
            (None, None) => String::new(),
        };
        Error::new(kind, format!("{doing}: {}{advice}", self.said())).with_code(self.code.clone())
    }
}

/// A trigger may say whatever it likes, in as many bytes.
const SAID_BYTES_MAX: usize = 8 * 1024;

fn cut(text: String) -> String {
    if text.len() <= SAID_BYTES_MAX {
        return text;
    }
    let kept = &text[..text.floor_char_boundary(SAID_BYTES_MAX)];
    format!("{kept} .. ({} bytes)", text.len())
}

impl Failure {
    /// Whether nothing can be asked of the connection any more.
    pub(crate) fn ends_connection(&self) -> bool {
        match self {
            Failure::Server(refusal) => refusal.is_fatal,
            Failure::Connection(_) => true,
        }
    }

    /// The error for callers.
    pub(crate) fn explain(self, doing: &str) -> Error {
        match self {
            Failure::Server(refusal) => refusal.explain(doing),
            Failure::Connection(error) => {
                let kind = error.kind();
                Error::new(kind, format!("{doing}: {error}")).with_source(error)
            }
        }
    }
}
