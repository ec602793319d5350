//! The hot paths under criterion.

fn main() {}
