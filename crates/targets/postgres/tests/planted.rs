//! Known failures planted inside the crate's own code: each check finds its own. A separate program, since the switch is
//! one for the whole process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    dead_code,
    unused_imports,
    reason = "these are tests, and some of what they share is for others"
)]

#[path = "postgres/locks.rs"]
mod locks;
#[path = "postgres/parallel.rs"]
mod parallel;
#[path = "postgres/proxy.rs"]
mod proxy;
#[path = "postgres/rows.rs"]
mod rows;
#[path = "postgres/server.rs"]
mod server;
#[path = "postgres/world.rs"]
mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
};

use rows::Checked;
use server::Database;
use standpipe_core::Mode;
use standpipe_postgres::planted::{Plant, plant};
use tokio::runtime::Runtime;

type Check = for<'a> fn(&'a Database) -> Pin<Box<dyn Future<Output = Checked> + 'a>>;

fn finds(runtime: &Runtime, database: &Database, what: Plant, check: Check) {
    let unplanted = runtime.block_on(check(database));
    unplanted.unwrap_or_else(|found| panic!("{what:?} is there without being planted: {found}"));
    plant(Some(what));
    let found = catch_unwind(AssertUnwindSafe(|| runtime.block_on(check(database))));
    plant(None);
    match found {
        Ok(Ok(passed)) => panic!("{what:?} was not found: {passed}"),
        Ok(Err(found)) => println!("{what:?}: {found}"),
        Err(_) => println!("{what:?}: a panic"),
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let Some(database) = runtime.block_on(Database::new("planted")) else { return };
    let checks: [(Plant, Check); 8] = [
        (Plant::WholeBatchFails, |database| Box::pin(rows::s1_one_bad_row(database))),
        (Plant::RejectsForgotten, |database| Box::pin(rows::s2_every_row_is_somewhere(database))),
        (Plant::NoReduction, |database| Box::pin(rows::s3_a_key_twice_in_a_batch(database))),
        (Plant::SecondUniqueIgnored, |database| Box::pin(rows::s4_a_second_unique_index(database))),
        (Plant::KeysUnordered, |database| {
            Box::pin(async {
                let settings = world::both_ways()[0].clone();
                parallel::s5_opposite_orders(database, Mode::Upsert, settings).await
            })
        }),
        (Plant::FenceOutside, |database| Box::pin(locks::s6_fence_within_the_transaction(database))),
        (Plant::CommitErrorSwallowed, |database| Box::pin(rows::s8_lost_at_commit(database))),
        (Plant::ShapeBelieved, |database| Box::pin(rows::retyped_as_wide(database))),
    ];
    for (what, check) in checks {
        finds(&runtime, &database, what, check);
    }
    runtime.block_on(database.end());
}
