//! What a server's settings mean for what is promised.

mod questions;

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use standpipe_core::{Error, Finding, FindingLevel};

use crate::{dead_letters, ledger, link::Link, postgres::Shared};

/// The oldest version that is known to do all that is asked of it.
const VERSION_MIN: u32 = 120_000;
/// A clock that is off by more than this makes times in the ledger misleading.
const CLOCK_OFF_MAX_S: f64 = 5.0;

/// Looks at the server. Changes nothing.
pub(crate) async fn examine(link: &mut Link, shared: &Shared) -> Result<Vec<Finding>, Error> {
    let answer = link
        .ask(&questions::all(shared))
        .await
        .map_err(|failure| failure.explain("looking at the server"))?;
    let facts: HashMap<String, String> = answer
        .rows
        .into_iter()
        .filter_map(|row| {
            let mut row = row.into_iter();
            Some((row.next()??, row.next()?.unwrap_or_default()))
        })
        .collect();
    let mut said = Said { facts, findings: Vec::new() };
    said.server();
    said.durability();
    said.replication();
    said.rights(shared);
    said.limits(shared);
    said.two_phase();
    said.table_side();
    said.wire(shared);
    Ok(said.findings)
}

struct Said {
    facts: HashMap<String, String>,
    findings: Vec<Finding>,
}

use FindingLevel::{Broken, Fine, Notice};

