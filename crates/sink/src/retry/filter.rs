use standpipe_core::{DeadLetter, StreamId};

/// Which dead letters are meant: those that fit all that is given, or every one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Those of this stream.
    pub stream: Option<StreamId>,
    /// Those that the database refused with this code, such as an SQLSTATE.
    pub code: Option<String>,
}

impl LetterFilter {
    /// Whether a letter is meant.
    #[must_use]
    pub fn takes(&self, letter: &DeadLetter) -> bool {
        self.stream.as_ref().is_none_or(|stream| letter.lane.stream == *stream)
            && self.code.as_ref().is_none_or(|code| letter.code.as_ref() == Some(code))
    }
}
