//! A valid log with the edits that the input describes; checksums count as right.
#![no_main]

#[path = "../../tests/common/hostile.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests use the rest")]
mod hostile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hostile::mutated(bytes);
});
