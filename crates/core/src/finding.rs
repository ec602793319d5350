use std::fmt;

/// What a target found when it looked at its own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: FindingLevel,
    /// What was looked at.
    pub subject: String,
    /// What was found and, where it is not well, what to do.
    pub message: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingLevel {
    /// As it should be.
    Fine,
    /// Works, at a price that is named.
    Notice,
    /// A promise is not kept, or loads will fail.
    Broken,
}

impl Finding {
    /// A finding of this level.
    #[must_use]
    pub fn new(level: FindingLevel, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Finding { level, subject: subject.into(), message: message.into() }
    }
}

impl fmt::Display for FindingLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            FindingLevel::Fine => "fine",
            FindingLevel::Notice => "notice",
            FindingLevel::Broken => "broken",
        })
    }
}
