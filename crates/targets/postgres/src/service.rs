//! The connection service file: settings of a server under one name, as libpq reads them.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use standpipe_core::Error;

/// The settings of a service, from `PGSERVICEFILE` or `~/.pg_service.conf`, then from `PGSYSCONFDIR`.
///
/// # Errors
/// No file has it, or a line cannot be read.
pub(crate) fn settings(service: &str) -> Result<Vec<(String, String)>, Error> {
    let mut looked = Vec::new();
    for path in files() {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if let Some(settings) = section(&text, service, &path)? {
            return Ok(settings);
        }
        looked.push(path.display().to_string());
    }
    let places = if looked.is_empty() {
        "there is no service file: set PGSERVICEFILE, or make ~/.pg_service.conf".to_owned()
    } else {
        format!("looked in {}", looked.join(", "))
    };
    Err(Error::invalid(format!("service {service:?} is not defined; {places}")))
}

fn files() -> Vec<PathBuf> {
    let of_user = match env::var_os("PGSERVICEFILE") {
        Some(path) => Some(PathBuf::from(path)),
        None => env::var_os("HOME").map(|home| Path::new(&home).join(".pg_service.conf")),
    };
    let system = env::var_os("PGSYSCONFDIR").unwrap_or_else(|| "/etc/postgresql-common".into());
    of_user.into_iter().chain([Path::new(&system).join("pg_service.conf")]).collect()
}

fn section(text: &str, service: &str, path: &Path) -> Result<Option<Vec<(String, String)>>, Error> {
    let mut found: Option<Vec<(String, String)>> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            if found.is_some() {
                break;
            }
            found = (name == service).then(Vec::new);
            continue;
        }
        let Some(settings) = &mut found else { continue };
        let Some((key, value)) = line.split_once('=') else {
            return Err(Error::invalid(format!("{}:{number}: no key=value", path.display())));
        };
        settings.push((key.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let text = "# all\n[a]\nhost=one\n\n[b]\nhost = two\nport=5433\n[c]\nhost=three\n";
        let path = Path::new("f");
        let found = section(text, "b", path).unwrap().unwrap();
        assert_eq!(found, [("host".to_owned(), "two".to_owned()), ("port".to_owned(), "5433".to_owned())]);
        assert!(section(text, "d", path).unwrap().is_none());
        assert!(section("[a]\nnonsense\n", "a", path).is_err());
    }
}
