use std::{
    fmt,
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use indicatif::ProgressBar;

/// How messages on standard error are told, so that they fit to the progress that is shown there.
pub(crate) enum Style {
    /// As lines.
    Lines,
    /// As lines above a bar.
    Above(ProgressBar),
    /// As JSON objects: `{"message": ...}`.
    Json,
}

static STYLE: Mutex<Style> = Mutex::new(Style::Lines);

/// Chooses how messages are told from now on.
pub(crate) fn set_style(style: Style) {
    *STYLE.lock().unwrap_or_else(PoisonError::into_inner) = style;
}

/// The first write to standard output that failed, other than for a reader that went away.
static UNTOLD: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints a line to standard output. A reader that went away is no error: what was asked for is done all the same.
pub(crate) fn say(line: impl fmt::Display) {
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush())
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        UNTOLD.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// Why not all that was to be said could be: for commands that are there for nothing but what they say.
pub(crate) fn untold() -> Option<io::Error> {
    UNTOLD.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Prints a message for people to standard error.
pub(crate) fn complain(message: impl fmt::Display) {
    let line = || {
        let _ = writeln!(io::stderr().lock(), "standpipe: {message}");
    };
    match &*STYLE.lock().unwrap_or_else(PoisonError::into_inner) {
        Style::Lines => line(),
        Style::Above(bar) => bar.suspend(line),
        Style::Json => {
            let _ =
                writeln!(io::stderr().lock(), "{}", serde_json::json!({ "message": message.to_string() }));
        }
    }
}

/// Prints a line to standard error as it is.
pub(crate) fn note(line: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Rows as a table with aligned columns.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}", width = *width))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(header.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

/// A target as it can be shown: without its password.
pub(crate) fn shown(place: &str) -> String {
    match place.parse::<standpipe::TargetUrl>() {
        Ok(url) => url.to_string(),
        Err(_) if place.contains("://") => "the target".to_owned(),
        Err(_) => place.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_aligned() {
        let rows = vec![vec!["a".to_owned(), "bcd".to_owned()], vec!["éfg".to_owned(), "h".to_owned()]];
        assert_eq!(table(&["x", "y"], &rows), "x    y\na    bcd\néfg  h");
    }
}
