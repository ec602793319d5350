//! The consumer of `examples/partitions.rs`, killed with SIGKILL at seeded moments and started again until it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

const PARTITIONS: usize = 3;
const ROWS: usize = 20_000;
const KILLS: u32 = 12;

#[test]
fn each_row_of_a_partition_is_in_sqlite_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .execute_batch(
            "create table events (arrival integer primary key autoincrement, partition int, number int, text text)",
        )
        .unwrap();
    let count = || {
        database.query_row("select count(*) from events", [], |row| row.get::<_, i64>(0)).unwrap() as usize
    };
    consume(dir.path(), &format!("sqlite:{}", path.display()), count);
    let mut rows = database.prepare("select partition, number from events order by arrival").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).unwrap();
    check(rows.map(Result::unwrap));
}

#[test]
fn each_row_of_a_partition_is_in_postgresql_once_and_in_order() {
    let Ok(server) = env::var("STANDPIPE_TEST_POSTGRES") else { return skipped() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connect = |url: &str| runtime.block_on(PgConnection::connect(url)).unwrap();
    let run = |connection: &mut PgConnection, sql: &str| {
        runtime.block_on(sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection)).unwrap();
    };
    let name = format!("partitions_{}", std::process::id());
    run(&mut connect(&server), &format!("CREATE DATABASE {name}"));
    let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
    let mut connection = connect(&url);
    run(
        &mut connection,
        "CREATE TABLE events (arrival bigint GENERATED ALWAYS AS IDENTITY, partition int, number bigint, text text)",
    );
    let dir = tempfile::tempdir().unwrap();
    let count = || {
        let query = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM events");
        runtime.block_on(query.fetch_one(&mut connection)).unwrap() as usize
    };
    consume(dir.path(), &url, count);
    let query = "SELECT partition::bigint, number FROM events ORDER BY arrival";
    let rows = runtime.block_on(sqlx::query_as::<_, (i64, i64)>(query).fetch_all(&mut connection)).unwrap();
    check(rows.into_iter());
    drop(connection);
    run(&mut connect(&server), &format!("DROP DATABASE {name} WITH (FORCE)"));
}

/// Lets the consumer run to its end, and kills it on the way there.
fn consume(dir: &Path, url: &str, mut count: impl FnMut() -> usize) {
    let partitions = dir.join("partitions");
    fs::create_dir(&partitions).unwrap();
    for partition in 0..PARTITIONS {
        let line =
            |number| format!("{{\"partition\":{partition},\"number\":{number},\"text\":\"row {number}\"}}\n");
        let text: String = (0..ROWS).map(line).collect();
        fs::write(partitions.join(format!("{partition}.ndjson")), text).unwrap();
    }
    let consumer = consumer();
    let start = || Command::new(&consumer).args([url, "events"]).arg(&partitions).spawn().unwrap();
    let (mut seed, mut kills, mut on_the_way) = (7_u64, 0, 0);
    while kills < KILLS {
        let mut child = start();
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        // So many more rows are in, or it has ended.
        let from = count();
        let more = (PARTITIONS * ROWS - from) * (seed % 256) as usize / 2048;
        wait(&mut child, || count() > from + more);
        let has_ended = child.try_wait().unwrap().is_some();
        let _ = child.kill();
        child.wait().unwrap();
        assert!(!has_ended, "{kills} kills, and it had ended");
        kills += 1;
        let now = count();
        on_the_way += u32::from(0 < now && now < PARTITIONS * ROWS);
    }
    assert!(start().wait().unwrap().success());
    assert!(start().wait().unwrap().success(), "once more, with nothing left to do");
    println!("kills {kills}, {on_the_way} with rows on their way; rows {}", count());
    assert!(on_the_way * 2 > kills, "the kills fell beside the work");
}

fn wait(child: &mut Child, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() && !is_so() {
        assert!(Instant::now() < deadline, "the consumer does not come on");
        thread::park_timeout(Duration::from_micros(200));
    }
}

/// Each row of each partition, once, in its order.
fn check(rows: impl Iterator<Item = (i64, i64)>) {
    let mut next = [0; PARTITIONS];
    for (partition, number) in rows {
        let next = &mut next[usize::try_from(partition).unwrap()];
        assert_eq!(number, *next, "of partition {partition}");
        *next += 1;
    }
    assert_eq!(next, [ROWS as i64; PARTITIONS]);
}

/// The example, built as this test is.
fn consumer() -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "standpipe", "--example", "partitions"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success());
    let program = env::current_exe().unwrap();
    program.parent().unwrap().with_file_name("examples").join("partitions")
}

fn skipped() {
    let (test, why) = ("partitions: postgresql", "no PostgreSQL server (STANDPIPE_TEST_POSTGRES)");
    eprintln!("skipped: {test}: {why}: run 'cargo xtask test', or 'eval \"$(cargo xtask services env)\"'");
    if let Ok(path) = env::var("STANDPIPE_TEST_SKIPS") {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{test}: {why}").unwrap();
    }
}
