use std::{error, fmt};

/// Why a row was not taken: the column at fault, what was expected and what was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// The column at fault, if one is.
    pub column: Option<String>,
    /// What was expected and what was there.
    pub reason: String,
}

impl RowError {
    /// A fault of the row as a whole.
    #[must_use]
    pub fn of_row(reason: impl Into<String>) -> Self {
        RowError { column: None, reason: reason.into() }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "column {column:?}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl error::Error for RowError {}

/// A parser's complaint: what it expected. Static, so that a parser's result stays in registers.
pub(crate) type Expected = &'static str;

/// The most characters of a value that a message repeats.
const SHOWN_CHARS_MAX: usize = 80;

/// A value as messages show it: quoted, escaped, cut.
pub(crate) fn shown(value: &[u8]) -> String {
    // A character has at most 4 bytes: what is cut here could not be shown anyway.
    let head = &value[..value.len().min(SHOWN_CHARS_MAX * 4 + 4)];
    let text = String::from_utf8_lossy(head);
    let mut chars = text.chars();
    let cut: String = chars.by_ref().take(SHOWN_CHARS_MAX).collect();
    if chars.next().is_some() || head.len() < value.len() {
        format!("{cut:?}… ({} bytes)", value.len())
    } else {
        format!("{cut:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn long_values_are_cut() {
        assert_eq!(shown(b"a\"b\n"), r#""a\"b\n""#);
        let long = shown(&[b'x'; 1000]);
        assert_eq!(long, format!("\"{}\"… (1000 bytes)", "x".repeat(80)));
        assert_eq!(shown(b"\xff"), "\"\u{fffd}\"");
    }
}
