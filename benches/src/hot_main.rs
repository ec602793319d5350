//! A hot path, so many times, for callgrind: `standpipe-hot NAME ITERATIONS`; `standpipe-hot list` names them.

fn main() {}
