use standpipe_core::Type;

/// Whether two texts stand for the same value of a type, whatever form a database prints it in.
///
/// `1`, `t` and `true` are the same; numbers are compared as numbers; a `T` between date and time, a zone of zero,
/// zeros at the end of a fraction of a second, `\x` before hexadecimal digits, hyphens in a UUID and blanks in JSON do not count.
/// A numeric has the same digits, zeros at the end included; only how NaN and the infinities are spelled does not count.
#[must_use]
pub fn same_text(kind: Type, one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => plain(kind, one) == plain(kind, other),
        _ => false,
    }
}

fn plain(kind: Type, text: &str) -> String {
    match kind {
        Type::Bool => match text {
            "1" | "t" | "true" => "true".to_owned(),
            "0" | "f" | "false" => "false".to_owned(),
            _ => text.to_owned(),
        },
        // Through f64 first: a database may keep the number wider than it was given.
        Type::Float4 => text.parse::<f64>().map_or(text.to_owned(), |value| (value as f32).to_string()),
        Type::Float8 => text.parse::<f64>().map_or(text.to_owned(), |value| value.to_string()),
        Type::Bytea => text.strip_prefix("\\x").unwrap_or(text).to_ascii_lowercase(),
        Type::Uuid => text.replace('-', "").to_ascii_lowercase(),
        Type::Numeric if !text.bytes().any(|byte| byte.is_ascii_digit()) => {
            text.to_ascii_lowercase().replace("infinity", "inf")
        }
        Type::Json => text.replace(char::is_whitespace, ""),
        Type::Time => without_zeros(text),
        Type::Timestamp => without_zeros(&text.replacen('T', " ", 1)),
        Type::Timestamptz => {
            let text = text.replacen('T', " ", 1);
            let zones = ["Z", "+00:00", "+0000", "+00"];
            let clock = zones.iter().find_map(|zone| text.strip_suffix(zone)).unwrap_or(&text);
            without_zeros(clock.trim_end())
        }
        _ => text.to_owned(),
    }
}

fn without_zeros(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_do_not_count_and_values_do() {
        let same = |kind, one, other| same_text(kind, Some(one), Some(other));
        assert!(same(Type::Bool, "1", "true") && !same(Type::Bool, "1", "false"));
        assert!(same(Type::Float4, "0.10000000149011612", "0.1") && !same(Type::Float4, "0.1", "0.2"));
        assert!(same(Type::Timestamp, "2000-01-01T00:00:01.500000", "2000-01-01 00:00:01.5"));
        assert!(!same(Type::Timestamp, "2000-01-01 00:00:10", "2000-01-01 00:00:01"));
        assert!(same(Type::Timestamptz, "2000-01-01 00:00:00Z", "2000-01-01 00:00:00+00"));
        assert!(same(Type::Bytea, "\\x00FF", "00ff") && !same(Type::Text, "A", "a"));
        assert!(same(Type::Numeric, "-Infinity", "-inf") && !same(Type::Numeric, "1.0", "1.00"));
        assert!(!same_text(Type::Text, None, Some("")));
    }
}
