//! Work that can be made slower by a stated share, so that the pipeline can be tested with it. `selftest.slowdown`
//! says by how much. It is more of the same work, counted and never timed: the code of both sides is the same.

use std::{
    hint::black_box,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use standpipe_harness::{Context, Figure, Latency, Outcome, Pace, Sample, Workload, check};

/// Bytes of one piece of work.
const BLOCK_BYTES: usize = 4 << 10;
/// Blocks before they come again.
const BLOCKS: u64 = 64;
/// Blocks of one operation of `selftest.throughput`, without a slowdown.
const THROUGHPUT_BLOCKS: f64 = 50.0;
/// Blocks of one operation of `selftest.latency`, without a slowdown: about 300 µs.
const LATENCY_BLOCKS: f64 = 300.0;
/// Operations a second of `selftest.latency`: it is idle most of the time.
const RATE: f64 = 500.0;

/// The workloads of this group.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload::new(
            "selftest.throughput",
            "closed loop of hashing blocks of 4 KiB through an allocation and a lock; --set selftest.slowdown=12 makes it 12% slower",
            throughput,
        )
        .full_only(),
        Workload::new(
            "selftest.latency",
            format!("open loop, {RATE} operations a second of the same work; --set selftest.slowdown=18 makes each take 18% longer"),
            latency,
        )
        .full_only(),
    ]
}

fn throughput(context: &Context) -> Outcome<Sample> {
    let slowdown = slowdown(context)?;
    let mut work = Work::new(THROUGHPUT_BLOCKS / (1.0 - slowdown));
    let (operations, seconds) = context.repeat(|| {
        work.operation();
        Ok(1)
    })?;
    work.check()?;
    Ok(Sample::of([Figure::throughput(operations as f64, seconds, "operations/s")]))
}

fn latency(context: &Context) -> Outcome<Sample> {
    let slowdown = slowdown(context)?;
    let rate = context.settings.get("run.rate", RATE)?;
    let mut work = Work::new(LATENCY_BLOCKS * (1.0 + slowdown));
    let start = Instant::now();
    let began = start + context.warm_up();
    let mut latency = Latency::since(began);
    for intended in Pace::new(start, rate).until(began + context.span) {
        work.operation();
        if intended >= began {
            latency.record(intended, Instant::now());
        }
    }
    work.check()?;
    Ok(Sample::default().with_latency(&latency))
}

/// As a share, below one.
fn slowdown(context: &Context) -> Outcome<f64> {
    let percent: f64 = context.settings.get("selftest.slowdown", 0.0)?;
    if (0.0..=90.0).contains(&percent) {
        Ok(percent / 100.0)
    } else {
        Err(format!("--set selftest.slowdown={percent}: write 0 to 90").into())
    }
}

/// Blocks of bytes that are hashed one after the other.
struct Work {
    blocks: Vec<u8>,
    /// Blocks of one operation; what is no whole block is carried over to the next one.
    each: f64,
    owed: f64,
    done: u64,
    sum: Mutex<u64>,
}

impl Work {
    fn new(each: f64) -> Self {
        let mut state = 0x5eed_u64;
        let blocks = (0..BLOCKS as usize * BLOCK_BYTES)
            .map(|_| {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                (state >> 56) as u8
            })
            .collect();
        Work { blocks, each, owed: 0.0, done: 0, sum: Mutex::new(0) }
    }

    fn operation(&mut self) {
        self.owed += self.each;
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            // An allocation, a copy, a pass over memory and a lock: what the crates do, in small.
            let block = black_box(self.block(self.done).to_vec());
            let hash = hash(&block);
            let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
            *sum = sum.wrapping_add(hash);
            self.done += 1;
        }
    }

    fn block(&self, number: u64) -> &[u8] {
        let first = (number % BLOCKS) as usize * BLOCK_BYTES;
        &self.blocks[first..first + BLOCK_BYTES]
    }

    /// Every block was hashed as often as it came.
    fn check(&self) -> Outcome<()> {
        let expected = (0..BLOCKS).fold(0_u64, |sum, number| {
            let times = self.done / BLOCKS + u64::from(number < self.done % BLOCKS);
            sum.wrapping_add(hash(self.block(number)).wrapping_mul(times))
        });
        let sum = *self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        check("the sum of the hashes", sum, expected)
    }
}

/// FNV-1a over words: each step waits for the one before, so that it takes the same time on an idle and a busy core.
fn hash(block: &[u8]) -> u64 {
    block.chunks_exact(8).fold(0xcbf2_9ce4_8422_2325, |hash, word| {
        let word = word.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
        (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slowdown_is_exactly_that_much_more_work() -> Outcome<()> {
        for (percent, blocks) in [(0.0, 50_000), (5.0, 52_631), (12.0, 56_818), (20.0, 62_500)] {
            let mut work = Work::new(THROUGHPUT_BLOCKS / (1.0 - percent / 100.0));
            (0..1_000).for_each(|_| work.operation());
            assert!(work.done.abs_diff(blocks) <= 1, "{percent}: {}", work.done);
            work.check()?;
        }
        Ok(())
    }

    #[test]
    fn a_wrong_sum_is_found() {
        let mut work = Work::new(3.0);
        work.operation();
        work.done += 1;
        assert!(work.check().is_err());
    }
}
