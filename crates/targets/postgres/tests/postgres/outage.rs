//! The server is gone for a while, under a sink that is written to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use standpipe_core::{SourceId, Type, Window};
use standpipe_postgres::Settings;
use standpipe_sink::{Events, Rows, Sink, StreamSpec};
use standpipe_testkit::target::{Value, block};

use crate::{
    proxy::{Proxy, Rule},
    server::Database,
    world::{schema, text},
};

#[derive(Default)]
struct Seen {
    stalls: AtomicU64,
    told: tokio::sync::Notify,
}

impl Events for Seen {
    fn stalled(&self, reason: &str, _: Duration) {
        assert!(!reason.is_empty());
        self.stalls.fetch_add(1, Ordering::SeqCst);
        self.told.notify_one();
    }
}

/// Producers wait, nothing fails, the stall is told, and all goes on by itself: each row is in once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn producers_wait_while_the_server_is_gone() {
    let Some(database) = Database::new("producers_wait_while_the_server_is_gone").await else { return };
    database.run("CREATE TABLE t (id int8 PRIMARY KEY, v text)").await;
    let proxy = Proxy::new(&database).await;
    let impatient = Settings {
        answer_timeout: Duration::from_millis(500),
        connect_timeout: Duration::from_millis(500),
        ..Settings::default()
    };
    let seen = Arc::new(Seen::default());
    let settings = standpipe_sink::Settings {
        memory_bytes: 256 << 10,
        flush_after: Duration::from_millis(5),
        ..standpipe_sink::Settings::default()
    };
    let sink = Sink::builder().target(proxy.open(impatient)).events(seen.clone()).settings(settings);
    let sink = Arc::new(sink.open().await.unwrap());
    let columns = schema(&[("id", Type::Int8), ("v", Type::Text)]);
    let spec = StreamSpec::append("t", (*columns).clone()).unwrap();
    let source = SourceId::new("file:1").unwrap();
    let stream = sink.source(spec, source, Window::everything(), false).await.unwrap().unwrap();
    let given = Arc::new(AtomicU64::new(0));
    let rows = |number: u64| -> Vec<Vec<Value>> {
        (number * 100..number * 100 + 100)
            .map(|id| vec![Value::Int8(id as i64), text("forty letters or so, to fill the memory")])
            .collect()
    };
    let first = sink.write_at(&stream, 0..1, Rows::from_block(block(&columns, &rows(0)))).await.unwrap();
    first.applied().await.unwrap();
    proxy.set(Rule::Freeze);
    let writes = tokio::spawn({
        let (sink, given) = (Arc::clone(&sink), Arc::clone(&given));
        let blocks: Vec<_> = (1..200).map(|number| (number, block(&columns, &rows(number)))).collect();
        async move {
            for (number, block) in blocks {
                sink.write_at(&stream, number..number + 1, Rows::from_block(block)).await.unwrap();
                given.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    while seen.stalls.load(Ordering::SeqCst) < 3 {
        seen.told.notified().await;
    }
    assert!(
        !writes.is_finished(),
        "a producer waits for room: {} of 199 writes",
        given.load(Ordering::SeqCst)
    );
    assert!(sink.memory_in_use_bytes() <= 256 << 10);
    assert_eq!(database.value("SELECT count(*) FROM t").await, "100");
    proxy.set(Rule::Pass);
    writes.await.unwrap();
    sink.flush().await.unwrap();
    let found = database.value("SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || max(id) FROM t").await;
    assert_eq!(found, "20000 20000 19999");
    println!("{} stalls told, 20,000 rows in the table once", seen.stalls.load(Ordering::SeqCst));
    database.end().await;
}
