use std::fs;

use standpipe_core::{Finding, FindingLevel, Target};
use standpipe_sqlite::{Settings, Sqlite, Synchronous};
use standpipe_testkit::block_on;

use crate::world::{World, append, ids, impatient};

fn of<'a>(findings: &'a [Finding], subject: &str) -> &'a Finding {
    findings
        .iter()
        .find(|finding| finding.subject == subject)
        .unwrap_or_else(|| panic!("{subject}: {findings:?}"))
}

#[test]
fn a_database_in_use_is_well() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER)").await;
        world.load(&append("t"), vec![ids([1])]).await.unwrap();
        let findings = world.target.doctor().await.unwrap();
        for subject in
            ["directory", "file", "version", "journal", "lock", "integrity", "ledger", "dead letters"]
        {
            assert_eq!(of(&findings, subject).level, FindingLevel::Fine, "{findings:?}");
        }
        assert!(of(&findings, "ledger").message.contains("1 streams"), "{findings:?}");
        assert!(of(&findings, "journal").message.contains("wal"), "{findings:?}");
    });
}

#[test]
fn what_is_not_well_is_said_and_nothing_is_made() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let absent = directory.path().join("absent.db");
        let findings = Sqlite::examine(&absent, Settings::default()).await.unwrap();
        assert_eq!(of(&findings, "file").level, FindingLevel::Broken);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);

        fs::write(&absent, "no database ".repeat(500)).unwrap();
        let findings = Sqlite::examine(&absent, Settings::default()).await.unwrap();
        assert!(of(&findings, "file").message.contains("no SQLite database"), "{findings:?}");

        let world = World::with("CREATE TABLE t (id INTEGER)").await;
        let holder = world.sqlite();
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
        let settings = Settings { synchronous: Synchronous::Normal, ..impatient() };
        let findings = Sqlite::examine(world.path(), settings).await.unwrap();
        assert_eq!(of(&findings, "lock").level, FindingLevel::Notice);
        assert_eq!(of(&findings, "journal").level, FindingLevel::Broken);
    });
}
