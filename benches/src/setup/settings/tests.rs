use standpipe_buffer::Policy;
use standpipe_core::Mode;
use standpipe_harness::{Outcome, Settings};

use super::{KEYS, lanes, mode, policy, pool, sink, sqlite, wal};

fn given(pairs: &[&str]) -> Outcome<Settings> {
    let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
    Settings::parse(&pairs, KEYS)
}

#[test]
fn nothing_given_is_the_crates_own_defaults() -> Outcome<()> {
    let none = given(&[])?;
    let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
    assert_eq!(text(&wal(&none)?), text(&standpipe_wal::Settings::default()));
    assert_eq!(text(&sink(&none)?), text(&standpipe_sink::Settings::default()));
    assert_eq!(text(&pool(&none)?), text(&standpipe_pool::Settings::default()));
    assert_eq!(sqlite(&none)?, standpipe_sqlite::Settings::default());
    assert_eq!(policy(&none)?, Policy::default());
    Ok(())
}

/// A value for each key that is not a default, and is not like another's.
const OTHER: &[&str] = &[
    "wal.durability=periodic:7ms",
    "wal.group_delay=7ms",
    "wal.compression=lz4:7KiB",
    "wal.segment_bytes=7MiB",
    "wal.segment_ahead=false",
    "wal.record_bytes_max=70KiB",
    "wal.size_bytes_max=700MiB",
    "wal.idle_proof=none",
    "sink.memory_bytes=7MiB",
    "sink.batch_rows_max=77",
    "sink.batch_bytes_max=7KiB",
    "sink.flush_after=never",
    "sink.workers=7",
    "sink.lanes_per_commit=8",
    "sink.block_bytes=9KiB",
    "sink.log_retain_bytes=7",
    "sink.write_timeout=7s",
    "sink.retry.pause=7ms",
    "sink.retry.pause_max=8ms",
    "sink.retry.give_up_after=9ms",
    "sink.retry.seed=7",
    "sink.dead_letters=seven",
    "sink.errors_max=7%",
    "sink.owner=seven",
    "pool.connections_max=7",
    "pool.waiters_max=8",
    "pool.idle_max=7ms",
    "pool.life_max=8ms",
    "pool.check_after_idle=9ms",
    "pool.idle_min=3",
    "pool.acquire_timeout=7ms",
    "pool.connect_timeout=7ms",
    "pool.check_timeout=7ms",
    "pool.reset_timeout=7ms",
    "pool.close_timeout=7ms",
    "pool.life_jitter_percent=7",
    "pool.backoff_min=7ms",
    "pool.backoff_max=7ms",
    "pool.lease_warn_after=7ms",
    "pool.seed=7",
    "sqlite.create=false",
    "sqlite.busy_timeout=7ms",
    "sqlite.synchronous=normal",
    "sqlite.journal=keep",
    "sqlite.ledger_table=seven",
    "buffer.rows_max=7",
    "buffer.bytes_max=8",
    "buffer.age_max=9ms",
    "stream.lanes=7",
    "stream.mode=upsert",
];

#[test]
fn each_setting_of_a_crate_can_be_set_and_changes_what_it_names() -> Outcome<()> {
    let text = |settings: &Settings| -> Outcome<String> {
        Ok(format!(
            "{:#?}{:#?}{:#?}{:#?}{:#?}{:#?}{:#?}",
            wal(settings)?,
            sink(settings)?,
            pool(settings)?,
            sqlite(settings)?,
            policy(settings)?,
            lanes(settings, 1)?,
            mode(settings, Mode::Append)?,
        ))
    };
    let none = text(&given(&[])?)?;
    for pair in OTHER {
        let settings = given(&[pair])?;
        assert_ne!(text(&settings)?, none, "{pair}");
        assert!(settings.unused().is_empty(), "{pair}");
    }
    let of_crates = KEYS.iter().filter(|key| !key.name.starts_with("run.") && !key.name.starts_with("self"));
    assert_eq!(of_crates.count(), OTHER.len());
    Ok(())
}

#[test]
fn values_that_say_nothing_are_refused() -> Outcome<()> {
    for pair in [
        "wal.durability=soon",
        "wal.compression=zip",
        "wal.durability=periodic:",
        "sink.errors_max=many",
        "stream.mode=x",
    ] {
        let settings = given(&[pair])?;
        let refused =
            wal(&settings).is_err() || sink(&settings).is_err() || mode(&settings, Mode::Append).is_err();
        assert!(refused, "{pair}");
    }
    Ok(())
}
