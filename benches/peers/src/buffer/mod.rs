//! Buffers between producers and one taker. Every item has a number within its producer and a size; the taker sees
//! that each producer's items come all, once and in order, and in the end that their bytes add up.

mod chunks;
mod estimate;
mod item;
mod rows;

use standpipe_harness::Workload;

use crate::comparison::Comparison;

/// Items that are taken at once, at most.
const BATCH: usize = 1000;
const UNIT: &str = "items/s";

/// The comparisons of this group.
pub(crate) fn workloads() -> Vec<Workload> {
    [producers(4), against_home(10), chunked(), estimate()]
        .into_iter()
        .flat_map(Comparison::workloads)
        .collect()
}

fn producers(many: u32) -> Comparison {
    let work = format!(
        "{many} producers, one item at a time, 64 to 191 bytes each accounted from before it is sent until it was taken \
         (1 MiB in all); 1 taker, up to 1,000 items at once"
    );
    Comparison::new(&format!("buffer.p{many}_c1"), &work)
        .with("standpipe", "Budget and Lanes, tasks", move |context| rows::standpipe(context, many))
        .with("tokio-mpsc", "a semaphore and a bounded channel, recv_many, tasks", move |context| {
            rows::tokio_mpsc(context, many, true)
        })
        .with("tokio-mpsc-no-bytes", "the channel alone: no byte accounting, so less work than the others", {
            move |context| rows::tokio_mpsc(context, many, false)
        })
        .with("weighted-mpsc", "weighted-mpsc 0.1, tasks", move |context| rows::weighted_mpsc(context, many))
        .with("crossbeam-channel", "bounded, bytes behind a mutex and a condvar, threads", move |context| {
            rows::crossbeam(context, many)
        })
        .with("home-rwlock", HOME, move |context| rows::home_rwlock(context, many))
}

fn against_home(many: u32) -> Comparison {
    Comparison::new(
        &format!("buffer.p{many}_c1"),
        &format!(
            "{many} tasks that produce, one item at a time, 1 MiB in all; 1 taker, up to 1,000 items at once"
        ),
    )
    .with("standpipe", "Budget and Lanes, bytes accounted", move |context| rows::standpipe(context, many))
    .with("home-rwlock", HOME, move |context| rows::home_rwlock(context, many))
}

const HOME: &str = "a Vec behind one RwLock, filled row by row, cloned when it is drained, 100 bytes assumed for each item; tasks";

fn chunked() -> Comparison {
    Comparison::new(
        "buffer.t4_c1_batch",
        "4 threads produce 64 items of 16 bytes at a time, 8,192 under way at most; 1 thread takes",
    )
    .with("standpipe", "64 items are one push and one permit", chunks::standpipe)
    .with("standpipe-rows", "a push and a permit for each item", chunks::standpipe_rows)
    .with("crossbeam-channel", "bounded, a send for each item: it has no other", chunks::crossbeam)
    .with("crossbeam-channel-chunks", "bounded, a Vec of 64 items is one send", chunks::crossbeam_chunks)
}

fn estimate() -> Comparison {
    Comparison::new(
        "buffer.estimate",
        "rows of which one in ten is 8 KiB and the rest 40 bytes, until a limit of 16 MiB refuses more: memory that \
         became resident, as a multiple of the limit",
    )
    .with("standpipe", "Budget and Lanes, real bytes", estimate::standpipe)
    .with("home-estimate", "100 bytes assumed for each row", estimate::home)
}
