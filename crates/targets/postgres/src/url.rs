//! `postgres://USER:PASSWORD@HOST:PORT/DATABASE?KEY=VALUE` as settings by libpq's names.

use standpipe_core::Error;

/// The settings that a URL names, in its order. Nothing of it is repeated in an error: it may hold a password.
pub(crate) fn settings(url: &str) -> Result<Vec<(String, String)>, Error> {
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://")).ok_or_else(|| {
        Error::invalid(
            "a PostgreSQL server is named as postgres://USER@HOST:PORT/DATABASE; what is left out comes from PGHOST, \
             PGUSER, PGPASSFILE and the like",
        )
    })?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    let (who, at) = authority.rsplit_once('@').unwrap_or(("", authority));
    let mut settings = Vec::new();
    let mut set = |key: &str, text: &str| -> Result<(), Error> {
        if !text.is_empty() {
            settings.push((key.to_owned(), decoded(key, text)?));
        }
        Ok(())
    };
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    set("user", user)?;
    set("password", password)?;
    let (host, port) = host_and_port(at)?;
    set("host", host)?;
    set("port", port)?;
    set("dbname", database)?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        set(&decoded("a parameter's name", key)?, value)?;
    }
    Ok(settings)
}

fn host_and_port(at: &str) -> Result<(&str, &str), Error> {
    if at.contains(',') {
        return Err(Error::invalid(
            "the PostgreSQL URL names several hosts; name one, or a proxy that finds the primary",
        ));
    }
    if let Some(rest) = at.strip_prefix('[') {
        let (host, behind) =
            rest.split_once(']').ok_or_else(|| Error::invalid("the PostgreSQL URL: [ without ]"))?;
        return Ok((host, behind.strip_prefix(':').unwrap_or("")));
    }
    Ok(at.split_once(':').unwrap_or((at, "")))
}

fn decoded(what: &str, text: &str) -> Result<String, Error> {
    let wrong =
        || Error::invalid(format!("the PostgreSQL URL: {what} is not percent-encoded as it should be"));
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or_else(wrong);
        out.push((digit()? * 16 + digit()?) as u8);
    }
    String::from_utf8(out).ok().filter(|text| !text.contains('\0')).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_found() {
        let of = |url: &str| -> Vec<(String, String)> { settings(url).unwrap() };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            of("postgres://us%40er:p%3Aw@[::1]:5433/d%20b?sslmode=require&application_name=a"),
            [
                pair("user", "us@er"),
                pair("password", "p:w"),
                pair("host", "::1"),
                pair("port", "5433"),
                pair("dbname", "d b"),
                pair("sslmode", "require"),
                pair("application_name", "a"),
            ]
        );
        assert_eq!(of("postgresql:///?host=/run/pg&user=u"), [pair("host", "/run/pg"), pair("user", "u")]);
        for wrong in [
            "mysql://u@h/d",
            "postgres://a,b/d",
            "postgres://u:%zz@h",
            "postgres://u:%00@h",
            "postgres://[::1",
        ] {
            assert!(settings(wrong).is_err(), "{wrong}");
        }
    }
}
