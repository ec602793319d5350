use std::{
    fs::File,
    io::Write,
    net::TcpStream,
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use super::{
    Unavailable, find,
    home::{Home, Record},
    install, port,
    postgres::{Postgres, USER, last_lines},
};
use crate::interrupt;

/// A PgBouncer in transaction mode before a PostgreSQL of ours: any database, the same user, password and certificate. Dropping it
/// stops it.
pub(crate) struct PgBouncer {
    home: Home,
    port: u16,
    password: String,
    version: String,
    child: Child,
    stays: bool,
}

const START: Duration = Duration::from_secs(30);
/// The first version that keeps prepared statements apart in transaction mode.
const KEEPS_STATEMENTS: (u32, u32) = (1, 21);

impl PgBouncer {
    /// Starts one, installing it first where it is not there and we may. Blocks until it takes connections.
    pub(crate) fn start(postgres: &Postgres) -> Result<Self, Unavailable> {
        let beside = postgres.home().path();
        let name = beside.file_name().unwrap_or_default().to_string_lossy();
        let root = beside.parent().unwrap_or(beside);
        let account = postgres.account();
        let program = match find::pgbouncer(account) {
            Some(program) => program,
            None => {
                install::package("pgbouncer")?;
                let found = find::pgbouncer(account);
                found.ok_or_else(|| Unavailable::new("pgbouncer is installed, and not found"))?
            }
        };
        let version = find::version(&program).unwrap_or_default();
        let home = Home::claim_like(root, &format!("{name}-pgbouncer"))?;
        let users = format!("\"{USER}\" \"{}\"\n", postgres.password());
        put(&home.path().join("users"), &users, postgres)?;
        let port = port::free()?;
        put(&home.path().join("pgbouncer.ini"), &settings(postgres, home.path(), port, &version), postgres)?;
        let log = home.path().join("log");
        let output = File::create(&log).map_err(Unavailable::at(&log))?;
        let errors = output.try_clone().map_err(Unavailable::at(&log))?;
        let mut command = account.command(&program, home.path());
        command.arg(home.path().join("pgbouncer.ini"));
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let child = command.spawn().map_err(Unavailable::at(&program))?;
        let password = postgres.password().to_owned();
        let mut server = PgBouncer { home, port, password, version, child, stays: false };
        server.wait_until_ready(&log)?;
        server.home.record(&server.about())?;
        Ok(server)
    }

    /// For the same user as the server behind it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    /// Stops it, and removes its files. Dropping it does the same.
    pub(crate) fn stop(mut self) -> Result<(), Unavailable> {
        self.remove()
    }

    /// Lets it go on without us, until `cargo xtask services stop`.
    pub(super) fn leave(mut self) -> Result<(), Unavailable> {
        self.home.record(&Record { stays: true, ..self.about() })?;
        self.stays = true;
        Ok(())
    }

    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    /// An error when it has ended by itself.
    pub(super) fn check(&mut self) -> Result<(), Unavailable> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Unavailable::new(format!("PgBouncer ended with {status}"))),
            Err(error) => Err(Unavailable::new(format!("PgBouncer: {error}"))),
        }
    }

    fn about(&self) -> Record {
        Record {
            server: format!("PgBouncer {}", self.version),
            variable: super::servers::PGBOUNCER.to_owned(),
            url: self.url(),
            stays: false,
        }
    }

    fn wait_until_ready(&mut self, log: &Path) -> Result<(), Unavailable> {
        let began = Instant::now();
        loop {
            let answers = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
            // Somebody else may have been faster on the port: ours has ended then.
            if let Some(status) = self.child.try_wait().map_err(Unavailable::at(log))? {
                return Err(Unavailable::new(format!("PgBouncer ended with {status}: {}", last_lines(log))));
            }
            if answers {
                return Ok(());
            }
            if began.elapsed() > START {
                return Err(Unavailable::new(format!("PgBouncer does not answer: {}", last_lines(log))));
            }
            interrupt::pause(Duration::from_millis(5))?;
        }
    }

    fn remove(&mut self) -> Result<(), Unavailable> {
        // It has nothing to lose, and newer ones wait for their clients when they are asked.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.home.remove(Duration::ZERO)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        if !self.stays
            && let Err(why) = self.remove()
        {
            eprintln!("services: {why}");
        }
    }
}

fn settings(postgres: &Postgres, home: &Path, port: u16, version: &str) -> String {
    let (data, home) = (postgres.data(), home.to_owned());
    let shown = |path: PathBuf| path.display().to_string();
    let mut lines = vec![
        "[databases]".to_owned(),
        format!("* = host=127.0.0.1 port={}", postgres.port()),
        "[pgbouncer]".to_owned(),
        "listen_addr = 127.0.0.1".to_owned(),
        format!("listen_port = {port}"),
        "unix_socket_dir =".to_owned(),
        "pool_mode = transaction".to_owned(),
        "auth_type = scram-sha-256".to_owned(),
        format!("auth_file = {}", shown(home.join("users"))),
        format!("admin_users = {USER}"),
        "max_client_conn = 500".to_owned(),
        "default_pool_size = 20".to_owned(),
        "client_tls_sslmode = allow".to_owned(),
        format!("client_tls_cert_file = {}", shown(data.join("server.crt"))),
        format!("client_tls_key_file = {}", shown(data.join("server.key"))),
    ];
    let mut numbers = version.split('.').map_while(|part| part.parse::<u32>().ok());
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= KEEPS_STATEMENTS {
        lines.push("max_prepared_statements = 200".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}

/// A file that only the server's account reads.
fn put(path: &Path, text: &str, postgres: &Postgres) -> Result<(), Unavailable> {
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(Unavailable::at(path))?;
    postgres.account().give(path)
}