impl Said {
    fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.fact(name) == value
    }

    fn number(&self, name: &str) -> u32 {
        self.fact(name).parse().unwrap_or(0)
    }

    fn say(&mut self, level: FindingLevel, subject: &str, message: impl Into<String>) {
        self.findings.push(Finding::new(level, subject, message));
    }

    fn server(&mut self) {
        let version = self.fact("server_version").to_owned();
        if self.number("server_version_num") < VERSION_MIN {
            self.say(
                Broken,
                "version",
                format!("PostgreSQL {version} is older than 12; use a version that gets fixes"),
            );
        } else {
            self.say(Fine, "version", format!("PostgreSQL {version}"));
        }
        if self.is("recovery", "true") {
            self.say(Broken, "role", "this server is a standby and takes no writes; name the primary");
        } else if self.is("default_transaction_read_only", "on") {
            self.say(
                Notice,
                "role",
                "transactions are read-only by default here; ours ask for writing themselves",
            );
        } else {
            self.say(Fine, "role", "a primary that takes writes");
        }
        let encoding = self.fact("server_encoding").to_owned();
        if encoding == "UTF8" {
            self.say(Fine, "encoding", "UTF8");
        } else {
            self.say(
                Notice,
                "encoding",
                format!("the database keeps text as {encoding}: rows with characters that it does not have are dead-lettered"),
            );
        }
        let clock: f64 = self.fact("clock").parse().unwrap_or(0.0);
        let ours = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        let off = clock - ours;
        if off.abs() > CLOCK_OFF_MAX_S {
            let message = format!(
                "the server's clock is {off:+.0} s off ours; nothing depends on it, but times in the ledger mislead"
            );
            self.say(Notice, "clock", message);
        } else {
            self.say(Fine, "clock", format!("within {CLOCK_OFF_MAX_S} s of ours"));
        }
    }

    fn durability(&mut self) {
        if self.is("fsync", "off") {
            self.say(
                Broken,
                "fsync",
                "off: a crash of the machine loses or damages what was committed; set fsync = on",
            );
        } else {
            self.say(Fine, "fsync", "on");
        }
        if self.is("full_page_writes", "off") {
            self.say(
                Broken,
                "full_page_writes",
                "off: a page that is half written at a power loss stays damaged, unless the file system writes pages whole",
            );
        } else {
            self.say(Fine, "full_page_writes", "on");
        }
        let level = self.fact("synchronous_commit").to_owned();
        match level.as_str() {
            "off" | "local" | "remote_write" => self.say(
                Notice,
                "synchronous_commit",
                format!("{level} for this role; our own commits set it to on, or rows could be lost after they were reported as applied"),
            ),
            _ => self.say(Fine, "synchronous_commit", level),
        }
        if self.is("data_checksums", "off") {
            self.say(
                Notice,
                "data_checksums",
                "off: damage on the server's disk is not noticed when it is read (pg_checksums --enable)",
            );
        } else {
            self.say(Fine, "data_checksums", "on");
        }
    }

    fn replication(&mut self) {
        let names = self.fact("synchronous_standby_names").to_owned();
        let (all, sync) = self
            .fact("standbys")
            .split_once(',')
            .map_or((0, 0), |(all, sync)| (all.parse().unwrap_or(0_u32), sync.parse().unwrap_or(0_u32)));
        match (names.is_empty(), all) {
            (true, 0) => self.say(Fine, "replication", "no standby is connected"),
            (true, all) => self.say(
                Notice,
                "replication",
                format!(
                    "{all} standbys, none synchronous: a failover may lose the last commits. The next claim then says Gap if the \
                     log has let go of those rows; keep more of it with --wal-retain, or set synchronous_standby_names"
                ),
            ),
            (false, _) if sync == 0 => self.say(
                Broken,
                "replication",
                format!("synchronous_standby_names is {names:?} and no such standby is connected: every commit waits for one"),
            ),
            (false, _) => self.say(Fine, "replication", format!("{sync} of {all} standbys are synchronous")),
        }
    }

    fn rights(&mut self, shared: &Shared) {
        let (user, schema) = (self.fact("user").to_owned(), self.fact("schema").to_owned());
        let role = format!("\"{}\"", user.replace('"', "\"\""));
        let ledger = &shared.settings.ledger;
        if self.is("ledger", "true") {
            let rights = self.fact("ledger_rights").to_owned();
            if !self.is("ledger_fits", "true") {
                let message = format!(
                    "{ledger} is there, and is no ledger: it lacks columns or its primary key; name another one, or rename it and \
                     make this one: {};",
                    shared.ledger.create
                );
                self.say(Broken, "ledger", message);
            } else if !self.is("ledger_persistence", "p") {
                self.say(Broken, "ledger", ledger::not_kept(&shared.ledger));
            } else if rights == "true,true,true" {
                self.say(Fine, "ledger", format!("{ledger} is there, and {user} may use it"));
            } else {
                let message = format!(
                    "{user} may not use {ledger}; have its owner run: GRANT SELECT, INSERT, UPDATE ON {} TO {role};",
                    shared.ledger.table
                );
                self.say(Broken, "ledger", message);
            }
        } else if self.is("create", "true") {
            self.say(Fine, "ledger", format!("{ledger} will be made in schema {schema} by the first load"));
        } else {
            let message = format!(
                "{user} may not create {ledger} in schema {schema:?}; have an owner run: {}; GRANT SELECT, INSERT, UPDATE ON {} TO {role};",
                shared.ledger.create, shared.ledger.table
            );
            self.say(Broken, "ledger", message);
        }
        self.letters(&user, &role);
        if self.is("temp", "true") {
            self.say(Fine, "temporary tables", "allowed");
        } else {
            let message = format!(
                "{user} may not make them: upsert, replace and ignore of more than {} rows a batch fail; have an owner run: GRANT \
                 TEMPORARY ON DATABASE {} TO {role};",
                shared.settings.unnest_rows_max,
                self.fact("database")
            );
            self.say(Notice, "temporary tables", message);
        }
    }

    fn letters(&mut self, user: &str, role: &str) {
        let table = dead_letters::TABLE;
        let grant = format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role};");
        match self.fact("letters") {
            "true" => {
                self.say(Fine, "dead letters", format!("{table} is there, and {user} may use it"));
            }
            "false" => {
                let message = format!(
                    "{user} may not use {table}, and the first bad row stops a load; have its owner run: {grant}"
                );
                self.say(Broken, "dead letters", message);
            }
            _ if self.is("create_here", "true") => {
                self.say(Fine, "dead letters", format!("{table} will be made by the first bad row"));
            }
            _ => {
                let message = format!(
                    "{user} may not create {table}, and the first bad row stops a load, unless --dead-letter names a file or a \
                     table that is there; have an owner run: {}; {grant}",
                    dead_letters::create_statement(table)
                );
                self.say(Notice, "dead letters", message);
            }
        }
    }

    fn limits(&mut self, shared: &Shared) {
        let (max, used) = (self.number("max_connections"), self.number("connections"));
        let wanted = shared.settings.connections_max as u32;
        if used + wanted > max {
            let message = format!(
                "{used} of {max} are in use, and a load takes up to {wanted} more; raise max_connections or use fewer workers"
            );
            self.say(Notice, "connections", message);
        } else {
            self.say(Fine, "connections", format!("{used} of {max} are in use"));
        }
        for (name, what) in [
            (
                "statement_timeout",
                "a large batch may be cut off and tried again and again; set it to 0 for this role",
            ),
            (
                "idle_in_transaction_session_timeout",
                "a commit that waits for dead letters to be written may be cut off",
            ),
        ] {
            let value = self.fact(name).to_owned();
            if !matches!(value.as_str(), "0" | "") {
                self.say(Notice, name, format!("{value} for this role: {what}"));
            }
        }
        if self.is("autovacuum", "off") {
            self.say(
                Notice,
                "autovacuum",
                "off: the ledger's dead rows are never cleared away, and each commit gets slower",
            );
        }
    }

    fn two_phase(&mut self) {
        if self.number("max_prepared_transactions") == 0 {
            self.say(
                Notice,
                "max_prepared_transactions",
                "0: this server takes no part in two-phase commit with others; one target alone does not need it",
            );
        } else {
            self.say(Fine, "max_prepared_transactions", self.fact("max_prepared_transactions").to_owned());
        }
        let prepared = self.fact("prepared").to_owned();
        if !prepared.is_empty() {
            let message = format!(
                "open for more than ten minutes, with all their locks: {prepared}; COMMIT PREPARED or ROLLBACK PREPARED ends one"
            );
            self.say(Broken, "prepared transactions", message);
        }
    }

    fn table_side(&mut self) {
        for (name, subject, level, what) in [
            (
                "triggers",
                "triggers",
                Notice,
                "run for every row that is loaded, and may refuse, change or skip it",
            ),
            (
                "rules",
                "rules",
                Broken,
                "have rules for INSERT, which COPY does not follow; loads into them are refused",
            ),
            (
                "unlogged",
                "unlogged tables",
                Notice,
                "are emptied by the server after a crash, and rows that were applied are not written again (SET LOGGED)",
            ),
            (
                "row_security",
                "row security",
                Notice,
                "have policies: where they apply to this role, rows go as merges do, which is slower (the owner and BYPASSRLS pass)",
            ),
        ] {
            let tables = self.fact(name).to_owned();
            if !tables.is_empty() {
                self.say(level, subject, format!("{tables} {what}"));
            }
        }
        if self.is("session_replication_role", "replica") {
            self.say(
                Broken,
                "session_replication_role",
                "replica: triggers and foreign keys are not checked",
            );
        }
    }

    fn wire(&mut self, shared: &Shared) {
        let (encrypted, version) = self.fact("encrypted").split_once(',').unwrap_or(("", ""));
        let (is_encrypted, version) = (encrypted == "true", version.to_owned());
        let address = &shared.address;
        match (is_encrypted, address.is_remote()) {
            (true, true) if !address.checks_certificate() => {
                let message = format!(
                    "{version}, but anybody in between could be the server: its certificate is not checked; use \
                     sslmode=verify-full with sslrootcert"
                );
                self.say(Notice, "encryption", message);
            }
            (true, _) => self.say(Fine, "encryption", version),
            (false, true) => self.say(Notice, "encryption", "none, over a network; use sslmode=verify-full"),
            (false, false) => self.say(Fine, "encryption", "none; the server is on this machine"),
        }
    }
}
