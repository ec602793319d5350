//! The consumer of `examples/partitions.rs`, killed with SIGKILL at seeded moments and started again until it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

use std::{
    env, fs,
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

#[path = "../examples/partitions.rs"]
mod example;

const PARTITIONS: usize = 3;
const ROWS: usize = 40_000;
const KILLS: u32 = 12;
/// Fewer where the machine is so busy that a consumer comes to its end before it is killed.
const KILLS_MIN: u32 = 4;

/// The table is called like this test, which this program runs when it is given the example's arguments: each is taken
/// for a part of a test's name.
const TABLE: &str = "the_consumer";

#[test]
fn the_consumer() {
    if env::args().nth(2).as_deref() == Some(TABLE) {
        example::main().unwrap();
    }
}

#[test]
fn each_row_of_a_partition_is_in_sqlite_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .execute_batch(
            "create table the_consumer (arrival integer primary key autoincrement, partition int, number int, text text)",
        )
        .unwrap();
    let count = || {
        database.query_row("select count(*) from the_consumer", [], |row| row.get::<_, i64>(0)).unwrap()
            as usize
    };
    consume(dir.path(), &format!("sqlite:{}", path.display()), count);
    let mut rows = database.prepare("select partition, number from the_consumer order by arrival").unwrap();
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
        "CREATE TABLE the_consumer (arrival bigint GENERATED ALWAYS AS IDENTITY, partition int, number bigint, text text)",
    );
    let dir = tempfile::tempdir().unwrap();
    let count = || {
        let query = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM the_consumer");
        runtime.block_on(query.fetch_one(&mut connection)).unwrap() as usize
    };
    consume(dir.path(), &url, count);
    let query = "SELECT partition::bigint, number FROM the_consumer ORDER BY arrival";
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
    let program = env::current_exe().unwrap();
    let start = || {
        let mut command = Command::new(&program);
        command.args([url, TABLE]).arg(&partitions).stdout(Stdio::null()).spawn().unwrap()
    };
    let (mut seed, mut kills, mut on_the_way) = (7_u64, 0, 0);
    while kills < KILLS {
        let mut child = start();
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        // So many more rows are in, or it has ended.
        let from = count();
        let more = (PARTITIONS * ROWS - from) * (seed % 256) as usize / 4096;
        wait(&mut child, || count() > from + more);
        let has_ended = child.try_wait().unwrap().is_some();
        let _ = child.kill();
        child.wait().unwrap();
        if has_ended {
            break;
        }
        kills += 1;
        let now = count();
        on_the_way += u32::from(0 < now && now < PARTITIONS * ROWS);
    }
    assert!(start().wait().unwrap().success());
    assert!(start().wait().unwrap().success(), "once more, with nothing left to do");
    println!("kills {kills}, {on_the_way} with rows on their way; rows {}", count());
    assert!(kills >= KILLS_MIN && on_the_way * 2 > kills, "the kills fell beside the work");
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

fn skipped() {
    let (test, why) = ("partitions: postgresql", "no PostgreSQL server (STANDPIPE_TEST_POSTGRES)");
    eprintln!("skipped: {test}: {why}: run 'cargo xtask test', or 'eval \"$(cargo xtask services env)\"'");
    if let Ok(path) = env::var("STANDPIPE_TEST_SKIPS") {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{test}: {why}").unwrap();
    }
}
