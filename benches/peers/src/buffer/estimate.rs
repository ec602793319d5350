use std::time::Instant;

use standpipe_buffer::{Budget, Lanes, Permit, Policy, Weigh, Weight};
use standpipe_harness::{Context, Figure, Outcome, Sample, check, peak_resident_bytes, resident_bytes};

const LIMIT_BYTES: u64 = 16 << 20;

struct Row {
    bytes: Vec<u8>,
    _permit: Option<Permit>,
}

impl Weigh for Row {
    fn weight(&self) -> Weight {
        Weight { rows: 1, bytes: self.bytes.len() as u64 }
    }
}

fn length(row: u64) -> u64 {
    if row % 10 == 9 { 8192 } else { 40 }
}

/// What a row takes: its bytes and the value that points at them.
fn real(length: u64) -> u64 {
    length + size_of::<Row>() as u64
}

fn row(number: u64, permit: Option<Permit>) -> Row {
    // Written to, so that it is resident.
    Row { bytes: vec![number as u8 | 1; length(number) as usize], _permit: permit }
}

pub(crate) fn standpipe(_: &Context) -> Outcome<Sample> {
    let budget = Budget::new(LIMIT_BYTES);
    let lanes = Lanes::new(Policy::default());
    let (before, now) = (resident_bytes(), Instant::now());
    let mut made = 0;
    while let Some(permit) = budget.try_acquire(real(length(made))) {
        lanes.push((), row(made, Some(permit)), now).map_err(|_| "the lanes are closed")?;
        made += 1;
    }
    let sample = over(before)?;
    lanes.close();
    let mut taken = 0;
    while let Some(batch) = lanes.take_blocking() {
        for row in batch.items() {
            check("a row's length", row.bytes.len() as u64, length(taken))?;
            taken += 1;
        }
        batch.complete();
    }
    check("rows", taken, made)?;
    check("bytes still in use", budget.in_use(), 0)?;
    Ok(sample.with(Figure::told("rows", made as f64, "rows")))
}

pub(crate) fn home(_: &Context) -> Outcome<Sample> {
    const ASSUMED_BYTES: u64 = 100;
    let before = resident_bytes();
    let (mut rows, mut made) = (Vec::new(), 0);
    while (made + 1) * ASSUMED_BYTES <= LIMIT_BYTES {
        rows.push(row(made, None));
        made += 1;
    }
    let sample = over(before)?;
    for (row, number) in rows.iter().zip(0..) {
        check("a row's length", row.bytes.len() as u64, length(number))?;
    }
    check("rows", rows.len() as u64, made)?;
    Ok(sample.with(Figure::told("rows", made as f64, "rows")))
}

fn over(before: Option<u64>) -> Outcome<Sample> {
    let (Some(before), Some(peak)) = (before, peak_resident_bytes()) else {
        return Err("the kernel does not say how much memory is resident".into());
    };
    let grown = peak.saturating_sub(before);
    Ok(Sample::of([Figure::memory("peak_of_limit", grown as f64 / LIMIT_BYTES as f64, "x limit")]))
}
