//! Real threads and real tasks: nothing is due by itself, so every batch moves by pressure or by closing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use common::{Item, TokioClock, complete, never, numbers};
use standpipe_buffer::{Budget, Lanes};

const KEYS: u64 = 8;
const ITEMS: u64 = 500;

fn bytes_of(number: u64) -> u64 {
    1 + number * 37 % 300
}

fn all_once_and_in_order(committed: &BTreeMap<u64, Vec<u64>>) {
    assert_eq!(committed.len() as u64, KEYS);
    for numbers in committed.values() {
        assert_eq!(*numbers, (0..ITEMS).collect::<Vec<_>>());
    }
}

#[test]
fn threads_move_everything_once_through_a_small_budget() {
    let (budget, lanes) = (Budget::new(1000), Lanes::new(never()));
    let committed = Mutex::new(BTreeMap::<u64, Vec<u64>>::new());
    let held = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let producers: Vec<_> = (0..KEYS)
            .map(|key| {
                let (budget, lanes, held) = (&budget, &lanes, &held);
                scope.spawn(move || {
                    for number in 0..ITEMS {
                        let bytes = bytes_of(number + key);
                        let permit = budget.try_acquire(bytes).unwrap_or_else(|| {
                            let _pressure = lanes.pressure();
                            budget.acquire_blocking(bytes).unwrap()
                        });
                        let now_held = held.fetch_add(bytes, Ordering::SeqCst) + bytes;
                        assert!(now_held <= 1000, "{now_held} bytes held of 1000");
                        lanes.push(key, Item::with(number, permit), Instant::now()).unwrap();
                    }
                })
            })
            .collect();
        for worker in 0..3 {
            let (lanes, committed, held) = (&lanes, &committed, &held);
            scope.spawn(move || {
                let mut turns = worker;
                while let Some(taken) = lanes.take_blocking() {
                    turns += 1;
                    match turns % 5 {
                        0 => drop(taken),
                        1 => assert!(taken.give_back()),
                        _ => {
                            let (key, done) = (*taken.key(), numbers(taken.items()));
                            committed.lock().unwrap().entry(key).or_default().extend(done);
                            taken.complete_with(|item| {
                                held.fetch_sub(item.bytes, Ordering::SeqCst);
                            });
                        }
                    }
                }
            });
        }
        for producer in producers {
            producer.join().unwrap();
        }
        lanes.close();
    });
    all_once_and_in_order(&committed.into_inner().unwrap());
    assert_eq!((budget.in_use(), budget.waiters(), lanes.lanes()), (0, 0, 0));
    assert!(budget.peak() <= 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn tasks_move_everything_once_although_takes_and_acquires_are_cancelled() {
    let (budget, lanes) = (Budget::new(1000), Lanes::new(never()));
    let producers: Vec<_> = (0..KEYS)
        .map(|key| {
            let (budget, lanes) = (budget.clone(), lanes.clone());
            tokio::spawn(async move {
                for number in 0..ITEMS {
                    let bytes = bytes_of(number + key);
                    let _pressure = lanes.pressure();
                    let permit = loop {
                        // Each loss of the race drops the acquire in the middle of its wait.
                        tokio::select! {
                            permit = budget.acquire(bytes) => break permit.unwrap(),
                            () = few_turns(number % 7) => {}
                        }
                    };
                    lanes.push(key, Item::with(number, permit), Instant::now()).unwrap();
                }
            })
        })
        .collect();
    let takers: Vec<_> = (0..3_u64)
        .map(|worker| {
            let lanes = lanes.clone();
            tokio::spawn(async move {
                let (mut committed, mut turns) = (Vec::new(), worker);
                loop {
                    turns += 1;
                    let taken = tokio::select! {
                        taken = lanes.take(&TokioClock) => taken,
                        () = few_turns(turns % 5) => continue,
                    };
                    let Some(taken) = taken else { return committed };
                    tokio::task::yield_now().await;
                    if turns % 4 == 0 {
                        continue;
                    }
                    let first = taken.items().next().unwrap().number;
                    committed.push((*taken.key(), first, complete(taken)));
                }
            })
        })
        .collect();
    for producer in producers {
        producer.await.unwrap();
    }
    lanes.close();
    let mut all = Vec::new();
    for taker in takers {
        all.extend(taker.await.unwrap());
    }
    all.sort();
    let mut committed = BTreeMap::<u64, Vec<u64>>::new();
    for (key, _, done) in all {
        committed.entry(key).or_default().extend(done);
    }
    all_once_and_in_order(&committed);
    assert_eq!((budget.in_use(), budget.waiters(), lanes.lanes()), (0, 0, 0));
}

async fn few_turns(turns: u64) {
    for _ in 0..=turns {
        tokio::task::yield_now().await;
    }
}
