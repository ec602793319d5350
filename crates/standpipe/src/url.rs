use std::{fmt, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use standpipe_core::{Error, TableName, Target};

/// Where a load goes: `sqlite:PATH`, `postgres://USER@HOST:PORT/DATABASE`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetUrl {
    /// A SQLite database file.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server, by its URL. Shown without the password.
    #[cfg(feature = "postgres")]
    Postgres(Box<PostgresUrl>),
}

/// A database of a PostgreSQL server, and where its ledger is.
#[cfg(feature = "postgres")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresUrl {
    /// The server and the database.
    pub address: standpipe_postgres::Address,
    /// The ledger's table, where `ledger=[SCHEMA.]TABLE` in the URL's query says one.
    pub ledger: Option<TableName>,
}

#[cfg(feature = "postgres")]
impl FromStr for PostgresUrl {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self, Error> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let (ours, theirs): (Vec<&str>, Vec<&str>) =
            query.split('&').filter(|pair| !pair.is_empty()).partition(|pair| pair.starts_with("ledger="));
        let ledger = ours.last().and_then(|pair| pair.strip_prefix("ledger=")).map(split_table);
        let address = if theirs.is_empty() {
            place.parse()?
        } else {
            format!("{place}?{}", theirs.join("&")).parse()?
        };
        Ok(PostgresUrl { address, ledger })
    }
}

/// `SCHEMA.TABLE`, or a table alone. A name in quotes may hold a dot: `"we.ird"`, `"a.schema"."we.ird"`.
#[cfg(feature = "postgres")]
fn split_table(text: &str) -> TableName {
    let (schema, name) = match quoted(text) {
        Some((name, "")) => return TableName::new(name),
        Some((schema, rest)) if rest.starts_with('.') => (schema, &rest[1..]),
        _ => match text.split_once('.') {
            Some((schema, name)) => (schema.to_owned(), name),
            None => return TableName::new(text),
        },
    };
    let name = match quoted(name) {
        Some((name, "")) => name,
        _ => name.to_owned(),
    };
    TableName { schema: Some(schema), name }
}

/// The name in quotes that a text begins with, and what follows. A quote within is written twice.
#[cfg(feature = "postgres")]
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut name = String::new();
    loop {
        let (before, behind) = rest.split_once('"')?;
        name.push_str(before);
        match behind.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return (!name.is_empty()).then_some((name, behind)),
        }
    }
}

impl FromStr for TargetUrl {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self, Error> {
        let (scheme, rest) = url.split_once(':').ok_or_else(|| {
            // Something else than a URL may hold a password.
            let shown = if url.contains(['=', '@']) { "this" } else { url };
            Error::invalid(format!(
                "{shown:?} is no target; targets look like sqlite:PATH or postgres://USER@HOST/DATABASE, for example \
                 sqlite:flights.db"
            ))
        })?;
        match scheme {
            "sqlite" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.is_empty() || path == ":memory:" {
                    return Err(Error::invalid(
                        "sqlite: needs the path of a database file, for example sqlite:flights.db",
                    ));
                }
                Ok(TargetUrl::Sqlite(PathBuf::from(path)))
            }
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => Ok(TargetUrl::Postgres(Box::new(url.parse()?))),
            other => Err(Error::invalid(format!(
                "{other}: is no target of this build; it knows {}",
                known().join(" and ")
            ))),
        }
    }
}

fn known() -> Vec<&'static str> {
    let postgres = cfg!(feature = "postgres").then_some("postgres://USER@HOST:PORT/DATABASE");
    ["sqlite:PATH"].into_iter().chain(postgres).collect()
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TargetUrl::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            #[cfg(feature = "postgres")]
            TargetUrl::Postgres(url) => url.address.fmt(f),
        }
    }
}

