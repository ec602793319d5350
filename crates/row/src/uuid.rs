//! UUIDs as text.

/// The bytes of a UUID as 32 hexadecimal digits, with hyphens in their places or without.
///
/// # Errors
/// What was expected.
pub fn parse_uuid(text: &[u8]) -> Result<[u8; 16], &'static str> {
    const UUID: &str = "a UUID such as 67e55044-10b1-426f-9247-bb680e5fe0c8";
    let mut bytes = [0; 16];
    let hyphens = match text.len() {
        36 => true,
        32 => false,
        _ => return Err(UUID),
    };
    let mut at = 0;
    for (index, byte) in bytes.iter_mut().enumerate() {
        if hyphens && matches!(index, 4 | 6 | 8 | 10) {
            if text[at] != b'-' {
                return Err(UUID);
            }
            at += 1;
        }
        *byte = hex_pair(text[at], text[at + 1]).ok_or(UUID)?;
        at += 2;
    }
    Ok(bytes)
}

/// Appends the UUID in lower case with hyphens.
pub fn render_uuid(uuid: &[u8; 16], out: &mut Vec<u8>) {
    for (index, byte) in uuid.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(&hex_digits(*byte));
    }
}

pub(crate) fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(high)? * 16 + digit(low)?) as u8)
}

pub(crate) fn hex_digits(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_one_is_written() {
        let text = b"67e55044-10b1-426f-9247-bb680e5fe0c8";
        let uuid = parse_uuid(text).unwrap();
        assert_eq!(parse_uuid(b"67E5504410B1426F9247BB680E5FE0C8"), Ok(uuid));
        let mut out = Vec::new();
        render_uuid(&uuid, &mut out);
        assert_eq!(out, text);
        for bad in ["", "67e55044-10b1-426f-9247-bb680e5fe0cg", "67e5504410b1-426f-9247-bb680e5fe0c8----"] {
            assert!(parse_uuid(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse_uuid(b"67e55044+10b1-426f-9247-bb680e5fe0c8").is_err());
    }
}
