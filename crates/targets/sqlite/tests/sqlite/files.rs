use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Command,
};

use standpipe_core::{ErrorKind, LetterPage, Target};
use standpipe_sqlite::{Journal, Settings, Sqlite};
use standpipe_testkit::block_on;

use crate::world::{World, append, batch, begin, claim, ids, impatient, request, to};

#[test]
fn what_cannot_be_opened_is_refused_with_why() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let text = directory.path().join("text.db");
        fs::write(&text, "this is no database, and long enough to be looked at: ".repeat(40)).unwrap();
        let absent = Settings { create: false, ..Settings::default() };
        for (path, settings, says) in [
            (text.clone(), Settings::default(), "no SQLite database"),
            (directory.path().join("no/such/dir.db"), Settings::default(), "there is no directory"),
            (directory.path().to_owned(), Settings::default(), "is a directory"),
            (directory.path().join("absent.db"), absent, "no such database file"),
            (":memory:".into(), Settings::default(), "only in memory"),
            ("".into(), Settings::default(), "only in memory"),
        ] {
            let error = Sqlite::open(&path, settings).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
        assert!(!directory.path().join("absent.db").exists());
        assert!(fs::read_to_string(text).unwrap().starts_with("this is no database"));
    });
}

#[test]
fn a_damaged_database_is_corrupt() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER)").await;
        world.load(&append("t"), vec![ids(0..20_000)]).await.unwrap();
        world.target.close().await.unwrap();
        let mut bytes = fs::read(world.path()).unwrap();
        bytes[4096..].fill(0xa5);
        fs::write(world.path(), bytes).unwrap();
        let target = world.other().await;
        let error = target.claim(&request("load")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("damaged"), "{error}");
    });
}

/// The superuser writes to everything, so that this test runs itself again as nobody.
fn ran_as_nobody(test: &str) -> bool {
    if !rustix::process::geteuid().is_root() {
        return false;
    }
    // A copy, because nobody may not look into the directory of the original.
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let itself = directory.path().join("itself");
    fs::copy(std::env::current_exe().unwrap(), &itself).unwrap();
    let mut again = Command::new(itself);
    again.args(["--exact", test, "--nocapture"]).current_dir(directory.path()).uid(65_534).gid(65_534);
    let ran = again.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    true
}

#[test]
fn a_read_only_database_can_be_read_and_is_refused_by_name_for_writing() {
    block_on(async {
        if ran_as_nobody("files::a_read_only_database_can_be_read_and_is_refused_by_name_for_writing") {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("r.db");
        let settings = Settings { journal: Journal::Keep, ..impatient() };
        let target = Sqlite::open(&path, settings).await.unwrap();
        let held = claim(&target, "s").await.unwrap();
        target.close().await.unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        let target = Sqlite::open(&path, impatient()).await.unwrap();
        assert_eq!(target.ledger(None).await.unwrap().len(), 1);
        for error in [
            target.begin(&[&held], None).await.map(drop).unwrap_err(),
            target.claim(&request("s")).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains("the database is read-only"), "{error}");
        }
        let findings = target.doctor().await.unwrap();
        assert!(findings.iter().any(|finding| finding.message.contains("read-only")), "{findings:?}");
    });
}

#[test]
fn opening_and_reading_leave_the_file_as_it_is() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("theirs.db");
        rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (id INTEGER)").unwrap();
        let before = fs::read(&path).unwrap();
        let target = Sqlite::open(&path, impatient()).await.unwrap();
        assert_eq!(target.ledger(None).await.unwrap(), []);
        assert!(target.describe(&append("t").table).await.unwrap().is_some());
        assert_eq!(target.dead_letters(&append("letters").table, &LetterPage::first(10)).await.unwrap(), []);
        target.doctor().await.unwrap();
        target.close().await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), before, "no ledger, no other journal");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    });
}

#[test]
fn the_first_write_switches_to_a_write_ahead_log_and_close_leaves_one_file() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER)").await;
        world.load(&append("t"), vec![ids([1])]).await.unwrap();
        assert_eq!(world.rows("PRAGMA journal_mode"), ["wal"]);
        world.target.close().await.unwrap();
        assert_eq!(fs::read_dir(world.directory.path()).unwrap().count(), 1, "checkpointed and closed");
        let error = world.target.ledger(None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        let error = world.target.claim(&request("s")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    });
}

#[test]
fn another_ledger_is_another_name() {
    block_on(async {
        let world = World::new().await;
        let settings = Settings { ledger_table: "my \"ledger\"".to_owned(), ..impatient() };
        let target = Sqlite::open(world.path(), settings).await.unwrap();
        claim(&target, "s").await.unwrap();
        assert_eq!(world.rows("SELECT stream, epoch FROM \"my \"\"ledger\"\"\""), ["s|1"]);
        assert_eq!(world.target.ledger(None).await.unwrap(), []);
    });
}

#[test]
fn a_file_that_was_replaced_is_not_written_to() {
    block_on(async {
        let world = World::with("CREATE TABLE t (id INTEGER)").await;
        let held = world.claim("s").await;
        let aside = world.directory.path().join("aside.db");
        world.sqlite().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        fs::copy(world.path(), &aside).unwrap();
        fs::rename(&aside, world.path()).unwrap();
        for name in ["w.db-wal", "w.db-shm"] {
            fs::remove_file(world.directory.path().join(name)).unwrap();
        }
        let mut branch = begin(&world.target, &held).await;
        branch.write(&batch(&held, &append("t"), vec![ids([1])])).await.unwrap();
        branch.advance(&held, &to(2)).await.unwrap();
        branch.commit().await.unwrap();
        assert_eq!(world.rows("SELECT id FROM t"), ["1"], "the row is in the file that the path leads to");
    });
}
