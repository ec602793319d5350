//! What stands in the place of `mapping` without the feature `mmap`: there is none.

use std::ops::Deref;

use standpipe_log::File;

#[derive(Debug)]
pub(crate) enum Mapping {}

impl Mapping {
    pub(crate) fn reach<F: File>(&mut self, _: &F, _: u64, _: usize) -> bool {
        match *self {}
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match *self {}
    }
}
