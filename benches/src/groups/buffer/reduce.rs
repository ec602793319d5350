mod bytes;
mod candidates;
mod case;
#[cfg(target_arch = "x86_64")]
mod simd;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use standpipe_buffer::Reducer;
use standpipe_harness::{Allocations, Context, Figure, Outcome, Sample, Scale, Workload, check};

use self::{
    candidates::Candidate,
    case::{Case, Keys},
};

/// Times that each candidate has its turn.
const ROUNDS: u32 = 7;

pub(super) fn workloads() -> Vec<Workload> {
    let keys = [Keys::Dense, Keys::Sparse, Keys::Sorted];
    let cases = [16, 100, 1000, 10_000, 50_000].into_iter().flat_map(move |items| {
        keys.into_iter().flat_map(move |keys| [0, 1, 50, 99].map(|again| Case { items, keys, again }))
    });
    cases.map(workload).chain(bytes::workloads()).collect()
}

fn workload(case: Case) -> Workload {
    let Case { items, keys, again } = case;
    let measures = format!(
        "1 thread reduces batches of {items} {keys} keys of 64 bits, {again}% of which come again, to the last of each; \
         with --full beside what it was chosen from"
    );
    let workload = Workload::new(case.name(), measures, move |context| run(context, case));
    if matches!((items, keys, again), (1000, Keys::Sparse, 1) | (10_000, Keys::Sorted, 0)) {
        workload
    } else {
        workload.full_only()
    }
}

fn run(context: &Context, case: Case) -> Outcome<Sample> {
    let batches = case.batches();
    let mut reducer = Reducer::new(&["key"])?;
    for keys in &batches {
        check("what is kept", reducer.keep_last(keys)?, &case::expected(keys)[..])?;
    }
    let allocations = Allocations::so_far();
    let (keys, took_s) = context.repeat(|| {
        for keys in &batches {
            black_box(reducer.keep_last(black_box(keys))?);
        }
        Ok((batches.len() * case.items) as u64)
    })?;
    check("allocations in steady state", allocations.since().count, 0)?;
    let mut sample = Sample::of([Figure::throughput(keys as f64, took_s, "keys/s")]);
    if context.scale == Scale::Full {
        sample.figures.extend(beside(context.span, case, &batches)?);
    }
    Ok(sample)
}

/// All ways in turns, and of each the median.
fn beside(span: Duration, case: Case, batches: &[Vec<u64>]) -> Outcome<Vec<Figure>> {
    let mut ways = candidates::all(case)?;
    let turn = span / ROUNDS / ways.len() as u32;
    let mut took_ns = vec![Vec::new(); ways.len()];
    for candidate in &mut ways {
        for keys in batches.iter().take(100) {
            let name = candidate.name;
            check(name, candidate.keep_last(keys)?, &case::expected(keys)[..])?;
        }
    }
    for _ in 0..ROUNDS {
        for (candidate, took_ns) in ways.iter_mut().zip(&mut took_ns) {
            took_ns.push(ns_per_key(turn, candidate, batches)?);
        }
    }
    let median = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Ok(ways
        .iter()
        .zip(took_ns)
        .map(|(candidate, all)| Figure::told(candidate.name, median(all), "ns/key"))
        .collect())
}

fn ns_per_key(turn: Duration, candidate: &mut Candidate, batches: &[Vec<u64>]) -> Outcome<f64> {
    let (mut keys, began) = (0, Instant::now());
    loop {
        for batch in batches {
            black_box(candidate.keep_last(black_box(batch))?);
            keys += batch.len();
        }
        let took = began.elapsed();
        if took >= turn {
            return Ok(took.as_secs_f64() * 1e9 / keys as f64);
        }
    }
}
