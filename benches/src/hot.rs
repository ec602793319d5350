//! The hot paths, one operation each: criterion times them, and callgrind counts their instructions.
