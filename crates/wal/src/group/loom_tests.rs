//! The protocol by which threads lead in turn, in every order that there is: nobody sleeps for ever, and whoever
//! returns was served. `RUSTFLAGS="--cfg loom" cargo test -p standpipe-wal --release --lib loom`

use std::sync::Weak as StdWeak;

use loom::{sync::Arc as LoomArc, thread};

use super::*;

/// A log without a disk.
struct Toy {
    pen: Mutex<()>,
    queue: Mutex<Vec<std::sync::Arc<Group>>>,
    demanded: AtomicBool,
    rounds: Count,
}

impl Toy {
    fn append(&self) -> std::sync::Arc<Group> {
        let mut queue = self.queue.lock().unwrap();
        // One group for all who come before it is taken, as in the log.
        if queue.is_empty() {
            let lead: StdWeak<Toy> = StdWeak::new();
            queue.push(std::sync::Arc::new(Group::new(lead)));
        }
        queue[0].clone()
    }

    /// As the log's own.
    fn lead(&self) -> Turn {
        let Ok(pen) = self.pen.try_lock() else { return Turn::Others };
        let taken = std::mem::take(&mut *self.queue.lock().unwrap());
        thread::yield_now();
        self.rounds.fetch_add(1, SeqCst);
        for group in &taken {
            group.reach(Stage::Synced);
        }
        drop(pen);
        let queue = self.queue.lock().unwrap();
        if let Some(group) = successor(queue.iter()) {
            drop(queue);
            group.call();
        }
        Turn::Led
    }
}

impl Lead for Toy {
    fn lead(&self) -> Turn {
        self.lead()
    }
    fn demand(&self) {
        self.demanded.store(true, SeqCst);
    }
}

/// Every order, with at most so many threads stopped in the middle.
fn writers(count: usize, preemptions_max: Option<usize>) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions_max;
    model.check(move || {
        let toy = LoomArc::new(Toy {
            pen: Mutex::new(()),
            queue: Mutex::new(Vec::new()),
            demanded: AtomicBool::new(false),
            rounds: Count::new(0),
        });
        let threads: Vec<_> = (0..count)
            .map(|_| {
                let toy = toy.clone();
                thread::spawn(move || {
                    let group = toy.append();
                    group.wait_with(Stage::Synced, || toy.lead()).unwrap();
                    assert_eq!(group.stage(), Stage::Synced as u32);
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(toy.queue.lock().unwrap().is_empty());
        let rounds = toy.rounds.load(SeqCst);
        assert!(rounds >= 1, "someone led");
    });
}

#[test]
fn loom_two_writers_lead_in_turn() {
    writers(2, None);
}

#[test]
fn loom_three_writers_lead_in_turn() {
    writers(3, Some(2));
}
