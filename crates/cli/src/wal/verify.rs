use std::time::Instant;

use serde_json::Value;
use standpipe::wal::verify_watched;

use super::{args::VerifyArgs, bar::Bar, damaged, failed, no_log, open, report};
use crate::{
    exit::{Exit, Failure},
    output, size,
};

/// `standpipe wal verify DIR`
pub(super) fn run(args: &VerifyArgs) -> Result<Exit, Failure> {
    let dir = open(&args.dir)?;
    let began = Instant::now();
    let verified = {
        let bar = Bar::start();
        verify_watched(&dir, &mut |progress| bar.show(progress))
    };
    let verified = verified.map_err(|error| failed(&args.dir, &error))?;
    let seconds = began.elapsed().as_secs_f64();
    let found = &verified.inspection;
    if found.segments.is_empty() {
        return Err(no_log(&dir, &args.dir));
    }
    let rate = found.checked_bytes as f64 / f64::from(1 << 30) / seconds.max(f64::MIN_POSITIVE);
    if args.json {
        let mut value = report::inspection_json(found, false);
        if let Value::Object(all) = &mut value {
            all.insert("sound".to_owned(), Value::from(verified.is_sound()));
            all.insert("checked_bytes".to_owned(), Value::from(found.checked_bytes));
            all.insert("seconds".to_owned(), Value::from(seconds));
            all.insert("gib_per_second".to_owned(), Value::from(rate));
        }
        output::say(value);
        return if verified.is_sound() { Ok(Exit::Applied) } else { Ok(Exit::Corrupt) };
    }
    output::say(format!(
        "{}: {} segments, {} frames, {} records, {} checked; {}; {seconds:.3} s, {rate:.2} GiB/s",
        args.dir.display(),
        size::count(found.segments.len() as u64),
        size::count(verified.frames()),
        size::count(found.totals().data_records),
        size::human(found.checked_bytes),
        report::tail(found.tail)
    ));
    if verified.is_sound() {
        output::say("sound");
        return Ok(Exit::Applied);
    }
    Err(damaged(&args.dir, &found.damage))
}
