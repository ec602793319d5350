use std::time::Duration;

use standpipe::sink::ErrorLimit;

/// Reads a size such as `16MiB`, `4MB`, `64k` or `1000`. `k`, `m`, `g` alone are powers of 1,024.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is no size; try 16MiB"))?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(format!("{unit:?} is no unit of size; try 16MiB")),
    };
    number.checked_mul(factor).ok_or_else(|| format!("{text:?} is too large"))
}

/// Reads a duration such as `500ms`, `1s`, `2m`, or `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is no duration; try 500ms or 1s"))?;
    let millis = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => return Err(format!("{text:?} needs a unit; try 500ms or 1s")),
    };
    millis.map(Duration::from_millis).ok_or_else(|| format!("{text:?} is too long"))
}

/// Reads a limit such as `1000` or `5%`.
pub(crate) fn error_limit(text: &str) -> Result<ErrorLimit, String> {
    let wrong = || format!("{text:?} is no limit; try 1000 or 5%");
    if let Some(percent) = text.strip_suffix('%') {
        let percent: f64 = percent.parse().map_err(|_| wrong())?;
        return if (0.0..=100.0).contains(&percent) {
            Ok(ErrorLimit::Percent(percent))
        } else {
            Err(wrong())
        };
    }
    text.parse().map(ErrorLimit::Rows).map_err(|_| wrong())
}

/// Bytes for people.
pub(crate) fn human(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.2} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// A count with its thousands set apart.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn split(text: &str) -> (&str, &str) {
    let at = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    (&text[..at], text[at..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_read_or_refused_by_name() {
        assert_eq!(bytes("16MiB"), Ok(16 << 20));
        assert_eq!(bytes("4MB"), Ok(4_000_000));
        assert_eq!(bytes("64k"), Ok(64 << 10));
        assert!(bytes("lots").is_err() && bytes("5parsec").is_err() && bytes("99999999999GiB").is_err());
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("5").is_err());
        assert_eq!(error_limit("5%"), Ok(ErrorLimit::Percent(5.0)));
        assert_eq!(error_limit("1000"), Ok(ErrorLimit::Rows(1000)));
        assert!(error_limit("200%").is_err());
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(count(336_776), "336,776");
        assert_eq!(count(12), "12");
        assert_eq!(human(1536), "1.5 KiB");
    }
}