impl TargetUrl {
    /// The same place, however the path to it was written: what state about this target is filed under.
    #[must_use]
    pub fn canonical(&self) -> String {
        match self {
            TargetUrl::Sqlite(path) => format!("sqlite:{}", absolute(path).display()),
            #[cfg(feature = "postgres")]
            TargetUrl::Postgres(url) => url.address.place(),
        }
    }

    /// The table of a name as users write it: `SCHEMA.TABLE` where the target has schemas; a name in quotes may hold a dot.
    #[must_use]
    pub fn table(&self, text: &str) -> TableName {
        match self {
            TargetUrl::Sqlite(_) => TableName::new(text),
            #[cfg(feature = "postgres")]
            TargetUrl::Postgres(_) => split_table(text),
        }
    }
}

/// The path without links and dots, also for a file that is not there yet.
fn absolute(path: &std::path::Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    let parent =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    match (parent.canonicalize(), path.file_name()) {
        (Ok(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}

/// Opens the target of a URL. `create` makes the database file if it is absent.
///
/// # Errors
/// What the target says, or that this build was made without it.
pub async fn open_target(url: &TargetUrl, create: bool) -> Result<Arc<dyn Target>, Error> {
    open_target_within(url, create, Duration::from_secs(10)).await
}

/// [`open_target`], with how long one call waits for somebody else's lock (10 s there).
///
/// # Errors
/// As `open_target`.
pub async fn open_target_within(
    url: &TargetUrl,
    create: bool,
    patience: Duration,
) -> Result<Arc<dyn Target>, Error> {
    match url {
        #[cfg(feature = "sqlite")]
        TargetUrl::Sqlite(path) => {
            let settings = standpipe_sqlite::Settings {
                create,
                busy_timeout: patience,
                ..standpipe_sqlite::Settings::default()
            };
            Ok(Arc::new(standpipe_sqlite::Sqlite::open(path, settings).await?))
        }
        #[cfg(feature = "postgres")]
        TargetUrl::Postgres(url) => {
            let default = standpipe_postgres::Settings::default();
            let settings = standpipe_postgres::Settings {
                lock_timeout: patience,
                ledger: url.ledger.clone().unwrap_or(default.ledger.clone()),
                ..default
            };
            Ok(Arc::new(standpipe_postgres::Postgres::connect(&url.address, settings).await?))
        }
        #[cfg(not(feature = "sqlite"))]
        TargetUrl::Sqlite(_) => {
            let _ = (create, patience);
            Err(Error::invalid("this build was made without SQLite"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_the_wrong_ones_say_what_is_right() {
        assert_eq!("sqlite:a/b.db".parse::<TargetUrl>().unwrap(), TargetUrl::Sqlite("a/b.db".into()));
        assert_eq!("sqlite:///a/b.db".parse::<TargetUrl>().unwrap(), TargetUrl::Sqlite("/a/b.db".into()));
        for wrong in ["flights.db", "sqlite:", "oracle:x", "sqlite::memory:"] {
            let message = wrong.parse::<TargetUrl>().unwrap_err().to_string();
            assert!(message.contains("sqlite:"), "{message}");
        }
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_table_may_be_named_with_its_schema_and_in_quotes() {
        for (text, schema, name) in [
            ("t", None, "t"),
            ("s.t", Some("s"), "t"),
            ("s.t.u", Some("s"), "t.u"),
            ("\"we.ird\"", None, "we.ird"),
            ("\"a.s\".\"we.ird\"", Some("a.s"), "we.ird"),
            ("s.\"we.ird\"", Some("s"), "we.ird"),
            ("\"a.s\".t", Some("a.s"), "t"),
            ("\"a\"\"b\"", None, "a\"b"),
            // Half quotes belong to the name.
            ("\"t", None, "\"t"),
            ("\"\"", None, "\"\""),
            ("a\"b", None, "a\"b"),
        ] {
            let found = split_table(text);
            assert_eq!((found.schema.as_deref(), found.name.as_str()), (schema, name), "{text}");
        }
    }
}
