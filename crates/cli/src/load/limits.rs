/// The least that `--memory` may be, in bytes: below, a record of ordinary size would not pass.
pub(crate) const MEMORY_BYTES_MIN: u64 = 1 << 20;

/// The most bytes of one record under a memory budget; a longer one is dead-lettered. A block and one record more fit
/// into the quarter of the budget through which rows go on their way to the log, whatever the budget.
pub(crate) fn record_bytes_max(memory_bytes: u64) -> usize {
    // The log takes records of 32 MiB.
    usize::try_from((memory_bytes / 8).min(16 << 20)).unwrap_or(16 << 20)
}

/// The size at which a block is cut. The same bound as the sink's own: several blocks fit into the share of the log.
pub(crate) fn block_bytes(memory_bytes: u64) -> u64 {
    (256 << 10).min(memory_bytes / 16).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_ends_with_the_longest_record_fits_into_the_share_of_the_log() {
        for memory in [MEMORY_BYTES_MIN, 16 << 20, 64 << 20, 1 << 40] {
            assert!(
                block_bytes(memory) + record_bytes_max(memory) as u64 <= memory / 4 - memory / 32,
                "{memory}"
            );
        }
        assert_eq!(record_bytes_max(16 << 20), 2 << 20);
    }
}
