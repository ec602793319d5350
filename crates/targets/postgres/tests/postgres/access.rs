//! Who asks and how: TLS, password files, services, and that no password is ever shown.

use std::{
    env, fs,
    process::{Command, Output},
    time::Duration,
};

use standpipe_core::{ErrorKind, StreamId, Target};
use standpipe_postgres::{Address, Postgres, Settings};

use crate::server::{Database, skipped};

/// The parts of the database's address: user, password, host and port.
fn parts(database: &Database) -> (String, String, String) {
    let (_, rest) = database.url.split_once("://").unwrap();
    let (user, rest) = rest.split_once(':').unwrap();
    let (password, place) = rest.split_once('@').unwrap();
    let (place, _) = place.split_once('/').unwrap();
    (user.to_owned(), password.to_owned(), place.to_owned())
}

/// Everything that can be shown of a target and its errors.
async fn connects(url: &str) -> Result<String, standpipe_core::Error> {
    let settings = Settings { connect_timeout: Duration::from_secs(5), ..Settings::default() };
    let target = Postgres::connect(&url.parse::<Address>()?, settings).await?;
    let ledger = target.ledger(Some(&StreamId::new("s").unwrap())).await?;
    Ok(format!("{target:?} {ledger:?}"))
}

#[tokio::test]
async fn tls() {
    let Some(database) = Database::new("tls").await else { return };
    let Ok(ca) = env::var("STANDPIPE_TEST_POSTGRES_CA") else {
        skipped("tls", "no CA (STANDPIPE_TEST_POSTGRES_CA)");
        return database.end().await;
    };
    let of = |query: &str| format!("{}?{query}", database.url);
    for query in [
        "sslmode=disable".to_owned(),
        "sslmode=prefer".to_owned(),
        "sslmode=require".to_owned(),
        format!("sslmode=verify-ca&sslrootcert={ca}"),
        format!("sslmode=verify-full&sslrootcert={ca}"),
    ] {
        connects(&of(&query)).await.unwrap_or_else(|error| panic!("{query}: {error}"));
    }
    // Somebody else's certificate: valid in itself, and not the one that signed the server's.
    let wrong = tempfile(&database, "wrong.pem", OTHER_CA);
    let no_pem = tempfile(&database, "no.pem", "no certificate");
    for (query, says) in [
        ("sslmode=verify-full".to_owned(), "certificate"),
        (format!("sslmode=verify-full&sslrootcert={wrong}"), "certificate"),
        (format!("sslmode=verify-ca&sslrootcert={no_pem}"), "sslrootcert"),
        ("sslmode=verify-full&sslrootcert=/nonexistent/ca.pem".to_owned(), "sslrootcert"),
    ] {
        let error = connects(&of(&query)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{query}: {error}");
        assert!(error.to_string().contains(says), "{query}: {error}");
    }
    // The name is checked too.
    let by_name = of(&format!("sslmode=verify-full&sslrootcert={ca}&hostaddr=127.0.0.1"))
        .replace("@127.0.0.1", "@db.example.org");
    let error = connects(&by_name).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    connects(&by_name.replace("verify-full", "verify-ca")).await.unwrap();
    // The name is checked too: the same server at an address that its certificate does not have.
    let (_, _, place) = parts(&database);
    let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
    let elsewhere = listener.local_addr().unwrap().to_string();
    let (server, name) = (place.clone(), elsewhere.clone());
    let passing = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = tokio::net::TcpStream::connect(&server).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
    });
    let with = |mode: &str| of(&format!("sslmode={mode}&sslrootcert={ca}")).replace(&place, &name);
    connects(&with("verify-ca")).await.unwrap();
    let error = connects(&with("verify-full")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("not for this host"), "{error}");
    passing.abort();
    for path in [wrong, no_pem] {
        fs::remove_file(path).unwrap();
    }
    database.end().await;
}

fn tempfile(database: &Database, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = env::temp_dir().join(format!("{}.{name}", database.name));
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// What is wrong is said, with what to do, and never with the password.
#[tokio::test]
async fn what_is_wrong_is_said_without_the_password() {
    let Some(database) = Database::new("what_is_wrong_is_said_without_the_password").await else { return };
    let (user, password, place) = parts(&database);
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, kind, says) in [
        (format!("postgres://{user}:s3cret-no@{place}/{}", database.name), ErrorKind::Invalid, "PGPASSFILE"),
        (
            format!("postgres://{user}:{password}@{place}/no_such_database"),
            ErrorKind::Invalid,
            "create it first",
        ),
        (
            format!("postgres://nobody_such:{password}@{place}/{}", database.name),
            ErrorKind::Invalid,
            "pg_hba",
        ),
        (format!("postgres://{user}:{password}@{refused}/x"), ErrorKind::Retry, "refused"),
        (
            format!("postgres://{user}:{password}@no-such-host.invalid/x"),
            ErrorKind::Retry,
            "no-such-host.invalid",
        ),
    ] {
        let error = connects(&url).await.unwrap_err();
        let said = format!("{error} {error:?}");
        assert_eq!(error.kind(), kind, "{said}");
        assert!(said.contains(says), "{says}: {said}");
        assert!(!said.contains(&password) && !said.contains("s3cret-no"), "{said}");
    }
    let shown = connects(&database.url).await.unwrap();
    assert!(!shown.contains(&password), "{shown}");
    database.end().await;
}

