use std::{fmt, io, path::Path};

/// Why a server can't be had. A stage that needs it is skipped with these words; in CI that is a failure.
#[derive(Clone, Debug)]
pub(crate) struct Unavailable(String);

impl Unavailable {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Unavailable(why.into())
    }

    /// Turns an I/O error at this path into a reason.
    pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Unavailable(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Unavailable> for String {
    fn from(why: Unavailable) -> Self {
        why.0
    }
}

impl From<String> for Unavailable {
    fn from(why: String) -> Self {
        Unavailable(why)
    }
}
