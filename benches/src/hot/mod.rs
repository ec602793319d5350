//! The hot paths, one operation each: criterion times them, and callgrind counts their instructions.

mod buffer;
pub mod flight;
mod log;
mod pool;
mod row;

use standpipe_harness::{Outcome, check};

/// One operation that the speed of the whole hangs on.
#[derive(Clone, Copy, Debug)]
pub struct Hot {
    /// Its name; `micro.` before it is the name of its benchmark.
    pub name: &'static str,
    /// What one iteration is.
    pub measures: &'static str,
    /// Whether its benchmark is in the quick set.
    pub quick: bool,
    prepare: fn() -> Outcome<Prepared>,
}

/// An operation whose surroundings are made.
pub struct Prepared {
    run: Box<dyn FnMut(u64) -> Outcome<u64>>,
    expected: Box<dyn Fn(u64) -> u64>,
}

/// Every hot path.
pub const ALL: &[Hot] = &[
    row::ENCODE_ROW,
    row::SERIALIZE_ROW,
    row::ENCODE_CSV_ROW,
    row::ENCODE_JSON_ROW,
    row::DECODE_BLOCK,
    log::FRAME_RECORD,
    log::READ_RECORD,
    buffer::PUSH_TAKE,
    buffer::RESERVE_RELEASE,
    pool::ACQUIRE_RELEASE,
];

/// The hot path of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Hot> {
    ALL.iter().find(|hot| hot.name == name)
}

impl Hot {
    /// The name of its benchmark.
    #[must_use]
    pub fn benchmark(&self) -> String {
        format!("micro.{}", self.name)
    }

    /// Makes what the operation needs.
    ///
    /// # Errors
    /// It can't be made.
    pub fn prepare(&self) -> Outcome<Prepared> {
        (self.prepare)()
    }
}

impl Prepared {
    fn new(run: impl FnMut(u64) -> Outcome<u64> + 'static, expected: impl Fn(u64) -> u64 + 'static) -> Self {
        Prepared { run: Box::new(run), expected: Box::new(expected) }
    }

    /// Repeats the operation and returns what the results add up to. May be called again.
    ///
    /// # Errors
    /// The operation's, or a sum that is not the one which so many operations must give.
    pub fn run(&mut self, iterations: u64) -> Outcome<u64> {
        let found = (self.run)(iterations)?;
        check("the sum of the results", found, (self.expected)(iterations))?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hot_path_gives_what_it_must_at_any_number_of_iterations() -> Outcome<()> {
        for hot in ALL {
            let mut prepared = hot.prepare()?;
            for iterations in [0, 1, 63, 64, 65, 500] {
                prepared.run(iterations).map_err(|error| format!("{}: {iterations}: {error}", hot.name))?;
            }
        }
        Ok(())
    }
}