/// Runs the test `child` of this program with these variables and no others of libpq's.
fn child(variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "access::child_that_connects", "--nocapture", "--include-ignored"]);
    for (name, _) in env::vars().filter(|(name, _)| name.starts_with("PG")) {
        command.env_remove(name);
    }
    command.env("HOME", "/nonexistent").envs(variables.iter().copied()).output().unwrap()
}

/// Started by others with variables of its own.
#[tokio::test]
#[ignore = "started by the tests of password files and services"]
async fn child_that_connects() {
    let Ok(url) = env::var("TEST_CONNECTS_TO") else { return };
    match connects(&url).await {
        Ok(shown) => println!("connected: {shown}"),
        Err(error) => println!("failed: {error} {error:?}"),
    }
}

#[tokio::test]
async fn password_files_and_services() {
    let Some(database) = Database::new("password_files_and_services").await else { return };
    let (user, password, place) = parts(&database);
    let (host, port) = place.split_once(':').unwrap();
    let name = &database.name;
    let pass = tempfile(
        &database,
        "pgpass",
        &format!("# mine\nother:1:*:*:wrong\n{host}:{port}:*:{user}:{password}\n"),
    );
    let service = tempfile(
        &database,
        "service",
        &format!(
            "[mine]\nhost={host}\nport={port}\nuser={user}\ndbname={name}\nsslmode=require\n[full]\nhost={host}\nport={port}\nuser={user}\ndbname={name}\npassword={password}\n"
        ),
    );
    let bare = format!("postgres://{user}@{place}/{name}");
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], bool);
    let cases: &[Case<'_>] = &[
        (&bare, &[], false),
        (&bare, &[("PGPASSFILE", &pass)], true),
        (&bare, &[("PGPASSWORD", &password)], true),
        (
            "postgres://",
            &[
                ("PGPASSFILE", &pass),
                ("PGHOST", host),
                ("PGPORT", port),
                ("PGUSER", &user),
                ("PGDATABASE", name),
            ],
            true,
        ),
        ("postgres://", &[("PGPASSFILE", &pass), ("PGSERVICE", "mine"), ("PGSERVICEFILE", &service)], true),
        ("postgres://?service=full", &[("PGSERVICEFILE", &service)], true),
        ("postgres://", &[("PGSERVICE", "full"), ("PGSERVICEFILE", &service)], true),
        ("postgres://", &[("PGSERVICE", "none"), ("PGSERVICEFILE", &service)], false),
        ("postgres:///no_such_database?service=full", &[("PGSERVICEFILE", &service)], false),
    ];
    for (url, variables, connects) in cases {
        let variables = [*variables, &[("TEST_CONNECTS_TO", *url)]].concat();
        let output = child(&variables);
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(said.contains("connected: "), *connects, "{url} {variables:?}: {said}");
        assert_eq!(said.contains("failed: "), !connects, "{said}");
        assert!(!said.contains(&password), "{said}");
    }
    for path in [pass, service] {
        fs::remove_file(path).unwrap();
    }
    database.end().await;
}

const OTHER_CA: &str = "-----BEGIN CERTIFICATE-----\n\
    MIIBhjCCAS2gAwIBAgIUdNKEQMIhWasqqQYo6cx8yyPDNMUwCgYIKoZIzj0EAwIw\n\
    GDEWMBQGA1UEAwwNc29tZWJvZHkgZWxzZTAgFw0yNjExMjIwMzE0NDZaGA8yMTI2\n\
    MTAyOTAzMTQ0NlowGDEWMBQGA1UEAwwNc29tZWJvZHkgZWxzZTBZMBMGByqGSM49\n\
    AgEGCCqGSM49AwEHA0IABBqxAMyXwcRMpghHid7HipNgMgUs/odwoTs3Ul7bZzUK\n\
    JlY3Q6OjzLMFXgV8ngEAZaaKXCs0rDRcc+vE9zf8H/ujUzBRMB0GA1UdDgQWBBRC\n\
    poa0e6zoxUjL1QVzuJdo89O5lzAfBgNVHSMEGDAWgBRCpoa0e6zoxUjL1QVzuJdo\n\
    89O5lzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIH1x8PuKSoiw\n\
    l7OdI0B2+S42D1fU/qlBJB68KfHbXunSAiA+QVLDA1+IN0ZdK9Viqfhgfj3Poppz\n\
    DyIrc5ZpO2lz7Q==\n\
    -----END CERTIFICATE-----\n";
