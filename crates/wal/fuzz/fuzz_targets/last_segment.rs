//! A valid log whose last segment is replaced by the input.
#![no_main]

#[path = "../../tests/common/hostile.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests use the rest")]
mod hostile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hostile::last_segment(bytes);
});
