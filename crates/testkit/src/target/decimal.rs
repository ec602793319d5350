//! Numerics by text alone, written apart from the codec that is checked with them.

/// The bytes of a number as PostgreSQL prints it.
///
/// # Panics
/// For text that is none, or one beyond PostgreSQL's bounds.
pub(crate) fn encode(text: &str) -> Vec<u8> {
    match text {
        "NaN" => return words(0, 0, 0xc000, 0, &[]),
        "Infinity" => return words(0, 0, 0xd000, 32, &[]),
        "-Infinity" => return words(0, 0, 0xf000, 32, &[]),
        _ => {}
    }
    let (negative, number) = text.strip_prefix('-').map_or((false, text), |number| (true, number));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    assert!(
        !whole.is_empty() && (whole.len() + fraction.len()) <= 147_455,
        "a number has digits, not {text:?}"
    );
    // Zeros at both ends so that the point falls between two groups of four.
    let padded = format!(
        "{}{whole}{fraction}{}",
        "0".repeat(whole.len().wrapping_neg() % 4),
        "0".repeat(fraction.len().wrapping_neg() % 4)
    );
    let groups: Vec<u16> = (0..padded.len() / 4)
        .map(|group| {
            let digits = padded[group * 4..group * 4 + 4].bytes();
            digits.fold(0, |value, digit| {
                assert!(digit.is_ascii_digit(), "a number has digits, not {text:?}");
                value * 10 + u16::from(digit - b'0')
            })
        })
        .collect();
    let Some(first) = groups.iter().position(|group| *group != 0) else {
        return words(0, 0, 0, fraction.len(), &[]);
    };
    let last = groups.iter().rposition(|group| *group != 0).unwrap_or(first);
    let weight = whole.len().div_ceil(4) as i32 - 1 - first as i32;
    let sign = if negative { 0x4000 } else { 0 };
    words(last + 1 - first, weight, sign, fraction.len(), &groups[first..=last])
}

/// The text of such bytes; `None` when they are none, or not in the one form that a number has.
pub(crate) fn decode(bytes: &[u8]) -> Option<String> {
    let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let (count, weight, sign, scale) = (word(0)?, word(2)? as i16, word(4)?, word(6)?);
    let text = match sign {
        0xc000 => "NaN".to_owned(),
        0xd000 => "Infinity".to_owned(),
        0xf000 => "-Infinity".to_owned(),
        0 | 0x4000 => {
            // The four decimal digits of each power of 10,000, from the highest to what the scale shows.
            let group = |power: i32| {
                let index =
                    usize::try_from(i32::from(weight) - power).ok().filter(|it| *it < usize::from(count));
                format!("{:04}", index.and_then(|index| word(8 + index * 2)).unwrap_or(0))
            };
            let whole: String = (0..=i32::from(weight)).rev().map(group).collect();
            let fraction: String = (1..=i32::from(scale.div_ceil(4))).map(|power| group(-power)).collect();
            let whole =
                if whole.trim_start_matches('0').is_empty() { "0" } else { whole.trim_start_matches('0') };
            let point = if scale > 0 { "." } else { "" };
            let sign = if sign == 0 { "" } else { "-" };
            format!("{sign}{whole}{point}{}", fraction.get(..usize::from(scale))?)
        }
        _ => return None,
    };
    (scale <= 16_383 && encode(&text) == bytes).then_some(text)
}

fn words(count: usize, weight: i32, sign: u16, scale: usize, digits: &[u16]) -> Vec<u8> {
    let head = [count as u16, weight as u16, sign, scale as u16];
    head.iter().chain(digits).flat_map(|word| word.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_postgresql_sends_and_come_back() {
        for (text, bytes) in [
            ("0", "0000000000000000"),
            ("0.00", "0000000000000002"),
            ("-1", "0001000040000000 0001"),
            ("10000", "0001000100000000 0001"),
            ("0.0001", "0001ffff00000004 0001"),
            ("12345.678", "0003000100000003 0001 0929 1a7c"),
            ("Infinity", "00000000d0000020"),
            ("NaN", "00000000c0000000"),
        ] {
            let hex: String = encode(text).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, bytes.replace(' ', ""), "{text}");
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
        for bad in
            [&[][..], &[0; 7], &[0; 10], &[0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10], &[0, 0, 0, 0, 0x40, 0, 0, 0]]
        {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }
}
