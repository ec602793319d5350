//! What the tools say of a log, as JSON.

use serde_json::{Value, json};
use standpipe::wal::{Damage, Inspection, SegmentReport, SpareKind, TailReport, Totals};

use super::bytes::{escaped, hex};

/// How a segment stands.
pub(super) fn state(found: &Inspection, segment: &SegmentReport) -> &'static str {
    if segment.is_damaged {
        "damaged"
    } else if segment.is_sealed {
        "sealed"
    } else if found.segments.last().is_some_and(|last| last.sequence == segment.sequence) {
        "last"
    } else {
        "unsealed"
    }
}

pub(super) fn spare(kind: SpareKind) -> &'static str {
    match kind {
        SpareKind::Draft => "draft",
        SpareKind::Ready => "ready",
        SpareKind::Free => "free",
        _ => "unknown",
    }
}

/// The share of what is reserved that is used.
pub(super) fn fill(segment: &SegmentReport) -> f64 {
    segment.used_bytes as f64 / segment.allocated_bytes.max(1) as f64
}

/// Where a log ends, for people.
pub(super) fn tail(tail: TailReport) -> String {
    match tail {
        TailReport::Closed => "closed properly".to_owned(),
        TailReport::Open => "not closed: in use, or left by a crash".to_owned(),
        TailReport::Torn(offset) => {
            format!("an unfinished write at byte {offset} of the last segment, which opening the log cuts")
        }
        TailReport::Damaged => "its end is damaged".to_owned(),
        _ => "of a state that this command does not know".to_owned(),
    }
}

pub(super) fn tail_json(tail: TailReport) -> Value {
    match tail {
        TailReport::Closed => json!({ "state": "closed" }),
        TailReport::Open => json!({ "state": "open" }),
        TailReport::Torn(offset) => json!({ "state": "torn", "offset": offset }),
        TailReport::Damaged => json!({ "state": "damaged" }),
        _ => json!({ "state": "unknown" }),
    }
}

pub(super) fn damage_json(damage: &Damage) -> Value {
    json!({
        "segment": damage.segment,
        "offset": damage.offset,
        "bytes": damage.bytes,
        "lsn": damage.lsn.number(),
        "what": damage.what,
        "lost": damage.lost.map(|lost| json!({
            "from": lost.from.map(|lsn| lsn.number()),
            // The last one, where that is known.
            "to": lost.to.map(|lsn| lsn.number().saturating_sub(1)),
            "count": lost.count(),
        })),
    })
}

pub(super) fn totals_json(totals: &Totals) -> Value {
    json!({
        "data_records": totals.data_records,
        "data_bytes": totals.data_bytes,
        "data_frames": totals.data_frames,
        "records_per_frame": totals.records_per_frame(),
        "stored_bytes": totals.stored_bytes,
        "raw_bytes": totals.raw_bytes,
        "compression_ratio": totals.compression_ratio(),
        "padding_bytes": totals.padding_bytes,
    })
}

pub(super) fn segment_json(found: &Inspection, segment: &SegmentReport) -> Value {
    let mut value = json!({
        "name": segment.name,
        "sequence": segment.sequence,
        "state": state(found, segment),
        "version": segment.version,
        "first_lsn": segment.base.number(),
        "end_lsn": segment.end.number(),
        "frames": segment.frames,
        "records": segment.records,
        "used_bytes": segment.used_bytes,
        "reserved_bytes": segment.allocated_bytes,
        "fill": fill(segment),
    });
    if let (Value::Object(all), Value::Object(totals)) = (&mut value, totals_json(&segment.totals)) {
        all.extend(totals);
    }
    value
}

/// Bytes under `name` where they are UTF-8, else under the other one as hexadecimal digits.
pub(super) fn text_or_hex(name: &str, other: &str, bytes: &[u8]) -> (String, Value) {
    match str::from_utf8(bytes) {
        Ok(text) => (name.to_owned(), Value::from(text)),
        Err(_) => (other.to_owned(), Value::from(hex(bytes))),
    }
}

pub(super) fn pin_json(key: &[u8], value: &[u8], with_value: bool) -> Value {
    let mut pin = serde_json::Map::new();
    pin.extend([("key".to_owned(), Value::from(escaped(key))), text_or_hex("key_text", "key_hex", key)]);
    pin.insert("value_bytes".to_owned(), Value::from(value.len()));
    if with_value {
        pin.extend([text_or_hex("value", "value_hex", value)]);
    }
    Value::Object(pin)
}

pub(super) fn inspection_json(found: &Inspection, values: bool) -> Value {
    let sum = |of: fn(&SegmentReport) -> u64| found.segments.iter().map(of).sum::<u64>();
    let mut totals = totals_json(&found.totals());
    if let Value::Object(totals) = &mut totals {
        totals.insert("segments".to_owned(), Value::from(found.segments.len()));
        totals.insert("frames".to_owned(), Value::from(sum(|segment| segment.frames)));
        totals.insert("records".to_owned(), Value::from(sum(|segment| segment.records)));
        totals.insert("used_bytes".to_owned(), Value::from(sum(|segment| segment.used_bytes)));
        totals.insert("reserved_bytes".to_owned(), Value::from(sum(|segment| segment.allocated_bytes)));
    }
    json!({
        "log": found.id.map(|id| id.to_string()),
        "start_lsn": found.start.map(|lsn| lsn.number()),
        "end_lsn": found.end.map(|lsn| lsn.number()),
        "segments": found.segments.iter().map(|segment| segment_json(found, segment)).collect::<Vec<_>>(),
        "spares": found.spares.iter()
            .map(|file| json!({ "name": file.name, "state": spare(file.kind), "bytes": file.bytes }))
            .collect::<Vec<_>>(),
        "strangers": found.strangers,
        "pins": found.pinned.iter().map(|(key, value)| pin_json(key, value, values)).collect::<Vec<_>>(),
        "totals": totals,
        "tail": tail_json(found.tail),
        "damage": found.damage.iter().map(damage_json).collect::<Vec<_>>(),
    })
}
