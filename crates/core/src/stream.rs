use std::{fmt, sync::Arc};

use crate::Error;

/// The name under which a flow of rows keeps its place in a target's ledger.
///
/// Two writers with one stream id fence each other; two stream ids never meet. 1 to 1,024 bytes of text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// The longest id, in bytes.
    pub const BYTES_MAX: usize = 1024;

    /// Takes the name as it is.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when it is empty, longer than [`BYTES_MAX`](Self::BYTES_MAX) or holds a NUL.
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self, Error> {
        checked(name.into(), "a stream id").map(StreamId)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// Says which source a ledger's positions belong to: the id of a log, the fingerprint of a file, a topic's cluster.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SourceId(Arc<str>);

impl SourceId {
    /// Takes the text as it is.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when it is empty, longer than 1,024 bytes or holds a NUL.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, Error> {
        checked(text.into(), "a source id").map(SourceId)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// One lane of a stream: rows of one lane reach the target in the order in which they were written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId {
    /// The stream.
    pub stream: StreamId,
    /// The lane's number, from 0.
    pub lane: u32,
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {} lane {}", self.stream, self.lane)
    }
}

fn checked(text: Arc<str>, what: &str) -> Result<Arc<str>, Error> {
    if text.is_empty() || text.len() > StreamId::BYTES_MAX || text.contains('\0') {
        return Err(Error::invalid(format!(
            "{what} has 1 to {} bytes and no NUL; this one has {} bytes",
            StreamId::BYTES_MAX,
            text.len()
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::StreamId;

    #[test]
    fn s7_long_ids_are_taken_whole_or_refused() {
        let longest = "s".repeat(StreamId::BYTES_MAX);
        assert_eq!(StreamId::new(longest.as_str()).unwrap().as_str(), longest);
        assert!(StreamId::new(longest + "s").is_err());
        assert!(StreamId::new("").is_err());
        assert!(StreamId::new("a\0b").is_err());
    }
}
