//! The duties of `Acquire`, done by sqlx's pool and by standpipe's over sqlx's connections: see `tests`.
#![forbid(unsafe_code)]
