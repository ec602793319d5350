use standpipe_harness::{Outcome, Settings, parse_bytes, parse_duration};
use standpipe_wal::{Compression, Durability};

use super::value::{optional, parsed};

/// The log's settings.
///
/// # Errors
/// A value that can't be read.
pub fn wal(settings: &Settings) -> Outcome<standpipe_wal::Settings> {
    wal_over(settings, standpipe_wal::Settings::default())
}

/// The log's settings over a workload's own.
///
/// # Errors
/// A value that can't be read.
pub fn wal_over(settings: &Settings, over: standpipe_wal::Settings) -> Outcome<standpipe_wal::Settings> {
    Ok(standpipe_wal::Settings {
        durability: parsed(settings, "wal.durability", over.durability, durability)?,
        group_delay: settings.duration("wal.group_delay", over.group_delay)?,
        compression: parsed(settings, "wal.compression", over.compression, compression)?,
        segment_bytes: settings.bytes("wal.segment_bytes", over.segment_bytes)?,
        segment_ahead: settings.get("wal.segment_ahead", over.segment_ahead)?,
        record_bytes_max: settings.bytes("wal.record_bytes_max", over.record_bytes_max)?,
        size_bytes_max: settings.bytes("wal.size_bytes_max", over.size_bytes_max)?,
        idle_proof: optional(settings, "wal.idle_proof", over.idle_proof)?,
        entropy: over.entropy,
    })
}

fn compression(text: &str) -> Result<Compression, &'static str> {
    let wanted = "none, lz4 or lz4:SIZE";
    match text.split_once(':') {
        None if text == "none" => Ok(Compression::None),
        None if text == "lz4" => Ok(Compression::lz4()),
        Some(("lz4", size)) => {
            let bytes = parse_bytes(size).and_then(|bytes| usize::try_from(bytes).ok());
            bytes.map(|payload_bytes_min| Compression::Lz4 { payload_bytes_min }).ok_or(wanted)
        }
        _ => Err(wanted),
    }
}

fn durability(text: &str) -> Result<Durability, &'static str> {
    match text {
        "group" => Ok(Durability::Group),
        "sync" => Ok(Durability::Sync),
        "os" => Ok(Durability::Os),
        _ => text
            .strip_prefix("periodic:")
            .and_then(parse_duration)
            .map(Durability::Periodic)
            .ok_or("write group, sync, periodic:10ms or os"),
    }
}
