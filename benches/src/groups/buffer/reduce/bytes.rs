//! Keys that are no integers.

use std::{collections::HashSet, hint::black_box};

use standpipe_buffer::Reducer;
use standpipe_harness::{Context, Figure, Outcome, Sample, Workload, check};

use super::case::{Case, Keys};

const CASE: Case = Case { items: 1000, keys: Keys::Sparse, again: 1 };

pub(super) fn workloads() -> Vec<Workload> {
    vec![
        Workload::new(
            "buffer.reduce.bytes16",
            "1 thread reduces batches of 1,000 keys of 16 bytes, 1% of which come again, to the last of each",
            ours,
        )
        .full_only(),
        Workload::new(
            "buffer.reduce.bytes16.std",
            "the same with a std HashSet of its own hasher, which both use",
            std_set,
        )
        .full_only(),
    ]
}

fn batches() -> Vec<Vec<[u8; 16]>> {
    let key = |key: &u64| (u128::from(*key) * u128::from(u64::MAX)).to_le_bytes();
    CASE.batches().iter().map(|keys| keys.iter().map(key).collect()).collect()
}

fn ours(context: &Context) -> Outcome<Sample> {
    let mut reducer = Reducer::new(&["key"])?;
    run(context, |keys| Ok(reducer.keep_last_hashed(keys, <[u8; 16]>::as_slice)?.len()))
}

fn std_set(context: &Context) -> Outcome<Sample> {
    let mut kept = Vec::new();
    run(context, |keys| {
        // Keys live no longer than their batch, so neither does a set of them.
        let mut seen = HashSet::with_capacity(keys.len());
        kept.clear();
        for (place, key) in keys.iter().enumerate().rev() {
            if seen.insert(key.as_slice()) {
                kept.push(place as u32);
            }
        }
        kept.reverse();
        Ok(black_box(&kept).len())
    })
}

fn run(context: &Context, mut reduce: impl FnMut(&[[u8; 16]]) -> Outcome<usize>) -> Outcome<Sample> {
    let batches = batches();
    let (keys, took_s) = context.repeat(|| {
        for keys in &batches {
            check("keys kept", reduce(black_box(keys))?, CASE.items * 99 / 100)?;
        }
        Ok((batches.len() * CASE.items) as u64)
    })?;
    Ok(Sample::of([Figure::throughput(keys as f64, took_s, "keys/s")]))
}
