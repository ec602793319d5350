//! The password file: a line for each server, as libpq reads it. <https://www.postgresql.org/docs/current/libpq-pgpass.html>

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The password of the first line that fits, from `path`, `PGPASSFILE` or `~/.pgpass`. A file that others may read is
/// passed over, and that is logged.
pub(crate) fn password(path: Option<&str>, server: &[&str; 4]) -> Option<String> {
    let path = match path.map(PathBuf::from).or_else(|| env::var_os("PGPASSFILE").map(PathBuf::from)) {
        Some(path) => path,
        None => Path::new(&env::var_os("HOME")?).join(".pgpass"),
    };
    let text = fs::read_to_string(&path).ok()?;
    if is_open(&path) {
        tracing::warn!(path = %path.display(), "the password file is not used: others may read it; chmod 0600");
        return None;
    }
    text.lines().find_map(|line| fitting(line, server))
}

#[cfg(unix)]
fn is_open(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open(_: &Path) -> bool {
    false
}

fn fitting(line: &str, server: &[&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let fields = fields(line);
    let (password, place) = fields.split_last()?;
    let fits = place.len() == 4
        && place
            .iter()
            .zip(server)
            .all(|(field, is)| field.text == *is || (field.text == "*" && !field.is_escaped));
    fits.then(|| password.text.clone())
}

#[derive(Default)]
struct Field {
    text: String,
    is_escaped: bool,
}

fn fields(line: &str) -> Vec<Field> {
    let mut fields = vec![Field::default()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let count = fields.len();
        let Some(last) = fields.last_mut() else { break };
        match character {
            ':' if count < 5 => fields.push(Field::default()),
            '\\' => {
                last.is_escaped = true;
                last.text.extend(characters.next());
            }
            character => last.text.push(character),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let of = |line: &str| fitting(line, &["h", "5432", "d", "u"]);
        assert_eq!(of("h:5432:d:u:se:cr\\:et").as_deref(), Some("se:cr:et"));
        assert_eq!(of("*:*:*:u:x").as_deref(), Some("x"));
        assert_eq!(of("\\*:*:*:u:x"), None);
        assert_eq!(of("#h:5432:d:u:x"), None);
        assert_eq!(of("other:*:*:*:x"), None);
        assert_eq!(of("h:5432:d"), None);
    }
}
