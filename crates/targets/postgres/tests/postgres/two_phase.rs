//! Two-phase commit.

use standpipe_core::{ErrorKind, Mode, Participant, Target, Type, Vote, Xid};
use standpipe_postgres::Settings;
use standpipe_testkit::target::Value;

use crate::{
    proxy::{Proxy, Rule},
    server::Database,
    world::{Writer, append, merge, text, to},
};

const COLUMNS: &[(&str, Type)] = &[("id", Type::Int8), ("v", Type::Text)];

fn rows(first: i64, count: i64) -> Vec<Vec<Value>> {
    (first..first + count).map(|id| vec![Value::Int8(id), text("x")]).collect()
}

fn xid(database: &Database, number: u32) -> Xid {
    Xid::new(format!("{}.{number}", database.name)).unwrap()
}

#[tokio::test]
async fn prepared_on_one_ended_on_another() {
    let Some(database) = Database::new("prepared_on_one_ended_on_another").await else { return };
    database.run("CREATE TABLE t (id int8 PRIMARY KEY, v text, x int4[])").await;
    let mut writer = Writer::new(&database, "s").await;
    let other = database.open().await;
    let prefix = format!("{}.", database.name);
    let kinds = [(Mode::Append, 3), (Mode::Upsert, 2000), (Mode::Ignore, 5), (Mode::Replace, 3)];
    let mut total = 0;
    for (number, (mode, count)) in (0..).zip(kinds) {
        for commits in [false, true] {
            let id = xid(&database, number * 2 + u32::from(commits));
            let mut branch = writer.target.begin(&[&writer.claim], Some(&id)).await.unwrap();
            let of = merge("t", mode, &["id"], COLUMNS, &rows(i64::from(number) * 10_000, count));
            assert_eq!(branch.write(&of).await.unwrap(), []);
            branch.advance(&writer.claim, &to(writer.claim.position + 1)).await.unwrap();
            assert_eq!(branch.prepare().await.unwrap(), Vote::Yes);
            assert_eq!(database.value("SELECT count(*) FROM t").await, total.to_string());
            assert_eq!(other.recover(&prefix).await.unwrap(), std::slice::from_ref(&id));
            if commits {
                other.commit(&id).await.unwrap();
                other.commit(&id).await.unwrap();
                total += count;
                writer.claim.position += 1;
            } else {
                other.rollback(&id).await.unwrap();
                other.rollback(&id).await.unwrap();
            }
            assert_eq!(other.recover(&prefix).await.unwrap(), []);
            assert_eq!(database.value("SELECT count(*) FROM t").await, total.to_string());
        }
    }
    // A column of arrays goes the same way.
    let id = xid(&database, 90);
    let mut branch = writer.target.begin(&[&writer.claim], Some(&id)).await.unwrap();
    let columns = [("id", Type::Int8), ("x", Type::Json)];
    let of =
        merge("t", Mode::Upsert, &["id"], &columns, &[vec![Value::Int8(1), Value::Json("[1, 2]".into())]]);
    assert_eq!(branch.write(&of).await.unwrap(), []);
    assert_eq!(branch.prepare().await.unwrap(), Vote::Yes);
    other.commit(&id).await.unwrap();
    assert_eq!(database.value("SELECT x FROM t WHERE id = 1").await, "{1,2}");
    database.end().await;
}

#[tokio::test]
async fn what_cannot_be_prepared() {
    let Some(database) = Database::new("what_cannot_be_prepared").await else { return };
    database.run("CREATE TABLE t (id int8, v text)").await;
    let writer = Writer::new(&database, "s").await;
    let error = writer.begin().await.unwrap().prepare().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let id = xid(&database, 1);
    let branch = writer.target.begin(&[], Some(&id)).await.unwrap();
    branch.rollback().await.unwrap();
    assert_eq!(writer.target.recover(&format!("{}.", database.name)).await.unwrap(), []);
    database.end().await;
}

/// The connection is lost while it is prepared: in doubt, and recovery finds it or does not.
#[tokio::test]
async fn cut_while_it_is_prepared() {
    let Some(database) = Database::new("cut_while_it_is_prepared").await else { return };
    database.run("CREATE TABLE t (id int8, v text)").await;
    let proxy = Proxy::new(&database).await;
    let mut writer = Writer::on(proxy.open(Settings::default()), "s").await;
    let prefix = format!("{}.", database.name);
    for number in 0..6 {
        let was_heard = number % 2 == 1;
        let id = xid(&database, number);
        let mut branch = writer.target.begin(&[&writer.claim], Some(&id)).await.unwrap();
        branch.write(&append("t", COLUMNS, &rows(number.into(), 1))).await.unwrap();
        branch.advance(&writer.claim, &to(writer.claim.position + 1)).await.unwrap();
        proxy.set(if was_heard { Rule::CutBehind("PREPARE") } else { Rule::CutBefore("PREPARE") });
        let error = branch.prepare().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InDoubt, "{error}");
        let found = writer.target.recover(&prefix).await.unwrap();
        assert_eq!(found, if was_heard { vec![id.clone()] } else { vec![] });
        if was_heard {
            proxy.set(Rule::CutBehind("COMMIT PREPARED"));
            let error = Participant::commit(&writer.target, &id).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
            Participant::commit(&writer.target, &id).await.unwrap();
            writer.claim.position += 1;
        }
    }
    assert_eq!(database.value("SELECT count(*) FROM t").await, "3");
    database.end().await;
}
