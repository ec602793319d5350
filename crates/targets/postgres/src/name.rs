//! Names and texts as SQL has them.

use standpipe_core::{Error, TableName};

/// The longest name that PostgreSQL keeps whole, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// A name in quotes. Longer ones than PostgreSQL keeps are refused: it would cut them, and two could become one.
pub(crate) fn quoted(name: &str) -> Result<String, Error> {
    if name.is_empty() || name.contains('\0') || name.len() > NAME_BYTES_MAX {
        return Err(Error::invalid(format!(
            "{name:?} is no name for PostgreSQL, which takes 1 to {NAME_BYTES_MAX} bytes without NUL"
        )));
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// A table in quotes, with its schema if it is named.
pub(crate) fn quoted_table(table: &TableName) -> Result<String, Error> {
    match &table.schema {
        Some(schema) => Ok(format!("{}.{}", quoted(schema)?, quoted(&table.name)?)),
        None => quoted(&table.name),
    }
}

/// Names as an SQL list.
pub(crate) fn quoted_list<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<String, Error> {
    let names: Result<Vec<String>, Error> = names.into_iter().map(quoted).collect();
    Ok(names?.join(", "))
}

/// A text as a constant, whatever `standard_conforming_strings` is. It holds no NUL: callers have checked that, or the
/// server refuses the statement.
pub(crate) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 3);
    push_literal(text, &mut out);
    out
}

/// Appends [`literal`].
pub(crate) fn push_literal(text: &str, out: &mut String) {
    if text.contains('\\') {
        out.push_str(" E");
    }
    out.push('\'');
    for character in text.chars() {
        if matches!(character, '\'' | '\\') {
            out.push(character);
        }
        out.push(character);
    }
    out.push('\'');
}

/// A text for people in letters that every database has: others as `\u{3a9}`.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() { out.push(character) } else { out.extend(character.escape_unicode()) }
    }
    out
}

/// A text that may be missing.
pub(crate) fn literal_or_null(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), literal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_end_where_they_should() {
        assert_eq!(quoted("a\"b").unwrap(), "\"a\"\"b\"");
        assert!(quoted("").is_err());
        assert!(quoted(&"x".repeat(64)).is_err());
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), " E'a\\\\''b'");
    }
}
