use std::{
    env, fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use standpipe_core::Error;

use crate::{passfile, service, url};

/// Where a server is, and who asks: what a `postgres://` URL says, and where it is silent what the service of `service=` or
/// `PGSERVICE` says, then libpq's variables (`PGHOST`, `PGUSER`, `PGPASSWORD`, `PGSSLMODE` ..), then the password file
/// (`PGPASSFILE`, `~/.pgpass`). Never shows its password.
///
/// ```
/// use standpipe_postgres::Address;
///
/// let address: Address = "postgres://app:secret@db.example.org/sales?sslmode=verify-full".parse()?;
/// assert_eq!(address.to_string(), "postgres://app@db.example.org:5432/sales");
/// # Ok::<(), standpipe_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub(crate) host: Host,
    /// Where the host is, where that is not to be looked up: the host is the name that the certificate shows.
    pub(crate) host_address: Option<String>,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    pub(crate) database: String,
    pub(crate) application_name: String,
    /// Settings of the session, `-c NAME=VALUE`.
    pub(crate) options: Option<String>,
    pub(crate) tls: TlsMode,
    pub(crate) root_cert: Option<PathBuf>,
    pub(crate) client_cert: Option<PathBuf>,
    pub(crate) client_key: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Tcp(String),
    /// The directory of the server's socket.
    Unix(PathBuf),
}

/// libpq's `sslmode`; `allow` is `prefer` here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// What a URL or a service may say, and the variable that says it where they do not.
const KNOWN: &[(&str, &str)] = &[
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("dbname", "PGDATABASE"),
    ("application_name", "PGAPPNAME"),
    ("options", "PGOPTIONS"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("passfile", "PGPASSFILE"),
    ("service", "PGSERVICE"),
];

/// Where Debian's and most others' servers have their socket.
const SOCKETS: &str = "/var/run/postgresql";

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut said = url::settings(text)?;
        let service = value(&said, "service").or_else(|| variable("PGSERVICE"));
        if let Some(service) = service {
            said.extend(service::settings(&service)?);
        }
        if let Some((unknown, _)) = said.iter().find(|(key, _)| !KNOWN.iter().any(|(known, _)| known == key))
        {
            let known: Vec<&str> = KNOWN.iter().map(|(known, _)| *known).collect();
            return Err(Error::invalid(format!(
                "the PostgreSQL URL: {unknown} is no parameter that is known here; known are {}",
                known.join(", ")
            )));
        }
        let get = |key: &str| {
            let named = KNOWN.iter().find(|(known, _)| *known == key).map(|(_, variable)| *variable);
            value(&said, key).or_else(|| named.and_then(variable))
        };
        let port = get("port").unwrap_or_else(|| "5432".to_owned());
        let port: u16 = port
            .parse()
            .map_err(|_| Error::invalid("the PostgreSQL URL: the port is no number up to 65535"))?;
        let user = get("user").or_else(|| variable("USER")).or_else(|| variable("LOGNAME"));
        let user = user.unwrap_or_else(|| "postgres".to_owned());
        let database = get("dbname").unwrap_or_else(|| user.clone());
        let host_address = get("hostaddr");
        let host = host(get("host").or_else(|| host_address.clone()));
        let shown = match &host {
            Host::Tcp(host) => host.as_str(),
            Host::Unix(_) => "localhost",
        };
        let password = get("password").or_else(|| {
            passfile::password(get("passfile").as_deref(), &[shown, &port.to_string(), &database, &user])
        });
        Ok(Address {
            tls: tls_mode(get("sslmode").as_deref())?,
            root_cert: get("sslrootcert").map(PathBuf::from).or_else(|| at_home(".postgresql/root.crt")),
            client_cert: get("sslcert").map(PathBuf::from).or_else(|| at_home(".postgresql/postgresql.crt")),
            client_key: get("sslkey").map(PathBuf::from).or_else(|| at_home(".postgresql/postgresql.key")),
            application_name: get("application_name").unwrap_or_else(|| "standpipe".to_owned()),
            options: get("options"),
            host,
            host_address,
            port,
            user,
            password,
            database,
        })
    }
}

fn value(said: &[(String, String)], key: &str) -> Option<String> {
    said.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn at_home(path: &str) -> Option<PathBuf> {
    Some(Path::new(&env::var_os("HOME")?).join(path)).filter(|path| path.is_file())
}

fn host(host: Option<String>) -> Host {
    match host {
        Some(directory) if directory.starts_with('/') => Host::Unix(PathBuf::from(directory)),
        Some(host) => Host::Tcp(host),
        None if Path::new(SOCKETS).is_dir() => Host::Unix(PathBuf::from(SOCKETS)),
        None => Host::Tcp("localhost".to_owned()),
    }
}

fn tls_mode(mode: Option<&str>) -> Result<TlsMode, Error> {
    Ok(match mode {
        Some("disable") => TlsMode::Disable,
        None | Some("allow" | "prefer") => TlsMode::Prefer,
        Some("require") => TlsMode::Require,
        Some("verify-ca") => TlsMode::VerifyCa,
        Some("verify-full") => TlsMode::VerifyFull,
        Some(_) => {
            return Err(Error::invalid(
                "the PostgreSQL URL: sslmode is disable, allow, prefer, require, verify-ca or verify-full",
            ));
        }
    })
}

impl Address {
    /// The server and the database, whoever asks: what state about this target is filed under.
    #[must_use]
    pub fn place(&self) -> String {
        format!("postgres://{}:{}/{}", self.shown_host(), self.port, self.database)
    }

    fn shown_host(&self) -> String {
        match &self.host {
            Host::Unix(directory) => directory.display().to_string(),
            Host::Tcp(host) if host.contains(':') => format!("[{host}]"),
            Host::Tcp(host) => host.clone(),
        }
    }

    /// Whether the way to the server leaves this machine.
    pub(crate) fn is_remote(&self) -> bool {
        match &self.host {
            Host::Unix(_) => false,
            Host::Tcp(host) => !matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1"),
        }
    }

    /// Whether the server has to show a certificate that is known.
    pub(crate) fn checks_certificate(&self) -> bool {
        matches!(self.tls, TlsMode::VerifyCa | TlsMode::VerifyFull)
            || (self.tls == TlsMode::Require && self.root_cert.is_some())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@{}:{}/{}", self.user, self.shown_host(), self.port, self.database)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

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
            "postgres://u:s3cret@h/d?pasword=s3cret",
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
        assert_eq!(of("postgres://u@db.example.org/d?sslmode=verify-full"), (true, true));
        assert_eq!(of("postgres:///d?host=/run/pg"), (false, false));
    }
}
