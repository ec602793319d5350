use std::{env, fmt, str::FromStr};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use standpipe_core::Error;

use crate::service;

/// Where a server is, and who asks: what a `postgres://` URL says, and where it is silent what libpq's variables
/// (`PGHOST`, `PGUSER`, `PGPASSWORD`, `PGSSLMODE` ..), the service of `service=` or `PGSERVICE`, and the password file
/// (`PGPASSFILE`, `~/.pgpass`) say. Never shows its password.
///
/// ```
/// use standpipe_postgres::Address;
///
/// let address: Address = "postgres://app:secret@db.example.org/sales?sslmode=verify-full".parse()?;
/// assert_eq!(address.to_string(), "postgres://app@db.example.org:5432/sales");
/// # Ok::<(), standpipe_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Address {
    pub(crate) options: PgConnectOptions,
}

impl Address {
    /// The server and the database, whoever asks: what state about this target is filed under.
    #[must_use]
    pub fn place(&self) -> String {
        let options = &self.options;
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        format!("postgres://{}:{}/{database}", self.host(), options.get_port())
    }

    fn host(&self) -> String {
        match self.options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => self.options.get_host().to_owned(),
        }
    }

    /// Whether the way to the server leaves this machine.
    pub(crate) fn is_remote(&self) -> bool {
        let is_local = self.options.get_socket().is_some()
            || matches!(self.options.get_host(), "localhost" | "127.0.0.1" | "::1")
            || self.options.get_host().starts_with('/');
        !is_local
    }

    /// Whether the server has to show a certificate that is known.
    pub(crate) fn checks_certificate(&self) -> bool {
        matches!(self.options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull)
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self, Error> {
        let is_ours = url.starts_with("postgres://") || url.starts_with("postgresql://");
        if !is_ours {
            return Err(Error::invalid(
                "a PostgreSQL server is named as postgres://USER@HOST:PORT/DATABASE; what is left out comes from PGHOST, \
                 PGUSER, PGPASSFILE and the like",
            ));
        }
        let url = with_service(url)?;
        let options = PgConnectOptions::from_str(&url).map_err(|error| {
            // The driver's words may repeat the URL, and with it the password.
            let said = error.to_string();
            let shown = if said.contains("://") { "it cannot be read as a URL".to_owned() } else { said };
            Error::invalid(format!("the PostgreSQL URL: {shown}"))
        })?;
        let mut options = options
            // Poolers refuse start-up settings that they do not know.
            .extra_float_digits(None)
            .statement_cache_capacity(0);
        if options.get_application_name().is_none() {
            options = options.application_name("standpipe");
        }
        Ok(Address { options })
    }
}

/// The URL with what its service says, where the URL itself is silent.
fn with_service(url: &str) -> Result<String, Error> {
    let named = url.split_once('?').and_then(|(_, query)| {
        query.split('&').find_map(|pair| pair.strip_prefix("service=")).map(str::to_owned)
    });
    let Some(service) = named.or_else(|| env::var("PGSERVICE").ok().filter(|service| !service.is_empty()))
    else {
        return Ok(url.to_owned());
    };
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let (_, place_only) = place.split_once("://").unwrap_or(("", place));
    let (authority, database) = place_only.split_once('/').unwrap_or((place_only, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("service="))
        .map(str::to_owned)
        .collect();
    let is_said = |key: &str, pairs: &[String]| {
        let in_query = pairs.iter().any(|pair| pair.split('=').next() == Some(key));
        in_query
            || match key {
                "host" | "hostaddr" => !host.is_empty() && !host.starts_with(':'),
                "port" => host.contains(':'),
                "user" => !user.is_empty(),
                "password" => user.contains(':'),
                "dbname" => !database.is_empty(),
                _ => false,
            }
    };
    for (key, value) in service::settings(&service)? {
        if !is_said(&key, &pairs) {
            pairs.push(format!("{key}={}", percent_encoded(&value)));
        }
    }
    Ok(format!("{place}?{}", pairs.join("&")))
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_./".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        let host = self.host();
        write!(f, "postgres://{}@{host}:{}", options.get_username(), options.get_port())?;
        match options.get_database() {
            Some(database) => write!(f, "/{database}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Address {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_never_shown() {
        let address: Address = "postgres://u:s3cret@h:1/d?sslmode=disable".parse().unwrap();
        assert!(!format!("{address} {address:?}").contains("s3cret"));
        for wrong in [
            "postgres://u:s3cret@h:notaport/d",
            "postgres://u:s3cret@h/d?sslmode=perhaps",
            "mysql://u:s3cret@h/d",
        ] {
            let said = wrong.parse::<Address>().unwrap_err().to_string();
            assert!(!said.contains("s3cret"), "{said}");
        }
    }

    #[test]
    fn a_wire_that_others_can_read_is_known() {
        let of = |url: &str| {
            let address: Address = url.parse().unwrap();
            (address.is_remote(), address.checks_certificate())
        };
        assert_eq!(of("postgres://u@localhost/d?sslmode=prefer"), (false, false));
        assert_eq!(of("postgres://u@db.example.org/d?sslmode=require"), (true, false));
        assert_eq!(of("postgres://u@db.example.org/d?sslmode=verify-full"), (true, true));
    }
}
