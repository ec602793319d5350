use std::{fs, path::Path};

use super::named;

/// The records of the source, as lines. The data has no quotes, so a line is a record; that is checked.
pub(crate) struct Source {
    pub(crate) header: String,
    pub(crate) records: Vec<String>,
}

impl Source {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(named(path))?;
        if text.contains('"') {
            return Err(format!("{}: quoted fields need a reader of their own", path.display()));
        }
        let mut lines = text.lines().map(str::to_owned);
        let header = lines.next().ok_or_else(|| format!("{}: empty", path.display()))?;
        Ok(Source { header, records: lines.collect() })
    }
}
