use std::{
    io::{self, BufWriter, Write},
    ops::ControlFlow,
};

use serde_json::{Value, json};
use standpipe::{
    log::Lsn,
    wal::{FrameReport, Part, Shown, TailReport, dump},
};

use super::{
    args::{DumpArgs, DumpFormat},
    bytes::{escaped, hex_line},
    failed, has_segments, line, no_log, open, report,
};
use crate::{
    exit::{Exit, Failure},
    output,
};

/// `standpipe wal dump DIR`
pub(super) fn run(args: &DumpArgs) -> Result<Exit, Failure> {
    let dir = open(&args.dir)?;
    let part = Part {
        from: Lsn::new(args.from.unwrap_or(0)).max(Lsn::FIRST),
        to: Lsn::new(args.to.unwrap_or(u64::MAX)),
        limit: args.limit.unwrap_or(u64::MAX),
        skips_damage: args.skip_damaged,
    };
    if part.to < part.from {
        return Err(Failure::usage(format!("--to {} is below --from {}", part.to, part.from)));
    }
    let mut printer = Printer {
        out: BufWriter::with_capacity(64 << 10, io::stdout().lock()),
        format: args.format,
        frames: args.frames,
        failure: None,
        damage: 0,
        is_empty: true,
    };
    let dumped = dump(&dir, part, &mut |shown| printer.show(&shown));
    let flushed = printer.out.flush();
    let Printer { failure, damage, is_empty, .. } = printer;
    if let Some(error) = failure.or(flushed.err()) {
        // A reader that has seen enough.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Ok(Exit::Applied);
        }
        return Err(Failure::usage(format!("writing to standard output: {error}")));
    }
    let dumped = dumped.map_err(|error| {
        let mut failure = failed(&args.dir, &error);
        if failure.exit == Exit::Corrupt {
            failure
                .message
                .push_str("; --skip-damaged goes on behind it, `standpipe wal verify` lists all damage");
        }
        failure
    })?;
    if is_empty && !has_segments(&dir) {
        return Err(no_log(&dir, &args.dir));
    }
    if let Some(TailReport::Torn(_)) = dumped.tail {
        output::complain(format!(
            "{}: {}",
            args.dir.display(),
            report::tail(TailReport::Torn(0)).replacen(" at byte 0", "", 1)
        ));
    }
    if damage > 0 {
        output::complain(format!("{}: passed over damage in {damage} places", args.dir.display()));
    }
    Ok(Exit::Applied)
}

struct Printer<W: Write> {
    out: BufWriter<W>,
    format: DumpFormat,
    frames: bool,
    failure: Option<io::Error>,
    damage: u64,
    is_empty: bool,
}

impl<W: Write> Printer<W> {
    fn show(&mut self, shown: &Shown<'_>) -> ControlFlow<()> {
        self.is_empty = false;
        if let Shown::Damage(damage) = shown {
            self.damage += 1;
            output::complain(line(damage));
            return ControlFlow::Continue(());
        }
        let written = match self.format {
            DumpFormat::Json => self.json(shown),
            format => self.lines(shown, format == DumpFormat::Hex),
        };
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn lines(&mut self, shown: &Shown<'_>, as_hex: bool) -> io::Result<()> {
        let out = &mut self.out;
        match shown {
            Shown::Frame(frame) if self.frames => writeln!(out, "{}", frame_line(frame)),
            Shown::Record { lsn, payload } if as_hex => {
                writeln!(out, "record {lsn}, {} bytes", payload.len())?;
                for (index, bytes) in payload.chunks(16).enumerate() {
                    writeln!(out, "{}", hex_line(index * 16, bytes))?;
                }
                Ok(())
            }
            Shown::Record { lsn, payload } => writeln!(out, "{lsn}\t{}", escaped(payload)),
            Shown::Pin { lsn, key, value, is_restated } if self.frames || !is_restated => {
                let again = if *is_restated { " again" } else { "" };
                let key = escaped(key);
                match value.len() {
                    0 => writeln!(out, "-- before record {lsn}: {key} is pinned no more"),
                    _ => writeln!(out, "-- before record {lsn}: {key} is pinned{again}: {}", escaped(value)),
                }
            }
            Shown::Gap { from, to } => match to.number().saturating_sub(1) {
                last if last == from.number() => writeln!(out, "-- no record {last}"),
                last => writeln!(out, "-- no records {from} to {last}"),
            },
            _ => Ok(()),
        }
    }

    fn json(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        let value = match shown {
            Shown::Frame(frame) if self.frames => json!({ "frame": frame_json(frame) }),
            Shown::Record { lsn, payload } => {
                let mut record = serde_json::Map::new();
                record.insert("lsn".to_owned(), Value::from(lsn.number()));
                record.insert("length".to_owned(), Value::from(payload.len()));
                record.extend([report::text_or_hex("text", "hex", payload)]);
                Value::Object(record)
            }
            Shown::Pin { lsn, key, value, is_restated } if self.frames || !is_restated => {
                let mut pin = report::pin_json(key, value, true);
                if let Value::Object(pin) = &mut pin {
                    pin.insert("before_lsn".to_owned(), Value::from(lsn.number()));
                    pin.insert("removed".to_owned(), Value::from(value.is_empty()));
                    pin.insert("restated".to_owned(), Value::from(*is_restated));
                }
                json!({ "pin": pin })
            }
            Shown::Gap { from, to } => {
                json!({ "gap": { "from": from.number(), "to": to.number().saturating_sub(1) } })
            }
            _ => return Ok(()),
        };
        writeln!(self.out, "{value}")
    }
}

fn frame_line(frame: &FrameReport<'_>) -> String {
    format!(
        "-- frame at {} byte {}: {} bytes, {} of payload, {} records from {}, codec {}, flags {:#04x}, checksum {:08x}, proven \
         below {}",
        frame.segment,
        frame.offset,
        frame.bytes,
        frame.payload_bytes,
        frame.records,
        frame.base,
        frame.codec,
        frame.flags,
        frame.checksum,
        frame.proven
    )
}

fn frame_json(frame: &FrameReport<'_>) -> Value {
    json!({
        "segment": frame.segment,
        "offset": frame.offset,
        "bytes": frame.bytes,
        "payload_bytes": frame.payload_bytes,
        "records": frame.records,
        "base_lsn": frame.base.number(),
        "codec": frame.codec,
        "flags": frame.flags,
        "checksum": format!("{:08x}", frame.checksum),
        "proven": frame.proven,
    })
}
