use std::{
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context as Polled, Poll, Waker},
};

use standpipe_buffer::Budget;
use standpipe_harness::{Context, Outcome, Sample, check};
use standpipe_row::BlockBuilder;

use super::closed_loop_of_short;
use crate::hot::flight::{CYCLE, Flight};

pub(super) fn reserve(context: &Context) -> Outcome<Sample> {
    const BYTES: u64 = 10 << 10;
    let budget = Budget::new(64 << 20);
    let mut polled = Polled::from_waker(Waker::noop());
    let figures = closed_loop_of_short(context, || match pin!(budget.acquire(BYTES)).poll(&mut polled) {
        Poll::Ready(permit) => {
            drop(permit?);
            Ok(())
        }
        Poll::Pending => Err("the budget made its only user wait".into()),
    })?;
    check("bytes still in use", budget.in_use(), 0)?;
    check("the most in use", budget.peak(), BYTES)?;
    Ok(Sample::of(figures))
}

pub(super) fn encode(context: &Context) -> Outcome<Sample> {
    const BLOCK_ROWS: u32 = 1000;
    let flights = Flight::cycle()?;
    let mut builder = BlockBuilder::with_capacity(Arc::new(Flight::schema()?), 256 << 10);
    let (mut rows, mut bytes, mut expected) = (0_u64, 0, 0);
    let figures = closed_loop_of_short(context, || {
        let flight = &flights[(rows % CYCLE) as usize];
        flight.write(flight.id(), &mut builder)?;
        rows += 1;
        expected += flight.tuple_bytes();
        if builder.rows() == BLOCK_ROWS {
            bytes += black_box(builder.finish()).tuples.len() as u64;
        }
        Ok(())
    })?;
    bytes += builder.finish().tuples.len() as u64;
    check("bytes of all blocks", bytes, expected)?;
    Ok(Sample::of(figures))
}
