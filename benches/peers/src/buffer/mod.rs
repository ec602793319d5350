//! Buffers between producers and one taker. Every item has a number within its producer and a size; the taker sees
//! that each producer's items come all, once and in order, and in the end that their bytes add up.

mod batches;
mod chunks;
mod estimate;
mod item;
mod ours;
mod pinned;
mod rows;

use standpipe_harness::Workload;

use self::pinned::pinned;
use crate::comparison::Comparison;

/// Items that are taken at once, at most.
const BATCH: usize = 1000;
const UNIT: &str = "items/s";

/// The comparisons of this group.
pub(crate) fn workloads() -> Vec<Workload> {
    [
        producers(4),
        against_home(10),
        batched(),
        chunked(),
        on_one_core(),
        batches_on_one_core(),
        chunks_on_one_core(),
        estimate(),
    ]
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
        .with("standpipe", "Budget and Lanes, tasks", move |context| ours::rows(context, many))
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
        .with("home-std-rwlock", HOME_STD, move |context| rows::home_std_rwlock(context, many))
}

fn against_home(many: u32) -> Comparison {
    Comparison::new(
        &format!("buffer.p{many}_c1"),
        &format!(
            "{many} tasks that produce, one item at a time, 1 MiB in all; 1 taker, up to 1,000 items at once"
        ),
    )
    .with("standpipe", "Budget and Lanes, bytes accounted", move |context| ours::rows(context, many))
    .with("home-rwlock", HOME, move |context| rows::home_rwlock(context, many))
    .with("home-std-rwlock", HOME_STD, move |context| rows::home_std_rwlock(context, many))
}

const HOME: &str = "a Vec behind one RwLock, filled row by row, cloned when it is drained, 100 bytes assumed for each \
                    item; tasks";

const HOME_STD: &str = "the same behind the standard library's RwLock, held for a moment; tasks";

fn batched() -> Comparison {
    Comparison::new(
        "buffer.p4_c1_batch",
        "4 tasks produce 64 items at a time, 64 to 191 bytes each accounted from before they are sent until they were \
         taken (1 MiB in all); 1 task takes up to 1,000 items at once",
    )
    .with("standpipe", "64 items are one push and one permit", ours::batches)
    .with("tokio-mpsc", "one permit of a semaphore, 64 places reserved at once, recv_many", batches::tokio_mpsc)
    .with("tokio-mpsc-chunks", "a Vec of 64 items is one message, recv_many", batches::tokio_mpsc_chunks)
    .with("weighted-mpsc", "a send for each item: it has no other", batches::weighted_mpsc)
    .with("weighted-mpsc-chunks", "a Vec of 64 items is one message", batches::weighted_mpsc_chunks)
}

fn on_one_core() -> Comparison {
    Comparison::new(
        "buffer.p4_c1_pinned",
        "4 producers and 1 taker as in buffer.p4_c1: how much slower they are on one core than on all",
    )
    .with("standpipe", "Budget and Lanes, tasks", pinned(|context| ours::rows(context, 4)))
    .with("tokio-mpsc", "a semaphore and a bounded channel, tasks", {
        pinned(|context| rows::tokio_mpsc(context, 4, true))
    })
    .with("weighted-mpsc", "tasks", pinned(|context| rows::weighted_mpsc(context, 4)))
    .with("crossbeam-channel", "bytes behind a mutex and a condvar, threads", {
        pinned(|context| rows::crossbeam(context, 4))
    })
}

fn batches_on_one_core() -> Comparison {
    Comparison::new(
        "buffer.p4_c1_batch_pinned",
        "4 tasks and 1 taker as in buffer.p4_c1_batch: how much slower they are on one core than on all",
    )
    .with("standpipe", "64 items are one push and one permit", pinned(ours::batches))
    .with("tokio-mpsc", "64 places reserved at once", pinned(batches::tokio_mpsc))
    .with("tokio-mpsc-chunks", "64 items are one message", pinned(batches::tokio_mpsc_chunks))
    .with("weighted-mpsc-chunks", "64 items are one message", pinned(batches::weighted_mpsc_chunks))
}

fn chunks_on_one_core() -> Comparison {
    Comparison::new(
        "buffer.t4_c1_batch_pinned",
        "4 threads and 1 taker as in buffer.t4_c1_batch: how much slower they are on one core than on all",
    )
    .with("standpipe", "64 items are one push and one permit", pinned(ours::chunks))
    .with("standpipe-rows", "a push and a permit for each item", pinned(ours::chunks_by_rows))
    .with("crossbeam-channel", "a send for each item", pinned(chunks::crossbeam))
    .with("crossbeam-channel-chunks", "64 items are one send", pinned(chunks::crossbeam_chunks))
}

fn chunked() -> Comparison {
    Comparison::new(
        "buffer.t4_c1_batch",
        "4 threads produce 64 items of 16 bytes at a time, 8,192 under way at most; 1 thread takes",
    )
    .with("standpipe", "64 items are one push and one permit", ours::chunks)
    .with("standpipe-rows", "a push and a permit for each item", ours::chunks_by_rows)
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
